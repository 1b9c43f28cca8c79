"""Rows as a source holds them, before any of their fields is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError

HUB_PREFIX = "hf://datasets/"
"""How a dataset of the Hugging Face hub is named among inputs."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the file holds it.

    Args:
        line: the line where it begins, counted from one; the row's number where a format has no lines.
        values: column to value.
    """

    line: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Args:
        line: where it begins.
        reason: what is wrong, without quoting the row, and in the same words for every such row.
        field: the column concerned, where it is known.
        detail: what differs from row to row: how many, which byte.
        column: the character of the line, counted from one, where it is known.
    """

    line: int
    reason: str
    field: str | None = None
    detail: str | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    def error(self, path: str | Path, *, hint: str | None = None) -> DataError:
        """The error that names the file, line, column and field."""
        return DataError(
            str(self), path=path, line=self.line, column=self.column, field=self.field, hint=hint
        )
