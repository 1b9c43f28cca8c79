"""Rows of JSON: one object a line, or one array of objects."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from lawtags_client.curation.read.json_values import (
    DECODER,
    element_end,
    salvage,
    undecoded_fields,
)
from lawtags_client.curation.read.raw import BadRow, RawRow
from lawtags_client.curation.read.streams import MAX_ROW_BYTES, open_rows, undecoded
from lawtags_client.errors import DataError

_CHUNK = 1 << 20
_SKIP = re.compile(r"[\s,]*")
_UNDECODED = re.compile("[\udc80-\udcff]")
_LIST_UNDER_KEY = re.compile(rb'\s*\{\s*"([\w.-]{1,60})"\s*:\s*\[\s*[{\]]', re.ASCII)

# An error so close to the end of the buffer may be one of the buffer's, not of the file's.
_NEAR_END = 16


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
            yield from _ArrayReader(stream, path, lines).rows()
        else:
            yield from _lines(stream, path, lines)


def _lines(stream: BufferedReader[Any], path: Path, line: int) -> Iterator[RawRow | BadRow]:
    offset, first = stream.tell(), True
    while raw := stream.readline(MAX_ROW_BYTES + 1):
        size = len(raw)
        if size > MAX_ROW_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_ROW_BYTES)
                size += len(raw)
            yield BadRow(line, f"is longer than {MAX_ROW_BYTES >> 20} MiB", detail=f"{size:,} bytes")
            line, offset, first = line + 1, offset + size, False
            continue
        # A carriage return cannot stand inside JSON text, so old line ends part rows as well.
        ended = raw.endswith(b"\n")
        parts = raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")
        begin = offset
        for place, part in enumerate(parts):
            if part.strip():
                torn = place == len(parts) - 1 and not ended
                row = _row(part, line + place, begin, torn)
                if first and isinstance(row, BadRow):
                    _check_form(part, stream, path, line)
                first = False
                yield row
            begin += len(part) + 1
        line, offset = line + len(parts), offset + size


def _row(raw: bytes, line: int, offset: int, torn: bool) -> RawRow | BadRow:
    wrong: UnicodeDecodeError | None = None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Wrong bytes become lone surrogates, which cost the field that they stand in and no other.
        text, wrong = raw.decode("utf-8", "surrogateescape"), error
    try:
        values = DECODER.decode(text)
    except RecursionError:
        values = salvage(text)
        if values is None:
            return BadRow(line, "is nested too deeply")
    except json.JSONDecodeError as error:
        if wrong is not None and error.msg.startswith(("Extra data", "Expecting", "Unterminated")):
            return undecoded(raw, wrong, _place(wrong, offset)).at(line)
        return _no_json(error, text, line, torn)
    if not isinstance(values, dict):
        return BadRow(line, f"is not a JSON object but {_KINDS.get(type(values), 'a value')}")
    if wrong is not None:
        values = undecoded_fields(values, raw, wrong, _place(wrong, offset))
    return RawRow(line, values)


def _place(error: UnicodeDecodeError, offset: int) -> str:
    byte = error.start + 1
    return f"byte {byte} of the line, {offset + byte} of the file"


def _no_json(error: json.JSONDecodeError, text: str, line: int, torn: bool) -> BadRow:
    column = f"column {error.colno}"
    if "\0" in text:
        return BadRow(line, "holds a NUL byte", detail=f"column {text.index(chr(0)) + 1}")
    if error.msg == "Extra data":
        if text[error.pos] in "{[":
            reason = "holds several JSON values; one object a line is read"
            return BadRow(line, reason, detail=f"the second begins in {column}")
    elif torn and (error.pos >= len(text) or error.msg.startswith("Unterminated")):
        return BadRow(line, "is cut off: the file ends within it", detail=f"{error.msg}, {column}")
    if re.match(r"\s*\{\s*'", text):
        return BadRow(line, "is not valid JSON but looks like Python: keys and strings need double quotes")
    return BadRow(line, "is not valid JSON", detail=f"{error.msg}, {column}")


def _check_form(raw: bytes, stream: BufferedReader[Any], path: Path, line: int) -> None:
    """Refuse a file whose first line shows that its lines are no rows.

    Raises:
        DataError: one object goes over several lines.
    """
    rest = stream.peek(1)
    if not raw.lstrip().startswith(b"{") or not rest or rest.lstrip()[:1] in (b"{", b""):
        return
    if found := _LIST_UNDER_KEY.match(raw + b"\n" + rest):
        raise list_under(found[1].decode(), path, line)
    raise DataError(
        "is neither one object a line nor a list: an object spans several lines",
        path=path,
        line=line,
        hint=f"Put each object on a line of its own: jq -c . {path.name} > rows.jsonl",
    )


def list_under(key: str, path: Path, line: int) -> DataError:
    """What is to be said of a file that is one object, with the rows in it.

    Args:
        key: the name under which they stand.
        path: the file.
        line: where the object begins.
    """
    return DataError(
        f"is one JSON object, with a list under {key!r}; rows are read from a list, or one object a line",
        path=path,
        line=line,
        hint=f"Take the list out: jq -c '.[\"{key}\"][]' {path.name} > rows.jsonl",
    )


class _ArrayReader:
    """Reads one element after the other from a buffer that is filled as needed.

    What breaks the array hides everything behind it, however much that is, so the whole file is refused. An
    element that can be stepped over costs no other.
    """

    def __init__(self, stream: BufferedReader[Any], path: Path, line: int) -> None:
        self._stream = stream
        self._path = path
        # Wrong bytes become lone surrogates, so that one bad element does not stop the file.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._place = 0
        self._ended = False
        self._line = line
        self._rows = 0

    def rows(self) -> Iterator[RawRow | BadRow]:
        self._fill()
        self._place = self._text.index("[") + 1
        while True:
            self._skip_separators()
            if self._place < len(self._text):
                if self._text[self._place] == "]":
                    self._check_end()
                    return
                row = self._element()
                if row is not None:
                    self._rows += 1
                    yield row
                    continue
            if self._ended:
                raise self._broken("is cut off: the list is not closed")
            if len(self._text) - self._place > MAX_ROW_BYTES:
                raise self._broken(f"holds a row longer than {MAX_ROW_BYTES >> 20} MiB")
            self._fill()

    def _element(self) -> RawRow | BadRow | None:
        # None: no whole element stands in the buffer yet.
        line = self._line
        try:
            values, end = DECODER.raw_decode(self._text, self._place)
        except RecursionError:
            found = element_end(self._text, self._place)
            if found is None:
                return None
            values, end = salvage(self._text[self._place : found]), found
            if values is None:
                self._advance(end)
                return BadRow(line, "is nested too deeply")
        except json.JSONDecodeError as error:
            self._check_error(error)
            return None
        # A number at the end of the buffer may go on.
        if end == len(self._text) and not self._ended:
            return None
        element = self._text[self._place : end]
        self._advance(end)
        if not isinstance(values, dict):
            return BadRow(line, f"is not a JSON object but {_KINDS.get(type(values), 'a value')}")
        return RawRow(line, _decoded(values, element))

    def _check_error(self, error: json.JSONDecodeError) -> None:
        """Raise what more of the file cannot mend."""
        if error.msg.startswith("Unterminated"):
            return
        if self._ended and error.pos >= len(self._text):
            return
        if not self._ended and error.pos > len(self._text) - _NEAR_END:
            return
        self._line += self._text.count("\n", self._place, error.pos)
        raise self._broken(f"is not valid JSON from here on: {error.msg}", error.colno)

    def _check_end(self) -> None:
        rest = self._text[self._place + 1 :]
        while not rest.strip() and not self._ended:
            self._advance(len(self._text))
            self._fill()
            rest = self._text
        if text := rest.strip():
            self._line += rest[: rest.index(text[0])].count("\n")
            form = " (a second list?)" if text[0] == "[" else ""
            raise self._broken(f"continues after the end of its list{form}")

    def _broken(self, message: str, column: int | None = None) -> DataError:
        where = f", column {column}" if column else ""
        return DataError(
            f"{message}{where}; {self._rows} rows come before it",
            path=self._path,
            line=self._line,
            hint="Was the file cut off, or joined from several? Nothing after this point can be read.",
        )

    def _skip_separators(self) -> None:
        found = _SKIP.match(self._text, self._place)
        if found:
            self._advance(found.end())

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._place, end)
        self._place = end

    def _fill(self) -> None:
        left = self._text[self._place :]
        # As much again as there is, or a long row would be read over and over; but no more than a row may be.
        most = MAX_ROW_BYTES + _CHUNK - len(left)
        raw = self._stream.read(min(max(_CHUNK, len(left)), most))
        self._ended = not raw
        self._text = left + self._decoder.decode(raw, final=self._ended)
        self._place = 0


def _decoded(values: dict[str, Any], element: str) -> dict[str, Any]:
    """The values of an element, of which those that are not UTF-8 say so."""
    if element.isascii() or not _UNDECODED.search(element):
        return values
    raw = element.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Not the file's byte: counting all those before would cost more than it tells.
        return undecoded_fields(values, raw, error, f"byte {error.start + 1} of the row")
    return values


_KINDS = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
