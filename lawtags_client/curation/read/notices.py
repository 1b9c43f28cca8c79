"""Notices about values that do not reject their row: markers for missing values, and unreadable values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lawtags_client.curation.records import ValueNotices

# Maximum number of kinds that are listed.
_SHOWN = 50


@dataclass
class _UnreadableValues:
    rows: int
    file: str
    line: int


@dataclass
class Notices:
    """Counts, by column, markers for missing values and unreadable values.

    Args:
        file: the source that is being read.
        line: the line of the current row.
        missing: column to marker for a missing value, with its rows.
        dropped: file to characters that its format does not allow.
    """

    file: str = ""
    line: int = 0
    missing: dict[str, Counter[str]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    _unread: dict[tuple[str, str], _UnreadableValues] = field(default_factory=dict)

    def took_for_missing(self, column: str, text: str) -> None:
        """Count a marker for a missing value."""
        self.missing.setdefault(column, Counter())[text] += 1

    def could_not_read(self, column: str, reason: str) -> None:
        """Count an unreadable value that is treated as unknown."""
        found = self._unread.setdefault((column, reason), _UnreadableValues(0, self.file, self.line))
        found.rows += 1

    def as_dict(self) -> ValueNotices:
        """The notices as stored in ``curation.json``."""
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
    """The notices as sentences.

    Args:
        values: of :meth:`Notices.as_dict`.
    """
    notes = []
    for column, texts in values.get("missing", {}).items():
        listed = ", ".join(f"{text} ({rows})" for text, rows in texts.items())
        notes.append(f"{column}: {_values(sum(texts.values()))} read as missing: {listed}")
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
