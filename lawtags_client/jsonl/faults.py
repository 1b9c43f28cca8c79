"""What is wrong with a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Why a row cannot be read.

    Args:
        reason: what is wrong, without quoting the row, and worded the same for every such row.
        detail: what differs from row to row, except for the column.
        column: where in the line, counted from one, if it is known.
        field: the field concerned, such as ``messages[0].content``, if it is known.
    """

    reason: str
    detail: str | None = None
    column: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    def error(self, path: str | Path, line: int, *, hint: str | None = None) -> DataError:
        """The error that names the file, line, column and field."""
        return DataError(str(self), path=path, line=line, column=self.column, field=self.field, hint=hint)


def json_kind(value: object) -> str:
    """The name of a value's type in JSON.

    Example:
        >>> json_kind([]), json_kind(1.5)
        ('a list', 'a number')
    """
    return _KINDS.get(type(value), "a number")


def not_an_object(value: object) -> JsonFault:
    """The fault of a row that is not an object."""
    return JsonFault(f"is not a JSON object but {json_kind(value)}")


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}
