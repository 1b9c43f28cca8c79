"""Reviewed corrections of tags, one JSON object per line.

``lawtags labels review --out`` writes the file; a reviewer edits ``tags``::

    {"id": "4711", "given": ["patent"], "tags": ["trademark"], "title": "Can pricing be trademarked?"}

Only the difference between ``given`` and ``tags`` is applied, so a tag that was added to the question in the
meantime stays, and applying a file twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.jsonl import read_rows
from lawtags_client.tagging.vocabulary import normalize_tag

_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Correction:
    """What a reviewer changed about the tags of a question.

    Args:
        removed: tags to take off.
        added: tags to add.
    """

    removed: frozenset[str]
    added: tuple[str, ...]

    def apply(self, tags: Sequence[str]) -> list[str]:
        """The corrected tags, each once.

        Example:
            >>> Correction(frozenset({"patent"}), ("trademark",)).apply(["patent", "usa"])
            ['usa', 'trademark']
        """
        kept = [tag for tag in tags if tag not in self.removed]
        return list(dict.fromkeys([*kept, *self.added]))


def load_corrections(path: str | Path) -> dict[str, Correction]:
    """Read a file of corrections.

    Args:
        path: JSON Lines with ``id``, ``given`` and ``tags``; other fields are for the reviewer.

    Returns:
        Question id to its correction, without the questions whose tags were left as they are.

    Raises:
        DataError: the file cannot be read, a field is missing or invalid, or an id occurs twice with
            different tags.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                "is too large for a file of corrections", path=path, hint="Check that it is the right file."
            )
        found: dict[str, Correction] = {}
        for line, name, correction in _corrections(path):
            if found.setdefault(name, correction) != correction:
                raise DataError(
                    f"corrects the question {name!r} twice, with different tags",
                    path=path,
                    line=line,
                    field="id",
                    hint="Keep one of the lines.",
                )
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Check the path.") from error
    return {name: each for name, each in sorted(found.items()) if each.removed or each.added}


def _corrections(path: Path) -> Iterator[tuple[int, str, Correction]]:
    for line, row in read_rows(path):
        name = row.get("id")
        if not isinstance(name, str) or not name:
            raise DataError(
                "must be the id of a question, as text",
                path=path,
                line=line,
                field="id",
                hint="Copy it from lawtags labels review --out.",
            )
        given, tags = _tags(row, "given", path, line), _tags(row, "tags", path, line)
        added = tuple(tag for tag in tags if tag not in given)
        yield line, name, Correction(frozenset(given) - set(tags), added)


def _tags(row: Mapping[str, object], field: str, path: Path, line: int) -> list[str]:
    value = row.get(field)
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise DataError(
            "must be a list of strings", path=path, line=line, field=field, hint='Write ["tag", "other-tag"].'
        )
    tags = list(dict.fromkeys(map(normalize_tag, value)))
    if "" in tags:
        raise DataError("contains an empty tag", path=path, line=line, field=field, hint="Remove it.")
    return tags
