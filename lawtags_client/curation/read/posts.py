"""Questions of Stack Exchange's data dumps: ``Posts.xml``, read as a stream.

A dump is one long list of posts, each an element ``row`` with its columns as attributes. Questions are the
rows with ``PostTypeId`` 1; others (answers, tag wikis) are skipped. Answers are not joined: a question's
``AnswerCount`` says whether it has one; if that is missing, it is unknown.

A dump needs no document type, so none is accepted: a file cannot declare entities, which could expand
without bound or refer to other files. Characters that XML does not allow occur in real dumps, and are dropped
before parsing. See https://meta.stackexchange.com/questions/2677 for the columns.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from lawtags_client.curation.read.notices import Notices
from lawtags_client.curation.read.raw import RawRow
from lawtags_client.curation.read.streams import MAX_ROW_BYTES, open_rows
from lawtags_client.errors import DataError
from lawtags_client.jsonl.values import Unreadable

_CHUNK = 1 << 18
_QUESTION = "1"
_NAMED_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""", re.ASCII)
# Single-byte encodings; others do not occur, and some Python codecs do more than decode.
_ENCODINGS = re.compile(r"utf-?8|us-ascii|ascii|iso-8859-\d+|latin-?1|windows-125\d|cp125\d|koi8-[ru]")
# What https://www.w3.org/TR/xml/#charsets leaves out.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,64})|([0-9]{1,64}));")
_LONGEST_REFERENCE = 80
_UNDECODED = re.compile("[\udc80-\udcff]")
# Replaces an invalid byte; a Unicode noncharacter for internal use.
_MARK = "\ufdd0"


def read_posts(path: Path, notices: Notices | None = None) -> Iterator[RawRow]:
    """The questions of a dump, each with its line.

    Args:
        path: the dump.
        notices: receives the number of dropped characters.

    Raises:
        DataError: the file is not such a dump, declares a document type, or is malformed. Malformed XML makes
            everything after it unreadable, so the whole file is rejected.
    """
    reader = _PostsParser(path)
    with open_rows(path) as stream:
        text = _DumpDecoder(path, stream.peek(200))
        while chunk := stream.read(_CHUNK):
            yield from reader.feed(text.feed(chunk))
        yield from reader.feed(text.feed(b"", last=True), last=True)
    if text.dropped and notices is not None:
        notices.dropped[notices.file or path.name] += text.dropped


class _DumpDecoder:
    """Decodes a dump chunk by chunk, without the characters that XML does not allow."""

    def __init__(self, path: Path, begin: bytes) -> None:
        found = _NAMED_ENCODING.match(begin)
        name = found[1].decode("ascii").lower() if found else "utf-8"
        # UTF-16 has already been converted to UTF-8.
        if name.startswith("utf-16"):
            name = "utf-8"
        if not _ENCODINGS.fullmatch(name):
            raise DataError(
                f"is XML in {name}", path=path, line=1, hint=f"Convert it: iconv -f {name} -t UTF-8"
            )
        self._decoder = codecs.getincrementaldecoder(name)("surrogateescape")
        self._left = ""
        self.dropped = 0

    def feed(self, chunk: bytes, last: bool = False) -> bytes:
        text = self._left + self._decoder.decode(chunk, last)
        self._left = ""
        if not last:
            # A reference may continue in the next chunk.
            begin = text.rfind("&", max(0, len(text) - _LONGEST_REFERENCE))
            if begin >= 0 and ";" not in text[begin:]:
                text, self._left = text[:begin], text[begin:]
        if not text.isascii():
            text = _UNDECODED.sub(_MARK, text)
        text, count = _FORBIDDEN.subn("", text)
        self.dropped += count
        if "&#" in text:
            text = _REFERENCE.sub(self._reference, text)
        return text.encode("utf-8")

    def _reference(self, found: re.Match[str]) -> str:
        number = int(found[1], 16) if found[1] else int(found[2])
        if number <= 0x10FFFF and (number in (9, 10, 13) or not _FORBIDDEN.match(chr(number))):
            return found[0]
        self.dropped += 1
        return ""


class _PostsParser:
    """Parses the bytes of a dump, and returns complete questions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fed = 0
        self._depth = 0
        self._rows: list[RawRow] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, chunk: bytes, last: bool = False) -> list[RawRow]:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            raise DataError(
                f"is not valid XML from here on: {expat.ErrorString(error.code)}",
                path=self._path,
                line=error.lineno,
                hint="The file may be truncated. Download it again.",
            ) from error
        self._fed += len(chunk)
        # Expat buffers an element until its end, however long it is.
        if not last and self._fed - self._parser.CurrentByteIndex > MAX_ROW_BYTES:
            raise self._wrong(f"contains a row longer than {MAX_ROW_BYTES >> 20} MiB")
        rows, self._rows = self._rows, []
        return rows

    def _start(self, name: str, values: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != "posts":
            raise self._wrong(f"is not a list of posts but of <{name}>")
        if self._depth == 2 and name == "row" and values.get("PostTypeId") == _QUESTION:
            self._rows.append(RawRow(self._parser.CurrentLineNumber, _readable(values)))

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _doctype(self, *_: object) -> None:
        raise self._wrong("declares a document type, which dumps do not have")

    def _wrong(self, message: str) -> DataError:
        return DataError(
            message,
            path=self._path,
            line=self._parser.CurrentLineNumber,
            hint="Use the file Posts.xml of a Stack Exchange data dump.",
        )


def _readable(values: Mapping[str, str]) -> Mapping[str, object]:
    """The columns of a question, with ``Unreadable`` for those with invalid bytes."""
    if not any(_MARK in value for value in values.values()):
        return values
    wrong = Unreadable("is not UTF-8; it may be Windows-1252 or Latin-1")
    return {name: wrong if _MARK in value else value for name, value in values.items()}
