"""Lists of questions to forget, because somebody requested their deletion.

One question per line: its id, or the SHA-256 of its id in hexadecimal, for lists that must not identify
anyone. Empty lines, lines that begin with ``#``, and a column name in the first line are ignored. Ids may be
quoted, or formatted as spreadsheets format numbers.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lawtags_client.curation.read.columns import normal_name
from lawtags_client.curation.read.values import whole_text
from lawtags_client.curation.records import RemovalRecord
from lawtags_client.errors import DataError

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_HEADERS = ("id", "questionid", "rowid", "postid")
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("„", "“"), ("«", "»"), ("‘", "’"))
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+", re.ASCII)
_SCIENTIFIC = re.compile(r"(\d)\.(\d+)[eE]\+?(\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class ForgetEntry:
    """One line of a list.

    Args:
        given: as it stands there.
        asked: the hash that a record names it by.
        hashes: those that an id may have to be meant.
    """

    given: str
    asked: str
    hashes: frozenset[str]

    @classmethod
    def of(cls, given: str) -> ForgetEntry:
        """Parse a line."""
        spellings = _spellings(given)
        plain = spellings[-1]
        if _HASH.fullmatch(plain):
            # An id may look like a hash.
            return cls(given, plain.lower(), frozenset({plain.lower(), id_hash(plain)}))
        return cls(given, id_hash(plain), frozenset(map(id_hash, spellings)))


@dataclass(frozen=True)
class ForgetList:
    """Questions to forget.

    Args:
        asked: a hash for each line, sorted, each once.
        hashes: what the hash of an id is looked up in; of a line that looks like a hash the hash, too, since
            an id may look like one.
        entries: the lines that it was read from.
    """

    asked: tuple[str, ...] = ()
    hashes: frozenset[str] = frozenset()
    entries: tuple[ForgetEntry, ...] = ()

    @classmethod
    def of(cls, lines: Iterable[str]) -> ForgetList:
        """A list of ids and hashes.

        Example:
            >>> "17" in ForgetList.of(["17"]), "q1" in ForgetList.of(['"q1"']), "3" in ForgetList.of(["3.0"])
            (True, True, True)
        """
        named = [line.strip().strip("\ufeff") for line in lines]
        named = [line for line in named if line and not line.startswith("#")]
        if len(named) > 1 and normal_name(_spellings(named[0])[-1]) in _HEADERS:
            named = named[1:]
        return cls._with(tuple(map(ForgetEntry.of, dict.fromkeys(named))))

    @classmethod
    def _with(cls, entries: tuple[ForgetEntry, ...]) -> ForgetList:
        asked = tuple(sorted({entry.asked for entry in entries}))
        return cls(asked, frozenset().union(*(entry.hashes for entry in entries)), entries)

    def __contains__(self, question: object) -> bool:
        return isinstance(question, str) and bool(self.hashes & _hashes(question))

    def __or__(self, other: ForgetList) -> ForgetList:
        return self._with(tuple(dict.fromkeys((*self.entries, *other.entries))))

    def not_found(self, forgotten: Iterable[str]) -> tuple[ForgetEntry, ...]:
        """The lines that match no question.

        Args:
            forgotten: the ids of the questions that were removed.
        """
        found = frozenset().union(*map(_hashes, forgotten))
        return tuple(entry for entry in self.entries if not entry.hashes & found)

    def named(self, asked: Iterable[str]) -> list[str]:
        """The lines with these hashes, as written in the list."""
        wanted = set(asked)
        return [entry.given for entry in self.entries if entry.asked in wanted]

    def record(self, forgotten: Iterable[str], at: datetime) -> RemovalRecord:
        """The record of a removal for ``curation.json``: hashes of ids and counts, but no text.

        Args:
            forgotten: the ids of the removed rows, possibly with repetitions.
            at: when.
        """
        rows = list(forgotten)
        return {
            "at": at.isoformat(timespec="seconds"),
            "asked": len(self.asked),
            "rows": len(rows),
            "hashes": sorted({id_hash(row) for row in rows} | set(self.asked)),
            "not_found": sorted({entry.asked for entry in self.not_found(rows)}),
        }


def _spellings(line: str) -> list[str]:
    """The possible readings of a line, plainest last: without what spreadsheets add to a value."""
    found = [line.strip()]
    for strip in (_unquoted, _whole):
        text = strip(found[-1])
        if text and text != found[-1]:
            found.append(text)
    return found


def _unquoted(text: str) -> str:
    text = text.rstrip(",;\t ").removeprefix("=").strip() or text
    for opening, closing in _QUOTES:
        if len(text) > 2 and text.startswith(opening) and text.endswith(closing):
            return text[1:-1].replace(closing * 2, closing).strip()
    # A leading apostrophe marks text in spreadsheets.
    return text[1:] if len(text) > 1 and text.startswith("'") and "'" not in text[1:] else text


def _whole(text: str) -> str:
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    if found := _SCIENTIFIC.fullmatch(text):
        # Digits that a spreadsheet rounded away cannot be guessed.
        digits = f"{found[1]}{found[2]}"
        return digits if len(digits) == int(found[3]) + 1 else text
    return whole_text(text)


def _hashes(question: str) -> frozenset[str]:
    return frozenset({id_hash(question), id_hash(whole_text(question))})


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
        raw = path.read_bytes()
        text = raw.decode("utf-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, hint="Convert it: iconv -t UTF-8") from error
    found = ForgetList.of(text.splitlines())
    if not found.asked:
        raise DataError("contains no id", path=path, hint="Write one id, or SHA-256 of an id, per line.")
    return found


def remembered(report: Path) -> ForgetList:
    """What was forgotten in a folder according to its ``curation.json``; empty if that cannot be read."""
    try:
        removals = json.loads(report.read_text(encoding="utf-8"))["forgotten"]
        return ForgetList.of(made for removal in removals for made in removal["hashes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ForgetList()
