"""Rows of CSV and TSV files in the dialects of spreadsheets, databases and data frames.

Delimiter and quoting are detected from the file: from a line ``sep=;`` of Excel, from known names in the
header, and from whether the rows have as many fields as the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.read.columns import ColumnMap
from lawtags_client.curation.read.raw import BadRow, RawRow
from lawtags_client.curation.read.streams import MAX_ROW_BYTES, open_rows
from lawtags_client.curation.read.values import whole_text
from lawtags_client.errors import DataError
from lawtags_client.jsonl.values import Unreadable

if TYPE_CHECKING:
    from _csv import Reader

_DELIMITERS = (",", ";", "\t", "|")
# With these, fields are often unquoted, because none contains the delimiter.
_UNQUOTED = ("\t", "|")
_UNDECODED = re.compile("[\udc80-\udcff]")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;:|^~\t])"?,*\s*', re.IGNORECASE)
_JSON_START = re.compile(r'\s*(?:\[\s*)?\{\s*"')
_NOT_UTF_8 = "is not UTF-8; it may be Windows-1252 or Latin-1"


@dataclass(frozen=True)
class _Dialect:
    """How fields are delimited and quoted.

    Args:
        delimiter: separates the columns.
        quoted: whether a quote at the beginning of a field opens it.
        escaped: whether a backslash escapes the next character.
    """

    delimiter: str
    quoted: bool = True
    escaped: bool = False

    def reader(self, lines: Iterator[str]) -> Reader:
        # Strict, because otherwise one extra quote would silently swallow all following rows.
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            doublequote=not self.escaped,
            escapechar="\\" if self.escaped else None,
            strict=True,
        )


def read_delimited(path: Path, usual: str, columns: ColumnMap) -> Iterator[RawRow | BadRow]:
    """The rows of a file with a header; quoted fields may hold line ends.

    Args:
        path: the file.
        usual: the delimiter that the file name suggests.
        columns: knows the column names.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    csv.field_size_limit(MAX_ROW_BYTES)
    dialect = _find_dialect(path, usual, columns)
    with _lines_of(path) as text:
        too_long: list[int] = []
        reader = dialect.reader(_bounded(text, too_long))
        try:
            header = _Header(_first_row(reader, path, dialect), path, reader.line_num, columns)
            while True:
                begin = reader.line_num + 1
                try:
                    values = next(reader)
                    if too_long:
                        yield BadRow(too_long.pop(), f"is longer than {MAX_ROW_BYTES >> 20} MiB")
                        continue
                except csv.Error as error:
                    if "end of data" in str(error):
                        raise DataError(
                            "is not valid CSV from here on: the quote opened here is never closed",
                            path=path,
                            line=begin,
                            hint='The file may be truncated. Write a quote inside a quoted field as "".',
                        ) from error
                    yield BadRow(begin, "is not valid CSV", detail=str(error))
                    continue
                # Spreadsheets append empty rows.
                if any(value and not value.isspace() for value in values):
                    yield header.row(values, begin)
        except StopIteration:
            return


class _Header:
    """The column names, and how to read the fields of a row."""

    def __init__(self, names: list[str], path: Path, line: int, columns: ColumnMap) -> None:
        self._names = [name.strip().strip("\ufeff") for name in names]
        # The header may end with unnamed columns, or begin with an unnamed column of row numbers.
        self._named = _named(self._names)
        readable = [name for name in self._names if name and not _UNDECODED.search(name)]
        found = columns.columns(readable)
        used = {name for field in found.values() for name in field}
        if self._names and _JSON_START.match(self._names[0]) and "title" not in found:
            raise DataError(
                "is JSON, not a table with a header",
                path=path,
                line=line,
                hint=f"Rename it: mv {path.name} {path.stem}.jsonl",
            )
        if len(readable) < sum(map(bool, self._names)) and "title" not in found:
            raise DataError(
                "has a header that is not UTF-8; it may be Windows-1252 or Latin-1",
                path=path,
                line=line,
                hint=f"Convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf-8.csv",
            )
        twice = next((name for name in readable if name in used and readable.count(name) > 1), None)
        if twice is not None:
            raise DataError(
                "has two columns with the same name",
                path=path,
                line=line,
                field=twice,
                hint=f"Rename one of them in line {line}.",
            )
        self._ids = set(found.get("id", ()))
        # Other columns are ignored.
        self._places = [(place, name) for place, name in enumerate(self._names) if name in used]
        columns.note(readable)

    def row(self, values: list[str], line: int) -> RawRow | BadRow:
        if not _fits(values, self._named):
            detail = f"{len(values)}, and the header {self._named}"
            return BadRow(line, "has a different number of fields than the header", detail=detail)
        found: dict[str, object] = {}
        for place, name in self._places:
            value = values[place]
            if _UNDECODED.search(value):
                found[name] = Unreadable(_NOT_UTF_8)
            else:
                # A table has no types: a column of ids with gaps is written as 3.0.
                found[name] = whole_text(value.strip()) if name in self._ids else value
        return RawRow(line, found)


def _named(names: list[str]) -> int:
    """The number of columns up to the last named one."""
    return max((place + 1 for place, name in enumerate(names) if name.strip()), default=0)


def _fits(values: list[str], named: int) -> bool:
    """Whether a row has a field for each column, and only empty ones after them."""
    return len(values) >= named and not any(map(str.strip, values[named:]))


def _first_row(reader: Reader, path: Path, dialect: _Dialect) -> list[str]:
    """The header, after blank lines and Excel's ``sep=`` line."""
    try:
        for names in reader:
            if _SEPARATOR_LINE.fullmatch(dialect.delimiter.join(names)) and reader.line_num == 1:
                continue
            if any(name.strip() for name in names):
                return list(names)
    except csv.Error as error:
        raise DataError(
            f"has a header that is not valid CSV: {error}", path=path, line=max(reader.line_num, 1)
        ) from error
    return []


def _find_dialect(path: Path, usual: str, columns: ColumnMap) -> _Dialect:
    with _lines_of(path) as text:
        lines = (line for line in _bounded(text, []) if line.strip())
        first = next(lines, "")
        declared = _SEPARATOR_LINE.fullmatch(first)
        header = next(lines, "") if declared else first
        delimiter = declared[1] if declared else _delimiter(header, usual, columns)
    standard = _Dialect(delimiter)
    counted = _count(path, standard)
    if not counted.bad and not counted.over_lines:
        return standard
    others = []
    if delimiter in _UNQUOTED:
        others.append(_Dialect(delimiter, quoted=False))
    if counted.bad and counted.escapes:
        others.append(_Dialect(delimiter, escaped=True))
    for other in others:
        # Accept only a dialect that fits every row: a few extra quotes are not a dialect.
        if not _count(path, other).bad:
            return other
    if delimiter in _UNQUOTED and _count(path, others[0]).bad < counted.bad:
        return others[0]
    return standard


def _delimiter(header: str, usual: str, columns: ColumnMap) -> str:
    """The delimiter that yields the most known column names."""

    def known(sign: str) -> tuple[int, bool, int]:
        try:
            names = next(csv.reader([header], delimiter=sign), [])
        except csv.Error:
            return (0, False, 0)
        names = [name.strip() for name in names]
        return (len(columns.columns(names)), sign == usual, len(names))

    if not any(sign in header for sign in _DELIMITERS):
        return usual
    return max((sign for sign in _DELIMITERS if sign in header), key=known)


@dataclass
class _Count:
    """Evidence for or against a dialect.

    Args:
        bad: lines of malformed rows.
        over_lines: rows with a field that spans several lines.
        escapes: lines with a backslash before a quote.
    """

    bad: int = 0
    over_lines: int = 0
    escapes: int = 0


def _count(path: Path, dialect: _Dialect) -> _Count:
    found = _Count()
    with _lines_of(path) as text:
        reader = dialect.reader(_noting_escapes(_bounded(text, []), found))
        width, begin = 0, 0
        while True:
            begin = reader.line_num
            try:
                values = next(reader)
            except StopIteration:
                return found
            except csv.Error:
                found.bad += reader.line_num - begin
                continue
            if not width:
                declared = _SEPARATOR_LINE.fullmatch(dialect.delimiter.join(values))
                width = 0 if declared else _named(values)
            elif any(values) and not _fits(values, width):
                found.bad += reader.line_num - begin
            found.over_lines += reader.line_num - begin > 1


def _noting_escapes(lines: Iterator[str], found: _Count) -> Iterator[str]:
    for line in lines:
        found.escapes += '\\"' in line
        yield line


@contextmanager
def _lines_of(path: Path) -> Iterator[io.TextIOWrapper]:
    with open_rows(path) as stream:
        # Wrong bytes become lone surrogates, so that one bad row does not stop the file.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        try:
            yield text
        finally:
            text.detach()


def _bounded(text: io.TextIOWrapper, too_long: list[int]) -> Iterator[str]:
    """The lines of a file; an overlong line is skipped, and its number is added to ``too_long``."""
    number = 0
    while line := text.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            while line and not line.endswith(("\n", "\r")):
                line = text.readline(MAX_ROW_BYTES)
            too_long.append(number)
            line = "\n"
        yield line
