"""Reading whole files of rows, for callers that need every row to be valid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from lawtags_client.json_value import JsonRow
from lawtags_client.jsonl.arrays import ArrayReader
from lawtags_client.jsonl.decoding import decode_row, refuse_unreadable
from lawtags_client.jsonl.faults import JsonFault
from lawtags_client.jsonl.fields import PLAIN
from lawtags_client.jsonl.lines import LONGEST_LINE, TooLong, read_lines

_MARK = b"\xef\xbb\xbf"
_EXACT_LINES = 500


@dataclass(frozen=True, slots=True)
class LinePolicy:
    """Which lines without a row a caller accepts.

    Args:
        limit: maximum bytes per line.
        blank: whether blank lines are skipped.
        mark: whether a byte order mark before the first line is skipped.
        torn: whether a last line without a line end is skipped, because it is incomplete.
    """

    limit: int = LONGEST_LINE
    blank: bool = True
    mark: bool = True
    torn: bool = False


def parse_lines(
    stream: BinaryIO, policy: LinePolicy = LinePolicy()
) -> Iterator[tuple[int, JsonRow | JsonFault]]:
    """The rows of a file of JSON lines, or what is wrong with each, by line.

    Args:
        stream: the file.
        policy: which lines are skipped.
    """
    for number, line in read_lines(stream, policy.limit):
        row = _judged(line, number, policy)
        if row is not None:
            yield number, row


def scan_lines(
    stream: BinaryIO, policy: LinePolicy = LinePolicy()
) -> Iterator[tuple[int, JsonRow | JsonFault]]:
    """Like :func:`parse_lines`, several times faster, for callers that use only strings.

    Integers beyond 64 bits lose digits. Duplicate names are detected in the first rows, because a writer that
    produces them does so in all rows; in later rows, the last value wins.

    Args:
        stream: the file.
        policy: which lines are skipped.
    """
    from orjson import JSONDecodeError, loads

    row: JsonRow | JsonFault | None
    lines = read_lines(stream, policy.limit)
    for number, line in islice(lines, _EXACT_LINES):
        row = _judged(line, number, policy)
        if row is not None:
            yield number, row
    quick = not policy.torn
    for number, line in lines:
        try:
            row = loads(line)  # type: ignore[arg-type]  # a line that was passed over is refused, too
        except JSONDecodeError:
            row = None
        if type(row) is not dict or not (quick or _ended(line)):
            row = _judged(line, number, policy)
            if row is None:
                continue
        yield number, row


def _ended(line: bytes | TooLong) -> bool:
    return isinstance(line, bytes) and line.endswith(b"\n")


def _judged(line: bytes | TooLong, number: int, policy: LinePolicy) -> JsonRow | JsonFault | None:
    """The row in a line, what is wrong with it, or None to skip the line."""
    if isinstance(line, TooLong):
        return JsonFault(f"is longer than {policy.limit >> 20} MiB", f"{line.size:,} bytes")
    torn = not line.endswith(b"\n")
    if torn and policy.torn:
        return None
    if number == 1 and policy.mark and line.startswith(_MARK):
        line = line.removeprefix(_MARK)
        if not line:
            return None
    if not line.strip():
        return None if policy.blank else JsonFault("is an empty line; a row was expected")
    return decode_row(line, torn=torn)


def parse_array(
    stream: BinaryIO, path: str | Path, limit: int = LONGEST_LINE
) -> Iterator[tuple[int, JsonRow | JsonFault]]:
    """The rows of a JSON array, or what is wrong with each, by the line where it begins.

    Args:
        stream: the file; begins with the array.
        path: names the file in errors.
        limit: the most bytes of a row.

    Raises:
        DataError: the array itself is broken.
    """
    for line, row, text in ArrayReader(stream, path, limit=limit, decoder=PLAIN).rows():
        if isinstance(row, JsonFault):
            yield line, row
        else:
            yield line, refuse_unreadable(row, text.encode("utf-8", "surrogateescape"))


def read_rows(
    path: Path, policy: LinePolicy = LinePolicy(), *, hint: str | None = None
) -> Iterator[tuple[int, JsonRow]]:
    """The rows of a file of JSON lines, with their lines.

    Args:
        path: the file.
        policy: which lines are skipped.
        hint: what to do about an invalid row.

    Raises:
        DataError: a row is invalid; names file, line, column and field.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        for number, row in parse_lines(stream, policy):
            if isinstance(row, JsonFault):
                raise row.error(path, number, hint=hint)
            yield number, row
