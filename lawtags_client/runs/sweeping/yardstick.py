"""Whether combinations of a sweep are measured by the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lawtags_client.errors import ConfigurationError


@dataclass(slots=True)
class Yardstick:
    """The validation rows of the first combination, with their tags."""

    _first: str = ""
    _rows: dict[str, frozenset[str]] = field(default_factory=dict)

    def check(self, label: str, folder: Path) -> None:
        """Compare the validation rows of a combination with those of the first.

        Args:
            label: the combination, in words.
            folder: in which its rows were curated.

        Raises:
            ConfigurationError: they are others, or have other tags.
        """
        from lawtags_client.tagging.question import read_questions

        path = folder / "curated" / "questions" / "validation.jsonl"
        rows = {question.id: frozenset(question.tags) for question in read_questions(path)}
        if not self._rows:
            self._first, self._rows = label, rows
        elif rows != self._rows:
            other = sum(rows.get(row) != self._rows.get(row) for row in rows.keys() | self._rows.keys())
            raise ConfigurationError(
                f"{self._first} and {label} cannot be compared: {other} validation rows are not the same, or "
                "have other tags",
                hint="Sweep over other keys, or compare two runs on a test file of its own: "
                "lawtags run --test FILE, then lawtags runs compare.",
            )
