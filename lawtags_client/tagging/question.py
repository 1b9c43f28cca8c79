"""A question: the record that curation writes, and that taggers read and score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.jsonl import read_rows
from lawtags_client.tagging.vocabulary import normalize_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a forum.

    Example:
        ``Question(id="1", title="Can pricing be trademarked?", tags=("trademark",))``

    Args:
        id: stable identity, unique within its file.
        title: plain text.
        body: plain text, or None if the source has titles only.
        tags: the true tags in normal form; empty if they are not known.
        prepared: whether its texts are as curation leaves them, with personal data masked.

    Raises:
        ConfigurationError: an argument has the wrong type.
    """

    id: str
    title: str
    body: str | None = None
    tags: tuple[str, ...] = ()
    prepared: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        body: object = "" if self.body is None else self.body
        for name, value in (("id", self.id), ("title", self.title), ("body", body)):
            if not isinstance(value, str):
                kind = type(value).__name__
                raise ConfigurationError(f"{name} of a Question is a {kind}", hint=f"Pass {name} as text.")
        tags: object = self.tags
        if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
            raise ConfigurationError(
                "tags of a Question must be a tuple of texts",
                hint='Write tags=("contract-law", "tax"), or omit it if the tags are unknown.',
            )
        object.__setattr__(self, "tags", tuple(tags))

    @classmethod
    def from_row(
        cls, row: Mapping[str, object], *, path: str | Path | None = None, line: int | None = None
    ) -> Question:
        """Read one decoded row of a questions file.

        Args:
            row: an object with ``id`` and ``title``, and optionally ``body`` and ``tags``.
            path: the file, for the error message.
            line: its line, counted from one, for the error message.

        Raises:
            DataError: a field is missing or of the wrong type.
        """

        def wrong(field: str, message: str) -> DataError:
            return DataError(message, path=path, line=line, field=field, hint="Curate the file again.")

        title, body, tags = row.get("title"), row.get("body"), row.get("tags")
        if row.get("id") is None:
            raise wrong("id", "is missing")
        if not isinstance(title, str) or not title.strip():
            raise wrong("title", "must be a non-empty string")
        if body is not None and not isinstance(body, str):
            raise wrong("body", "must be a string or null")
        if tags is not None and (
            not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags)
        ):
            raise wrong("tags", "must be a list of strings")
        normal = dict.fromkeys(normalize_tag(tag) for tag in tags or ())
        normal.pop("", None)
        return cls(id=str(row["id"]), title=title, body=body, tags=tuple(normal), prepared=True)


def read_questions(path: Path) -> list[Question]:
    """Read a questions file, one JSON object per line.

    Args:
        path: a JSON Lines file as curation writes it below ``questions/``.

    Raises:
        DataError: a line is not a JSON object, or lacks a field; names file, line and field.
    """
    return list(_rows(path))


def _rows(path: Path) -> Iterator[Question]:
    try:
        for line, row in read_rows(path):
            yield Question.from_row(row, path=path, line=line)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
