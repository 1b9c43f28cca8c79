"""What was noticed while reading that cost no row: texts that mean nothing, values that could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lawtags_client.curation.records import ValueNotices

# So many kinds are told by name; the others are counted together.
_SHOWN = 50


@dataclass
class _UnreadableValues:
    rows: int
    file: str
    line: int


@dataclass
class Notices:
    """Counts, by column, what was taken for a missing value and what could not be read.

    Args:
        file: the source that is being read.
        line: the line of the row at hand.
        missing: column to text that stands for a missing value, with its rows.
        dropped: file to characters that its format does not allow.
    """

    file: str = ""
    line: int = 0
    missing: dict[str, Counter[str]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    _unread: dict[tuple[str, str], _UnreadableValues] = field(default_factory=dict)

    def took_for_missing(self, column: str, text: str) -> None:
        """A text stood in a column for a missing value."""
        self.missing.setdefault(column, Counter())[text] += 1

    def could_not_read(self, column: str, reason: str) -> None:
        """A value that no row hangs on could not be read, and is unknown now."""
        found = self._unread.setdefault((column, reason), _UnreadableValues(0, self.file, self.line))
        found.rows += 1

    def as_dict(self) -> ValueNotices:
        """All of it, as ``curation.json`` holds it."""
        unread = sorted(self._unread.items(), key=lambda pair: (-pair[1].rows, pair[0]))[:_SHOWN]
        return {
            "missing": {
                column: dict(sorted(texts.items())) for column, texts in sorted(self.missing.items())
            },
            "unreadable": [
                {
                    "field": column,
                    "reason": reason,
                    "rows": found.rows,
                    "first": {"file": found.file, "line": found.line},
                }
                for (column, reason), found in unread
            ],
            "dropped_characters": dict(sorted(self.dropped.items())),
        }


def value_notes(values: ValueNotices) -> list[str]:
    """The notices in sentences.

    Args:
        values: of :meth:`Notices.as_dict`.
    """
    notes = []
    for column, texts in values.get("missing", {}).items():
        told = ", ".join(f"{text} ({rows})" for text, rows in texts.items())
        notes.append(f"{column}: {_values(sum(texts.values()))} read as missing: {told}")
    for found in values.get("unreadable", []):
        place = f"{found['first']['file']}:{found['first']['line']}"
        notes.append(
            f"{found['field']}: {_values(found['rows'])} unknown, the first at {place}: {found['reason']}"
        )
    for file, count in values.get("dropped_characters", {}).items():
        notes.append(f"{file}: {count} characters that XML does not allow were dropped")
    return notes


def _values(count: int) -> str:
    return f"{count} value{'s' * (count != 1)}"
