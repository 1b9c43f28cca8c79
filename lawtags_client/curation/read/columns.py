"""Finding the columns of a source, and checking each row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lawtags_client.curation.options import FIELDS
from lawtags_client.curation.read.dates import to_moment
from lawtags_client.curation.read.labels import LabelError, Labels, read_labels
from lawtags_client.curation.read.notices import Notices
from lawtags_client.curation.read.values import (
    ValueFormError,
    is_absent,
    kind_of,
    missing_text,
    plain_value,
    read_id,
    read_number,
)
from lawtags_client.jsonl.values import Unreadable

# The first match wins; for the body, the first column with text in the current row. Exact names come first,
# then names that differ in case, spaces and underscores.
KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("question_id", "row_id", "id"),
    "title": ("question_title", "title"),
    "body": ("question_body", "body", "body_html", "body_markdown", "question", "text", "content"),
    "tags": ("tags", "question_tags", "labels"),
    "tags_complete": ("tags_complete",),
    "score": ("score", "question_score", "votes"),
    "created": ("created", "creation_date", "created_at", "date"),
    "link": ("link", "url"),
    "license": ("license", "content_license"),
    "answers": ("answers", "answer_count"),
}
_HTML_COLUMNS = ("bodyhtml",)
_MARKDOWN_COLUMNS = ("bodymarkdown",)
OPTIONAL = ("created", "link", "license", "answers")
"""Fields whose unreadable values do not reject their row."""

MAX_TITLE = 10_000

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORDS = re.compile(r"\w+")
_SEPARATORS = re.compile(r"[\s_.\-]+")
# Number of different sets of columns that are cached.
_MOST_SHAPES = 256
Value = TypeVar("Value")

_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


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
        id: the source's id, or one derived from the title.
        title: the title.
        body: the body, if the source has one.
        html: whether the body is known to be HTML.
        tags: the tags in normal form.
        complete: whether they are all the tags of the question.
        score: net votes, if known.
        created: when it was asked, as written in the source.
        link: its URL.
        license: its license.
        answered: whether it has an answer, if known.
        respelled: tags in another form, each with its normal form.
        markdown: whether the body is known to be Markdown.
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
    markdown: bool = False


class ColumnMap:
    """Finds the fields of a question in the rows of one source.

    Args:
        chosen: field to column, for columns that are not recognized by name.
        used: fields to read; others are ignored.
        optional: fields whose unreadable values are noted and treated as unknown.
        notices: collects notices.
    """

    def __init__(
        self,
        chosen: Mapping[str, str],
        used: Collection[str] = FIELDS,
        optional: Collection[str] = OPTIONAL,
        notices: Notices | None = None,
    ) -> None:
        self._optional = optional
        self._names = {
            field: (chosen[field],) if field in chosen else KNOWN_COLUMNS[field]
            for field in FIELDS
            if field in used
        }
        self.notices = notices if notices is not None else Notices()
        self.seen: dict[str, None] = {}
        self.found: set[str] = set()
        self._shapes: dict[frozenset[str], dict[str, tuple[str, ...]]] = {}
        self._columns: dict[str, tuple[str, ...]] = {}

    def read(self, row: Mapping[str, object]) -> SourceRow:
        """Check one row.

        Raises:
            RowError: a required field is missing or of the wrong type.
        """
        self.note(row)
        title_column, title = self._first(row, "title")
        title = _text(title, title_column)
        if not title.strip():
            raise RowError("is empty", title_column)
        if len(title) > MAX_TITLE:
            detail = f"{len(title):,}"
            raise RowError(f"has more than {MAX_TITLE:,} characters", title_column, detail)
        body_column, body = self._first(row, "body", required=False)
        labels = self._labels(row)
        return SourceRow(
            id=self._id(row, title),
            title=title,
            body=_text(body, body_column) if body is not None else None,
            html=normal_name(body_column) in _HTML_COLUMNS,
            tags=labels.tags,
            complete=self._flag(row),
            score=self._value(row, "score", read_number),
            created=self._value(row, "created", _date),
            link=self._value(row, "link", _plain),
            license=self._value(row, "license", _plain),
            answered=self._value(row, "answers", _has_answer),
            respelled=labels.respelled,
            markdown=normal_name(body_column) in _MARKDOWN_COLUMNS,
        )

    def missing(self, needed: Sequence[str] = ("title", "tags")) -> tuple[str, ...]:
        """Needed fields for which no row has had a column so far."""
        return tuple(field for field in needed if field not in self.found)

    def note(self, names: Collection[str]) -> None:
        """Find the fields of these columns."""
        shape = frozenset(names)
        known = self._shapes.get(shape)
        if known is None:
            if len(self._shapes) < _MOST_SHAPES:
                self.seen.update(dict.fromkeys(map(str, names)))
            known = self.columns(list(names))
            self.found |= known.keys()
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[shape] = known
        self._columns = known

    def columns(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The columns of each field among these, in order of preference."""
        alike: dict[str, list[str]] = {}
        for name in names:
            # Names such as _id belong to the database, not to the question.
            if not name.startswith("_"):
                alike.setdefault(normal_name(name), []).append(name)
        found = {}
        for field, wanted in self._names.items():
            exact = [name for name in wanted if name in names]
            others = [other for name in wanted for other in alike.get(normal_name(name), ())]
            if chosen := tuple(dict.fromkeys((*exact, *others))):
                found[field] = chosen
        return found

    def _first(self, row: Mapping[str, object], field: str, required: bool = True) -> tuple[str, object]:
        present = self._columns.get(field, ())
        blank = "is null"
        for name in present:
            value = row[name]
            if isinstance(value, Unreadable):
                raise RowError(value.reason, name, value.detail)
            if not is_absent(value):
                return name, value
            if (text := missing_text(value)) is not None:
                self.notices.took_for_missing(name, text)
                blank = "is a marker for a missing value"
            elif isinstance(value, str):
                blank = "is empty"
        # Absent here, so use its name in the other rows.
        names = present or [name for name in self._names.get(field, ()) if name in self.seen] or [field]
        if required:
            raise RowError(blank if present else "is missing", names[0])
        return names[0], None

    def _value(self, row: Mapping[str, object], field: str, read: Callable[[object], Value]) -> Value | None:
        """The value of a field; None if it is absent, or unreadable and optional."""
        name = field
        try:
            name, value = self._first(row, field, required=False)
            return None if value is None else read(value)
        except (RowError, ValueFormError) as error:
            refused = error if isinstance(error, RowError) else RowError(str(error), name)
            if field not in self._optional:
                raise refused from None
            self.notices.could_not_read(refused.field or field, refused.reason)
            return None

    def _labels(self, row: Mapping[str, object]) -> Labels:
        name, tags = self._first(row, "tags", required=False)
        try:
            labels = read_labels(tags)
        except LabelError as error:
            raise RowError(error.reason, name, error.detail) from None
        for text in labels.missing:
            self.notices.took_for_missing(name, text)
        return labels

    def _id(self, row: Mapping[str, object], title: str) -> str:
        found = self._value(row, "id", _id_text)
        # Stable, so that a question keeps its id when rows are added.
        return made_id(title) if found is None else str(found)

    def _flag(self, row: Mapping[str, object]) -> bool:
        name, value = self._first(row, "tags_complete", required=False)
        value = plain_value(value)
        text = str(value).strip().lower()
        if value is None or (isinstance(value, bool | int | float | str) and text in _TRUE):
            return True
        if isinstance(value, bool | int | float | str) and text in _FALSE:
            return False
        raise RowError("must be true or false", name)


def made_id(title: str) -> str:
    """The id of a question without one, derived from the words of its title."""
    return "q-" + hashlib.sha256(normalize_text(title).encode()).hexdigest()[:12]


def normal_name(name: str) -> str:
    """The name of a column without case, spaces, underscores and hyphens.

    Example:
        >>> normal_name(" Question_ID ")
        'questionid'
    """
    return _SEPARATORS.sub("", name.strip("\ufeff")).casefold()


def normalize_text(text: str) -> str:
    """The words of a text in lower case, without punctuation: equal for texts that differ only in form."""
    import unicodedata

    return " ".join(_WORDS.findall(unicodedata.normalize("NFKC", text).casefold()))


def _text(value: object, field: str) -> str:
    try:
        value = plain_value(value)
    except ValueFormError as error:
        raise RowError(str(error), field) from None
    if not isinstance(value, str):
        raise RowError(f"must be a string, not {kind_of(value)}", field)
    if _SURROGATE.search(value):
        raise RowError("contains half a character (a lone surrogate)", field)
    return value


def _id_text(value: object) -> str:
    text = read_id(value)
    if _SURROGATE.search(text):
        raise ValueFormError("contains half a character (a lone surrogate)")
    return text


def _date(value: object) -> str:
    """A date as written in the source, after checking that it is one."""
    moment = to_moment(value)
    value = plain_value(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    # The format of a number is known only to its parser.
    return value if isinstance(value, str) else moment


def _plain(value: object) -> str:
    value = plain_value(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueFormError(f"must be a string, not {kind_of(value)}")
    if _SURROGATE.search(text := str(value)):
        raise ValueFormError("contains half a character (a lone surrogate)")
    return text


def _has_answer(value: object) -> bool:
    value = plain_value(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return read_number(text) > 0
        except ValueFormError:
            return text.lower() not in ("[]", "{}", "false")
    if hasattr(value, "__len__"):
        return len(value) > 0
    return bool(read_number(int(value) if isinstance(value, bool) else value) > 0)
