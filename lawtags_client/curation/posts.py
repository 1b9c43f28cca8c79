"""Questions of Stack Exchange's data dumps: ``Posts.xml``, read as a stream.

A dump is one long list of posts, each an element ``row`` with its columns as attributes. Questions are the
rows of ``PostTypeId`` 1; the others (answers, tag wikis) are passed over. Answers are not joined: each
question's ``AnswerCount`` says whether it has one, and where that is missing it is unknown.

A dump needs no document type, so none is read: entities of a file's own, which could swell or name other
files, cannot be declared. See https://meta.stackexchange.com/questions/2677 for the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from lawtags_client.curation.raw import RawRow
from lawtags_client.curation.streams import MAX_ROW_BYTES, open_rows
from lawtags_client.errors import DataError

_CHUNK = 1 << 18
_QUESTION = "1"


def read_posts(path: Path) -> Iterator[RawRow]:
    """The questions of a dump, each with its line.

    Raises:
        DataError: the file is no such dump, declares a document type, or is broken. What is broken in XML
            hides all that follows, so that nothing less than the whole can be wrong.
    """
    reader = _Posts(path)
    with open_rows(path) as stream:
        while chunk := stream.read(_CHUNK):
            yield from reader.feed(chunk)
        yield from reader.feed(b"", last=True)


class _Posts:
    """Takes the bytes of a dump and gives the questions that are whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fed = 0
        self._depth = 0
        self._rows: list[RawRow] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, chunk: bytes, last: bool = False) -> list[RawRow]:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            raise DataError(
                f"is no XML from here on: {expat.ErrorString(error.code)}",
                path=self._path,
                line=error.lineno,
                hint="Was the file cut off? Fetch it again.",
            ) from error
        self._fed += len(chunk)
        # Expat keeps an element until its end comes, however far that is.
        if not last and self._fed - self._parser.CurrentByteIndex > MAX_ROW_BYTES:
            raise self._wrong(f"holds a row longer than {MAX_ROW_BYTES >> 20} MiB")
        rows, self._rows = self._rows, []
        return rows

    def _start(self, name: str, values: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != "posts":
            raise self._wrong(f"is no list of posts but of <{name}>")
        if self._depth == 2 and name == "row" and values.get("PostTypeId") == _QUESTION:
            self._rows.append(RawRow(self._parser.CurrentLineNumber, values))

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _doctype(self, *_: object) -> None:
        raise self._wrong("declares a document type, which dumps do not have")

    def _wrong(self, message: str) -> DataError:
        return DataError(
            message,
            path=self._path,
            line=self._parser.CurrentLineNumber,
            hint="Name the file Posts.xml of a Stack Exchange data dump.",
        )
