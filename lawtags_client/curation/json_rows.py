"""Rows of JSON: one object a line, or one array of objects."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from lawtags_client.curation.raw import BadRow, RawRow
from lawtags_client.curation.streams import MAX_ROW_BYTES, decode_line, open_rows
from lawtags_client.errors import DataError

_CHUNK = 1 << 20
_SKIP = re.compile(r"[\s,]*")


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
        if start == b"[":
            yield from _ArrayReader(stream, path, lines).rows()
        else:
            yield from _lines(stream, lines)


def _lines(stream: IO[bytes], line: int) -> Iterator[RawRow | BadRow]:
    while raw := stream.readline(MAX_ROW_BYTES + 1):
        if len(raw) > MAX_ROW_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_ROW_BYTES)
            yield BadRow(line, f"is longer than {MAX_ROW_BYTES >> 20} MiB")
            line += 1
            continue
        # A carriage return cannot stand inside JSON text, so old line ends part rows as well.
        ended = raw.endswith(b"\n")
        parts = raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")
        for place, part in enumerate(parts):
            if part.strip():
                last = place == len(parts) - 1 and not ended
                yield _row(part, line + place, torn=last)
        line += len(parts)


def _row(raw: bytes, line: int, torn: bool) -> RawRow | BadRow:
    try:
        values = _DECODER.decode(decode_line(raw))
    except RecursionError:
        return BadRow(line, "is nested too deeply")
    except json.JSONDecodeError as error:
        cut = " (the last line; was the file cut off?)" if torn else ""
        return BadRow(line, f"is no JSON: {error.msg}, column {error.colno}{cut}")
    except ValueError as error:
        return BadRow(line, str(error))
    if not isinstance(values, dict):
        return BadRow(line, f"is no JSON object but {type(values).__name__}")
    return RawRow(line, values)


class _ArrayReader:
    """Reads one element after the other from a buffer that is filled as needed."""

    def __init__(self, stream: IO[bytes], path: Path, line: int) -> None:
        self._stream = stream
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._place = 0
        self._ended = False
        self._line = line

    def rows(self) -> Iterator[RawRow | BadRow]:
        self._fill()
        self._place = self._text.index("[") + 1
        while True:
            self._skip_separators()
            if self._place < len(self._text):
                if self._text[self._place] == "]":
                    return
                row = self._element()
                if row is not None:
                    yield row
                    continue
                if self._ended:
                    yield BadRow(self._line, "is no JSON; what follows cannot be read")
                    return
            elif self._ended:
                yield BadRow(self._line, "the array is not closed (was the file cut off?)")
                return
            if len(self._text) - self._place > MAX_ROW_BYTES:
                yield BadRow(
                    self._line, f"is longer than {MAX_ROW_BYTES >> 20} MiB; what follows cannot be read"
                )
                return
            self._fill()

    def _element(self) -> RawRow | BadRow | None:
        # None: no whole element stands in the buffer yet.
        line = self._line
        try:
            values, end = _DECODER.raw_decode(self._text, self._place)
        except RecursionError:
            raise DataError(
                "is nested too deeply", path=self._path, line=line, hint="Is it a list of questions?"
            ) from None
        except json.JSONDecodeError:
            return None
        except ValueError as error:
            # A value that JSON does not have: a lenient reader finds where the element ends.
            try:
                _, end = json.JSONDecoder().raw_decode(self._text, self._place)
            except ValueError:
                return None
            self._advance(end)
            return BadRow(line, str(error))
        # A number at the end of the buffer may go on.
        if end == len(self._text) and not self._ended:
            return None
        self._advance(end)
        return RawRow(line, values) if isinstance(values, dict) else BadRow(line, "is no JSON object")

    def _skip_separators(self) -> None:
        found = _SKIP.match(self._text, self._place)
        if found:
            self._advance(found.end())

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._place, end)
        self._place = end

    def _fill(self) -> None:
        left = self._text[self._place :]
        raw = self._stream.read(max(_CHUNK, len(left)))
        self._ended = not raw
        try:
            self._text = left + self._decoder.decode(raw, final=self._ended)
        except UnicodeDecodeError:
            raise DataError(
                "is not UTF-8 from here on; maybe Windows-1252 or Latin-1",
                path=self._path,
                line=self._line,
                hint="Convert it: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None
        self._place = 0


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which JSON does not have")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("names a field twice")
    return values


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)
