"""Rows of tables: Parquet, and datasets of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.read.columns import ColumnMap
from lawtags_client.curation.read.raw import HUB_PREFIX, BadRow, RawRow
from lawtags_client.curation.read.streams import MAX_ROW_BYTES
from lawtags_client.errors import DataError, MissingExtraError
from lawtags_client.jsonl.values import Unreadable, guess_encoding

if TYPE_CHECKING:
    import pyarrow

_BATCH = 512
_HUB = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?(?:\?(?P<query>[\w=&.-]*))?", re.ASCII
)


def read_parquet(path: Path, columns: ColumnMap) -> Iterator[RawRow | BadRow]:
    """The rows of a Parquet file, numbered from one; columns that are not looked for are not read.

    Args:
        path: the file.
        columns: knows which names of columns are looked for.

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
            names = [str(name) for name in file.schema_arrow.names]
            columns.note(names)
            wanted = _wanted(names, columns, path)
            row = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                for values in _values(batch):
                    row += 1
                    if sum(len(value) for value in values.values() if isinstance(value, str)) > MAX_ROW_BYTES:
                        yield BadRow(row, f"is longer than {MAX_ROW_BYTES >> 20} MiB")
                    else:
                        yield RawRow(row, values)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"is not a Parquet file: {error}", path=path, hint="Download it again.") from error


def _wanted(names: list[str], columns: ColumnMap, path: Path) -> list[str]:
    used = {name for found in columns.columns(names).values() for name in found}
    twice = next((name for name in used if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            "has two columns with the same name", path=path, field=twice, hint="Rename one of them."
        )
    return [name for name in names if name in used]


def _values(batch: pyarrow.RecordBatch) -> Iterator[dict[str, object]]:
    """The rows of a batch; a value that cannot be read says so in its place."""
    columns = [_column(column) for column in batch.columns]
    if not columns:
        yield from ({} for _ in range(batch.num_rows))
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _column(column: pyarrow.Array) -> list[object]:
    try:
        found: list[object] = column.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        found = [_cell(cell) for cell in column]
    return found


def _cell(cell: pyarrow.Scalar) -> object:
    try:
        return cell.as_py()
    except UnicodeDecodeError as error:
        return Unreadable(f"is not UTF-8; {guess_encoding(error.object, error)}", f"byte {error.start + 1}")
    except (ValueError, OverflowError):
        return Unreadable(f"is a value of {cell.type} that cannot be read")


def read_hub(location: str) -> Iterator[RawRow | BadRow]:
    """The rows of a dataset of the Hugging Face Hub, streamed, numbered from one.

    Args:
        location: ``hf://datasets/namespace/name[@revision][?split=train&config=…]``.

    Raises:
        DataError: the dataset cannot be had.
        MissingExtraError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "curate", "reading datasets of the Hugging Face Hub") from error
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
            f"the dataset cannot be read: {type(error).__name__}: {error}",
            path=location,
            hint="Check the name and the network, or download it and pass the file.",
        ) from error


def hub_revision(location: str) -> str:
    """The commit that a dataset's location stands for.

    Raises:
        DataError: the Hub cannot be asked.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "curate", "reading datasets of the Hub") from error
    name, revision, _ = _parse(location)
    try:
        found = huggingface_hub.HfApi().dataset_info(name, revision=revision)
    except Exception as error:
        raise DataError(
            f"the Hub cannot be reached: {type(error).__name__}: {error}",
            path=location,
            hint="Check the name and the network, or download the dataset and pass the file.",
        ) from error
    return str(found.sha)


def _parse(location: str) -> tuple[str, str | None, dict[str, str]]:
    found = _HUB.fullmatch(location.removeprefix(HUB_PREFIX))
    if not found:
        raise DataError(
            "is not the name of a dataset",
            path=location,
            hint="Write hf://datasets/namespace/name[?split=train].",
        )
    query = dict(part.split("=", 1) for part in (found["query"] or "").split("&") if "=" in part)
    return found["name"], found["revision"], query
