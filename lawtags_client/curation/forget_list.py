"""Lists of questions that are to be forgotten, as somebody asked for their deletion.

One question a line: its id, or the SHA-256 of its id in hexadecimal, so that a list can be kept that names
nobody. Empty lines and lines that begin with ``#`` say nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lawtags_client.errors import DataError

_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class ForgetList:
    """Questions that are to be forgotten.

    Args:
        asked: a hash for each line, sorted, each once.
        hashes: what the hash of an id is looked up in; of a line that looks like a hash the hash, too, since
            an id may look like one.
    """

    asked: tuple[str, ...] = ()
    hashes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, lines: Iterable[str]) -> ForgetList:
        """A list of ids and hashes.

        Example:
            >>> "17" in ForgetList.of(["17"])
            True
        """
        named = {line.strip() for line in lines}
        named = {line for line in named if line and not line.startswith("#")}
        alike = {line.lower() for line in named if _HASH.fullmatch(line)}
        asked = alike | {id_hash(line) for line in named if not _HASH.fullmatch(line)}
        return cls(tuple(sorted(asked)), frozenset(asked | {id_hash(line) for line in named}))

    def __contains__(self, question: object) -> bool:
        return isinstance(question, str) and bool(self.hashes) and id_hash(question) in self.hashes

    def __or__(self, other: ForgetList) -> ForgetList:
        asked = {*self.asked, *other.asked}
        return ForgetList(tuple(sorted(asked)), self.hashes | other.hashes)

    def record(self, forgotten: Iterable[str], at: datetime) -> dict[str, Any]:
        """What ``curation.json`` says of a removal: hashes of ids and numbers, and no text.

        Args:
            forgotten: the ids of the rows that were removed, of some perhaps twice.
            at: when.
        """
        rows = list(forgotten)
        return {
            "at": at.isoformat(timespec="seconds"),
            "asked": len(self.asked),
            "rows": len(rows),
            "hashes": sorted({id_hash(row) for row in rows} | set(self.asked)),
        }


def id_hash(question: str) -> str:
    """The SHA-256 of a question's id in hexadecimal, as ``printf %s ID | sha256sum`` gives it."""
    return hashlib.sha256(question.encode()).hexdigest()


def load_forget_list(path: str | Path) -> ForgetList:
    """Read a list.

    Raises:
        DataError: the file cannot be read, or names nothing.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, hint="Convert it: iconv -t UTF-8") from error
    found = ForgetList.of(text.splitlines())
    if not found.asked:
        raise DataError("names no question", path=path, hint="Write one id or SHA-256 of an id a line.")
    return found


def remembered(report: Path) -> ForgetList:
    """What was forgotten in a folder, as its ``curation.json`` says; nothing where there is none to read."""
    try:
        removals = json.loads(report.read_text(encoding="utf-8"))["forgotten"]
        return ForgetList.of(made for removal in removals for made in removal["hashes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ForgetList()
