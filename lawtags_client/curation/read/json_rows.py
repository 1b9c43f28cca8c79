"""Rows of JSON; an unreadable row does not affect the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from lawtags_client.curation.read.raw import BadRow, RawRow
from lawtags_client.curation.read.streams import MAX_ROW_BYTES, open_rows
from lawtags_client.errors import DataError
from lawtags_client.jsonl import ArrayReader, JsonFault, TooLong, decode_fields, read_lines

_LIST_UNDER_KEY = re.compile(rb'\s*\{\s*"([\w.-]{1,60})"\s*:\s*\[\s*[{\]]', re.ASCII)

_MARKUP = re.compile(rb"\s*<(?:!doctype|html|\?xml|head|body)\b", re.IGNORECASE)
_TABLE_HEADER = re.compile(rb'\s*"?[\w -]{1,60}"?(?:[,;\t|]"?[\w .-]{0,60}"?)+\s*', re.ASCII)


def read_json(path: Path) -> Iterator[RawRow | BadRow]:
    """The rows of a JSON Lines file or a JSON array; the content decides, not the name.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    with open_rows(path) as stream:
        lines, start = 1, b""
        while block := stream.peek(1):
            if start := block.lstrip()[:1]:
                lines += stream.read(block.index(start)).count(b"\n")
                break
            lines += stream.read(len(block)).count(b"\n")
        if not start:
            raise DataError(
                f"holds no rows, only {lines} blank lines", path=path, hint="Is it the right file?"
            )
        if start == b"[":
            for line, row, _ in ArrayReader(stream, path, line=lines, limit=MAX_ROW_BYTES).rows():
                yield _row(line, row)
        else:
            yield from _lines(stream, path, lines)


def _lines(stream: BufferedReader, path: Path, line: int) -> Iterator[RawRow | BadRow]:
    offset, first = stream.tell(), True
    for _, raw in read_lines(stream, MAX_ROW_BYTES):
        if isinstance(raw, TooLong):
            yield BadRow(line, f"is longer than {MAX_ROW_BYTES >> 20} MiB", detail=f"{raw.size:,} bytes")
            line, offset, first = line + 1, offset + raw.size, False
            continue
        # A carriage return alone ends a line in old systems.
        ended = raw.endswith(b"\n")
        parts = raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")
        begin = offset
        for place, part in enumerate(parts):
            if part.strip():
                torn = place == len(parts) - 1 and not ended
                row = _row(line + place, decode_fields(part, offset=begin, torn=torn))
                if first and isinstance(row, BadRow):
                    _check_form(part, stream, path, line)
                first = False
                yield row
            begin += len(part) + 1
        line, offset = line + len(parts), offset + len(raw)


def _row(line: int, row: dict[str, object] | JsonFault) -> RawRow | BadRow:
    if isinstance(row, JsonFault):
        return BadRow(line, row.reason, row.field, row.detail, row.column)
    return RawRow(line, row)


def _check_form(raw: bytes, stream: BufferedReader, path: Path, line: int) -> None:
    """Reject a file whose first line shows that its lines are not rows.

    Raises:
        DataError: one object spans several lines, or the file is a web page or a table.
    """
    rest = stream.peek(1)
    if _MARKUP.match(raw):
        raise DataError(
            "is a web page or XML, not JSON",
            path=path,
            line=line,
            hint="Check what was downloaded: it may be an error page, or a file for the ending .xml.",
        )
    if not rest or rest.lstrip()[:1] in (b"{", b""):
        return
    if not raw.lstrip().startswith(b"{"):
        if _TABLE_HEADER.fullmatch(raw):
            ending = "tsv" if b"\t" in raw else "csv"
            raise DataError(
                "looks like a table with a header, not like JSON",
                path=path,
                line=line,
                hint=f"Rename it: mv {path.name} {path.stem}.{ending}",
            )
        return
    if found := _LIST_UNDER_KEY.match(raw + b"\n" + rest):
        raise list_under(found[1].decode(), path, line)
    raise DataError(
        "is neither one object per line nor a list: an object spans several lines",
        path=path,
        line=line,
        hint=f"Put each object on a line of its own: jq -c . {path.name} > rows.jsonl",
    )


def list_under(key: str, path: Path, line: int) -> DataError:
    """The error for a file that is one object, with the rows in a list.

    Args:
        key: the key of the list.
        path: the file.
        line: where the object begins.
    """
    return DataError(
        f"is one JSON object, with a list under {key!r}; rows are read from a list, or one object per line",
        path=path,
        line=line,
        hint=f"Take the list out: jq -c '.[\"{key}\"][]' {path.name} > rows.jsonl",
    )
