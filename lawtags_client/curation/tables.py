"""Rows of tables: CSV, Parquet, and data sets of the Hugging Face Hub."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lawtags_client.curation.raw import HUB_PREFIX, BadRow, RawRow
from lawtags_client.curation.streams import MAX_ROW_BYTES, open_rows
from lawtags_client.errors import DataError, MissingExtraError

_BATCH = 512
_UNDECODED = re.compile("[\udc80-\udcff]")
_HUB = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?(?:\?(?P<query>[\w=&.-]*))?", re.ASCII
)


def read_csv(path: Path, delimiter: str) -> Iterator[RawRow | BadRow]:
    """The rows of a CSV file with a header; quoted fields may hold line ends.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    csv.field_size_limit(MAX_ROW_BYTES)
    with open_rows(path) as stream:
        # Wrong bytes become lone surrogates, so that one bad row does not stop the file.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        delimiter = _delimiter(stream.peek(1), delimiter)
        # Strict, or one quote too many would swallow all the rows behind it without a word.
        too_long: list[int] = []
        reader = csv.reader(_bounded(text, too_long), delimiter=delimiter, strict=True)
        try:
            header = _header(reader, path)
            while True:
                begin = reader.line_num + 1
                try:
                    values = next(reader)
                    if too_long:
                        yield BadRow(too_long.pop(), f"is longer than {MAX_ROW_BYTES >> 20} MiB")
                except csv.Error as error:
                    if "end of data" in str(error):
                        raise DataError(
                            "is no CSV from here on: a quote that is opened here is never closed",
                            path=path,
                            line=begin,
                            hint='Was the file cut off? A quote inside a quoted field is written "".',
                        ) from error
                    yield BadRow(begin, "is no CSV", detail=str(error))
                    continue
                if values:
                    yield _csv_row(header, values, begin)
        except StopIteration:
            return
        finally:
            text.detach()


def _bounded(text: io.TextIOWrapper, too_long: list[int]) -> Iterator[str]:
    """The lines of a file; one that is too long is left out, and its number told."""
    number = 0
    while line := text.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            while line and not line.endswith(("\n", "\r")):
                line = text.readline(MAX_ROW_BYTES)
            too_long.append(number)
            line = "\n"
        yield line


def _delimiter(begin: bytes, usual: str) -> str:
    """What parts the columns: spreadsheets of some countries write semicolons into files named CSV."""
    header = begin.splitlines()[0] if begin.strip() else b""
    if usual.encode() in header:
        return usual
    return next((sign for sign in (",", ";", "\t") if sign.encode() in header), usual)


def _header(reader: Any, path: Path) -> list[str]:
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise DataError(f"has a header that is no CSV: {error}", path=path, line=1) from error
    twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if twice is not None:
        raise DataError(
            "names a column twice", path=path, line=1, field=twice, hint="Rename one of them in line 1."
        )
    if any(_UNDECODED.search(name) for name in header):
        raise DataError(
            "has a header that is not UTF-8; maybe Windows-1252 or Latin-1",
            path=path,
            line=1,
            hint="Convert it: iconv -f WINDOWS-1252 -t UTF-8",
        )
    return header


def _csv_row(header: list[str], values: list[str], line: int) -> RawRow | BadRow:
    if len(values) != len(header):
        return BadRow(line, "has another number of fields than the header", detail=_fields(values, header))
    for name, value in zip(header, values, strict=True):
        if _UNDECODED.search(value):
            return BadRow(line, "is not UTF-8; maybe Windows-1252 or Latin-1", name)
    return RawRow(line, dict(zip(header, values, strict=True)))


def _fields(values: list[str], header: list[str]) -> str:
    return f"{len(values)}, and the header {len(header)}"


def read_parquet(path: Path) -> Iterator[RawRow | BadRow]:
    """The rows of a Parquet file, numbered from one.

    Raises:
        DataError: the file cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "curate", "reading Parquet") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    row += 1
                    if sum(len(value) for value in values.values() if isinstance(value, str)) > MAX_ROW_BYTES:
                        yield BadRow(row, f"is longer than {MAX_ROW_BYTES >> 20} MiB")
                    else:
                        yield RawRow(row, values)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"is no Parquet file: {error}", path=path, hint="Fetch it again.") from error


def read_hub(location: str) -> Iterator[RawRow | BadRow]:
    """The rows of a data set of the Hugging Face Hub, streamed, numbered from one.

    Args:
        location: ``hf://datasets/namespace/name[@revision][?split=train&config=…]``.

    Raises:
        DataError: the data set cannot be had.
        MissingExtraError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "curate", "reading data sets of the Hugging Face Hub") from error
    name, revision, query = _parse(location)
    try:
        rows = datasets.load_dataset(
            name, query.get("config"), split=query.get("split", "train"), revision=revision, streaming=True
        )
        for number, values in enumerate(rows, 1):
            yield RawRow(number, values)
    except Exception as error:
        # The library raises dozens of kinds, its own and those of its HTTP client.
        raise DataError(
            f"the data set cannot be read: {type(error).__name__}: {error}",
            path=location,
            hint="Check the name and the network, or download it and name the file.",
        ) from error


def hub_revision(location: str) -> str:
    """The commit that a data set's location stands for.

    Raises:
        DataError: the Hub cannot be asked.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "curate", "reading data sets of the Hub") from error
    name, revision, _ = _parse(location)
    try:
        found: Any = huggingface_hub.HfApi().dataset_info(name, revision=revision)
    except Exception as error:
        raise DataError(
            f"the Hub cannot be asked: {type(error).__name__}: {error}",
            path=location,
            hint="Check the name and the network, or download the data set and name the file.",
        ) from error
    return str(found.sha)


def _parse(location: str) -> tuple[str, str | None, dict[str, str]]:
    found = _HUB.fullmatch(location.removeprefix(HUB_PREFIX))
    if not found:
        raise DataError(
            "is no name of a data set",
            path=location,
            hint="Write hf://datasets/namespace/name[?split=train].",
        )
    query = dict(part.split("=", 1) for part in (found["query"] or "").split("&") if "=" in part)
    return found["name"], found["revision"], query
