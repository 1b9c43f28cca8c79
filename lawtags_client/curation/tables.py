"""Rows of tables: CSV, Parquet, and data sets of the Hugging Face Hub."""

from __future__ import annotations

import csv
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
    import io

    csv.field_size_limit(MAX_ROW_BYTES)
    with open_rows(path) as stream:
        # Wrong bytes become lone surrogates, so that one bad row does not stop the file.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=delimiter)
        try:
            header = next(reader, [])
            begin = reader.line_num + 1
            for values in reader:
                if values:
                    yield _csv_row(header, values, begin)
                begin = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"is no CSV: {error}", path=path, line=reader.line_num) from error
        finally:
            text.detach()


def _csv_row(header: list[str], values: list[str], line: int) -> RawRow | BadRow:
    if len(values) != len(header):
        return BadRow(line, f"has {len(values)} fields, and the header {len(header)}")
    for name, value in zip(header, values, strict=True):
        if _UNDECODED.search(value):
            return BadRow(line, "is not UTF-8; maybe Windows-1252 or Latin-1", name)
    return RawRow(line, dict(zip(header, values, strict=True)))


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
