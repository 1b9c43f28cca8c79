"""Which column of a source holds what, and the check of each row."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lawtags_client.curation.labels import LabelError, read_labels
from lawtags_client.curation.options import FIELDS

# First match wins; for the body, the first column that holds a text in the row at hand.
KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("question_id", "row_id", "id", "Id", "ID", "QuestionId"),
    "title": ("question_title", "title", "Title"),
    "body": ("question_body", "body", "body_html", "body_markdown", "Body", "question", "text", "content"),
    "tags": ("tags", "Tags", "question_tags", "labels"),
    "tags_complete": ("tags_complete",),
    "score": ("score", "question_score", "Score", "votes"),
    "created": ("created", "creation_date", "CreationDate", "created_at", "date"),
    "link": ("link", "url", "Link"),
    "license": ("license", "content_license", "ContentLicense"),
    "answers": ("answers", "answer_count", "AnswerCount"),
}
_HTML_COLUMNS = ("body_html",)
MAX_TITLE = 10_000
MOST_EXACT = 2.0**53

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORDS = re.compile(r"\w+")


class RowError(ValueError):
    """A row cannot be used.

    Args:
        reason: what is wrong, without the value itself.
        field: the column concerned.
        detail: what differs from row to row, e.g. a length.
    """

    def __init__(self, reason: str, field: str | None = None, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source, checked. Texts are as the source has them.

    Args:
        id: the source's id, or one made of the title.
        title: the title.
        body: the body, if the source has one.
        html: whether the body is known to be HTML.
        tags: the tags in normal form.
        complete: whether they are all the tags of the question.
        score: net votes, if known.
        created: when it was asked, as the source writes it.
        link: where it stands.
        license: its licence.
        answered: whether it has an answer, if known.
        respelled: tags that stood there in another form, each with its normal form.
    """

    id: str
    title: str
    body: str | None
    html: bool
    tags: tuple[str, ...]
    complete: bool
    score: float | None
    created: str | None
    link: str | None
    license: str | None
    answered: bool | None
    respelled: tuple[tuple[str, str], ...] = ()


class ColumnMap:
    """Finds the fields of a question in the rows of one source.

    Args:
        chosen: field to column, for what is not recognised by its name.
    """

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self._columns = {
            field: (chosen[field],) if field in chosen else KNOWN_COLUMNS[field] for field in FIELDS
        }
        self.seen: dict[str, None] = {}
        self.found: set[str] = set()
        self._known_keys: frozenset[str] = frozenset()

    def read(self, row: Mapping[str, Any]) -> SourceRow:
        """Check one row.

        Raises:
            RowError: a field is missing or of the wrong type.
        """
        self._note(row)
        title_column, title = self._first(row, "title")
        title = _text(title, title_column)
        if not title.strip():
            raise RowError("is empty", title_column)
        if len(title) > MAX_TITLE:
            detail = f"{len(title):,}"
            raise RowError(f"has more than {MAX_TITLE:,} characters", title_column, detail)
        body_column, body = self._first(row, "body", required=False)
        tags_column, tags = self._first(row, "tags", required=False)
        try:
            read = read_labels(tags)
        except LabelError as error:
            raise RowError(error.reason, tags_column, error.detail) from None
        return SourceRow(
            id=self._id(row, title),
            title=title,
            body=_text(body, body_column) if body is not None else None,
            html=body_column in _HTML_COLUMNS,
            tags=read.tags,
            complete=self._flag(row),
            score=self._score(row),
            created=self._plain(row, "created"),
            link=self._plain(row, "link"),
            license=self._plain(row, "license"),
            answered=_has_answer(self._first(row, "answers", required=False)[1]),
            respelled=read.respelled,
        )

    def missing(self, needed: Sequence[str] = ("title", "tags")) -> tuple[str, ...]:
        """Needed fields for which no row so far had a column."""
        return tuple(field for field in needed if field not in self.found)

    def _note(self, row: Mapping[str, Any]) -> None:
        keys = frozenset(row)
        if keys == self._known_keys:
            return
        self._known_keys = keys
        self.seen.update(dict.fromkeys(str(name) for name in row))
        self.found |= {field for field, names in self._columns.items() if any(name in keys for name in names)}

    def _first(self, row: Mapping[str, Any], field: str, required: bool = True) -> tuple[str, Any]:
        present = [name for name in self._columns[field] if name in row]
        for name in present:
            if not _absent(row[name]):
                return name, row[name]
        # Absent here, it goes by the name that it has in the other rows.
        names = present or [name for name in self._columns[field] if name in self.seen] or [field]
        if required:
            raise RowError("is missing" if not present else "is null", names[0])
        return names[0], None

    def _id(self, row: Mapping[str, Any], title: str) -> str:
        name, value = self._first(row, "id", required=False)
        if value is None:
            # Stable, so that the same question keeps its id when rows are added.
            return "q-" + hashlib.sha256(normalize_text(title).encode()).hexdigest()[:12]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise RowError(f"must be a text or a number, not {type(value).__name__}", name)
        if isinstance(value, float):
            if not value.is_integer():
                raise RowError("must be a text or a whole number", name)
            value = int(value)
        return _text(str(value).strip(), name)

    def _flag(self, row: Mapping[str, Any]) -> bool:
        name, value = self._first(row, "tags_complete", required=False)
        if value is None or isinstance(value, bool):
            return value is not False
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false", "0", "1"):
            return value.strip().lower() in ("true", "1")
        raise RowError("must be true or false", name)

    def _score(self, row: Mapping[str, Any]) -> float | None:
        name, value = self._first(row, "score", required=False)
        if value is None:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            score = float(value)
        except (ValueError, OverflowError):
            raise RowError(f"must be a number, not {type(value).__name__}", name) from None
        if not math.isfinite(score):
            raise RowError("must be a finite number", name)
        if abs(score) > MOST_EXACT:
            raise RowError("must lie within 2^53, beyond which numbers are rounded", name)
        return score

    def _plain(self, row: Mapping[str, Any], field: str) -> str | None:
        name, value = self._first(row, field, required=False)
        if value is None:
            return None
        if hasattr(value, "isoformat"):
            return str(value.isoformat())
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise RowError(f"must be a text, not {type(value).__name__}", name)
        return _text(str(value), name)


def normalize_text(text: str) -> str:
    """The words of a text in lower case, without signs: equal for texts that differ in form alone."""
    import unicodedata

    return " ".join(_WORDS.findall(unicodedata.normalize("NFKC", text).casefold()))


def _absent(value: Any) -> bool:
    # NaN is how tables say that a cell is empty; JSON has no such value, and its reader refuses it.
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"must be a text, not {type(value).__name__}", field)
    if _SURROGATE.search(value):
        raise RowError("holds half of a character (a lone surrogate)", field)
    return value


def _has_answer(value: Any) -> bool | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        return text not in ("", "[]", "{}", "0", "null")
    if isinstance(value, int | float):
        return value > 0
    return len(value) > 0 if hasattr(value, "__len__") else True
