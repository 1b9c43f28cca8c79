"""Partitions on disk, as read and after the steps.

Rows are read into files of a few hundred rows, so that memory use does not grow with the input, and a
curation that was killed resumes: a partition is done once its record exists. The files contain personal data
as it was read, so only their owner can open them, and they are deleted at the end.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.examples import StepChanges
from lawtags_client.curation.records import BadRowRecord, PartitionRecord, ValueNotices
from lawtags_client.files import PRIVATE, atomic_write_json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

WORK_FOLDER = ".curation"
_TEXTS = ("id", "title", "body", "created", "link", "license")
_FOLDER = 0o700


def owner_only(path: str, flags: int) -> int:
    """Open a file with access for its owner only; for the argument ``opener`` of ``open``."""
    return os.open(path, flags, PRIVATE)


@dataclass(frozen=True)
class StagedQuestions:
    """What reading found.

    Args:
        starts: the first row of each partition and, at the end, the number of usable rows.
        sources: for each source its rows, bad ones included.
        tags: all tags of the data.
        characters: length of all texts together.
        forgotten: ids of the rows that were left out on request.
        bad: rows that cannot be used, by reason.
        first_bad: the first of them.
        respelled: tags in another form, with their normal form and rows, most frequent first.
        values: notices about single values, see :class:`~lawtags_client.curation.read.notices.Notices`.
    """

    starts: tuple[int, ...]
    sources: tuple[int, ...]
    tags: tuple[str, ...]
    characters: int
    forgotten: tuple[str, ...] = ()
    bad: dict[str, int] | None = None
    first_bad: BadRowRecord | None = None
    respelled: tuple[tuple[str, str, int], ...] = ()
    values: ValueNotices = field(default_factory=ValueNotices)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        """How many rows can be used."""
        return self.starts[-1]

    @property
    def bad_rows(self) -> int:
        """How many rows cannot."""
        return sum((self.bad or {}).values())

    def size(self, partition: int) -> int:
        """How many rows a partition has."""
        return self.starts[partition + 1] - self.starts[partition]


class WorkFolder:
    """The folder of one curation's partitions.

    Args:
        folder: its name is a hash of everything that determines the result, so its content can be reused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def text(self) -> str:
        """Its whole path, in the form that goes to other processes."""
        return str(self.folder.resolve())

    def subfolder(self, name: str) -> Path:
        """A folder in it, with access for its owner only."""
        path = self.folder / name
        # The outermost one that is made here has to keep others out.
        path.mkdir(parents=True, exist_ok=True)
        for made in (self.folder.parent, self.folder, path):
            made.chmod(_FOLDER)
        return path

    @property
    def manifest(self) -> Path:
        """What reading found; exists once everything is read."""
        return self.folder / "read.json"

    def read_path(self, partition: int) -> Path:
        """The rows of a partition as they were read."""
        return self.folder / "read" / f"{partition:06}.parquet"

    def bad_path(self, partition: int) -> Path:
        """The rows between those of a partition that cannot be used, if there are any."""
        return self.folder / "read" / f"{partition:06}.bad.jsonl"

    def done_path(self, partition: int) -> Path:
        """The rows of a partition after all steps."""
        return self.folder / "done" / f"{partition:06}.parquet"

    def record_path(self, partition: int) -> Path:
        """What the steps did to a partition; exists once it is done."""
        return self.folder / "done" / f"{partition:06}.json"

    def pending(self, partitions: int) -> list[int]:
        """Partitions that are not done."""
        return [number for number in range(partitions) if not self.record_path(number).exists()]

    def record(self, partition: int) -> PartitionRecord:
        """What the steps did to a partition."""
        found: PartitionRecord = json.loads(self.record_path(partition).read_text(encoding="utf-8"))
        return found

    def frame(self, partition: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A partition after all steps.

        Args:
            partition: its number.
            columns: those to read; None reads all.
        """
        return read_frame(self.done_path(partition), columns=columns)

    def frames(self, partitions: int, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The partitions after all steps, in order, one at a time."""
        return (self.frame(number, columns) for number in range(partitions))

    def bad_rows(self, partition: int, *, last: bool) -> Iterator[BadRowRecord]:
        """The rows between those of a partition that cannot be used.

        Args:
            partition: its number.
            last: whether those after it belong to it as well, as no partition follows.
        """
        for number in (partition, partition + 1) if last else (partition,):
            path = self.bad_path(number)
            if path.exists():
                with path.open(encoding="utf-8") as stream:
                    yield from map(json.loads, stream)

    def write_read(self, rows: list[dict[str, object]], partition: int) -> None:
        """Write the rows of a partition, unless an interrupted run already has."""
        path = self.read_path(partition)
        if not path.exists():
            self.subfolder("read")
            _put(_table(rows), path)


def read_frame(
    path: Path, partition: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a partition.

    Args:
        path: its file.
        partition: its number, which the frame then carries to the steps.
        columns: those to read; None reads all.
    """
    import pandas
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read(columns=columns and list(columns), use_threads=False).to_pandas()
    # Texts as objects: gaps stay None, whatever kind of text pandas prefers.
    texts = [name for name in frame.columns if isinstance(frame[name].dtype, pandas.StringDtype)]
    frame = frame.astype(dict.fromkeys(texts, object))
    frame.attrs = {} if partition is None else {"partition": partition, "steps": []}
    return frame


def read_partition(number: int, folder: str, stride: int = 1) -> pd.DataFrame:
    """Read a partition for the steps; a function of plain values, so that it can go to another process.

    Args:
        number: of the partition.
        folder: of the work.
        stride: the distance between questions sampled for examples.
    """
    frame = read_frame(WorkFolder(Path(folder)).read_path(number), number)
    frame.attrs["changes"] = StepChanges(stride)
    return frame.assign(
        rejected_by="", reason="", field="", detail="", digest="", bands="", split_key=0.0, masked=False
    ).astype(dict.fromkeys(("rejected_by", "reason", "field", "detail", "digest", "bands"), object))


def save_partition(frame: pd.DataFrame, folder: str) -> pd.DataFrame:
    """Write a partition after all steps and, once it is on disk, its record.

    Returns:
        One row with the partition's number.
    """
    import pandas
    import pyarrow

    if "partition" not in frame.attrs:
        # An empty frame that Dask made to learn the types.
        return pandas.DataFrame({"partition": pandas.Series(dtype="int64")})
    work, number = WorkFolder(Path(folder)), frame.attrs["partition"]
    work.subfolder("done")
    changes = frame.attrs["changes"].shown(frame) if "changes" in frame.attrs else {}
    record = {"partition": number, "steps": frame.attrs["steps"], "changes": changes}
    plain = frame.copy(deep=False)
    plain.attrs = {}
    _put(pyarrow.Table.from_pandas(plain, preserve_index=False), work.done_path(number))
    atomic_write_json(work.record_path(number), record, mode=PRIVATE)
    return pandas.DataFrame({"partition": [number]})


def _table(rows: list[dict[str, object]]) -> pyarrow.Table:
    import pyarrow

    text = pyarrow.string()
    schema = pyarrow.schema(
        [
            ("row", pyarrow.int64()),
            *((name, text) for name in _TEXTS),
            ("html", pyarrow.bool_()),
            ("markdown", pyarrow.bool_()),
            ("tags", pyarrow.list_(text)),
            ("complete", pyarrow.bool_()),
            ("score", pyarrow.float64()),
            ("answered", pyarrow.bool_()),
            ("source", pyarrow.int64()),
            ("file", text),
            ("line", pyarrow.int64()),
            ("test", pyarrow.bool_()),
        ]
    )
    return pyarrow.Table.from_pylist(rows, schema=schema)


def _put(table: object, path: Path) -> None:
    import pyarrow.parquet

    # A unique name, even if workers on two machines write the same partition.
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            pyarrow.parquet.write_table(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
