"""Rows of one JSON array, read one after the other."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lawtags_client.errors import DataError
from lawtags_client.jsonl.faults import JsonFault, not_an_object
from lawtags_client.jsonl.fields import EXACT, element_end, salvage, undecoded_fields

_CHUNK = 1 << 20
_SKIP = re.compile(r"[\s,]*")
_UNDECODED = re.compile("[\udc80-\udcff]")

# An error this close to the end of the buffer may be caused by the buffer's end, not by the file.
_NEAR_END = 16


class ArrayReader:
    """Reads one element at a time from a buffer that is filled as needed.

    A syntax error in the array makes everything after it unreadable, so the whole file is rejected. An
    invalid element that can be skipped does not affect the others.

    Args:
        stream: the file; its next character but for spaces is the array's bracket.
        path: names the file in errors.
        line: the line on which the stream is.
        limit: the most bytes of an element.
        decoder: of the elements.
    """

    def __init__(
        self,
        stream: BinaryIO,
        path: str | Path,
        *,
        line: int = 1,
        limit: int,
        decoder: json.JSONDecoder = EXACT,
    ) -> None:
        self._stream = stream
        self._path = path
        self._limit = limit
        self._row_decoder = decoder
        # Wrong bytes become lone surrogates, so that one bad element does not stop the file.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._place = 0
        self._ended = False
        self._line = line
        self._passed = 0  # characters of the line that have left the buffer
        self._rows = 0

    def rows(self) -> Iterator[tuple[int, dict[str, object] | JsonFault, str]]:
        """The elements: the line where each begins, the row or what is wrong with it, and its text.

        Raises:
            DataError: the array is not closed, or so malformed that its elements cannot be separated.
        """
        self._fill()
        self._advance(self._text.index("[") + 1)
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
            if len(self._text) - self._place > self._limit:
                raise self._broken(f"holds a row longer than {self._limit >> 20} MiB")
            self._fill()

    def _element(self) -> tuple[int, dict[str, object] | JsonFault, str] | None:
        # None: the buffer does not contain a complete element yet.
        line = self._line
        try:
            values, end = self._row_decoder.raw_decode(self._text, self._place)
        except RecursionError:
            found = element_end(self._text, self._place)
            if found is None:
                return None
            element = self._text[self._place : found]
            values = salvage(self._row_decoder, element)
            self._advance(found)
            if values is None:
                return line, JsonFault("is nested too deeply"), element
            return line, _marked(values, element), element
        except json.JSONDecodeError as error:
            self._check_error(error)
            return None
        # A number at the end of the buffer may continue.
        if end == len(self._text) and not self._ended:
            return None
        element = self._text[self._place : end]
        self._advance(end)
        if not isinstance(values, dict):
            return line, not_an_object(values), element
        return line, _marked(values, element), element

    def _check_error(self, error: json.JSONDecodeError) -> None:
        """Raise an error that more of the file cannot resolve."""
        if error.msg.startswith("Unterminated"):
            return
        if self._ended and error.pos >= len(self._text):
            return
        if not self._ended and error.pos > len(self._text) - _NEAR_END:
            return
        self._line += self._text.count("\n", self._place, error.pos)
        passed = self._passed if error.lineno == 1 else 0
        raise self._broken(f"is not valid JSON from here on: {error.msg}", passed + error.colno)

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
        return DataError(
            f"{message}; {self._rows} rows come before it",
            path=self._path,
            line=self._line,
            column=column,
            hint="Check whether the file was truncated, or joined from several; the rest cannot be read.",
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
        begin = self._text.rfind("\n", 0, self._place) + 1
        self._passed = self._place - begin + (0 if begin else self._passed)
        # Double the buffer, or a long row would be parsed again and again; but stay within the row limit.
        most = self._limit + _CHUNK - len(left)
        raw = self._stream.read(min(max(_CHUNK, len(left)), most))
        self._ended = not raw
        self._text = left + self._decoder.decode(raw, final=self._ended)
        self._place = 0


def _marked(values: dict[str, object], element: str) -> dict[str, object]:
    """The values of an element, with ``Unreadable`` for those that are not UTF-8."""
    if element.isascii() or not _UNDECODED.search(element):
        return values
    raw = element.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Not the position in the file: counting all bytes before it would cost too much.
        return undecoded_fields(values, raw, error, f"byte {error.start + 1} of the row")
    return values
