"""Partitions on disk: what was read, and what the steps made of it.

Reading goes row by row into files of a few hundred rows, so that memory does not grow with the input and
a curation that was killed goes on where it stopped: a partition is done when its record is there.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.curation.columns import SourceRow
from lawtags_client.curation.raw import BadRow
from lawtags_client.curation.sources import Source, read_source
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_json

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = ("id", "title", "body", "created", "link", "license")


@dataclass(frozen=True)
class Staged:
    """What reading found.

    Args:
        partitions: how many files of rows there are.
        rows: usable rows.
        bad: rows that are not, with their source and line.
        sources: for each source its rows, bad ones included.
        tags: all tags of the data.
        characters: length of all texts together.
        forgotten: ids of the rows that were left out because that was asked for.
    """

    partitions: int
    rows: int
    bad: list[dict[str, Any]]
    sources: list[int]
    tags: tuple[str, ...]
    characters: int
    forgotten: tuple[str, ...] = ()

    def bad_by_reason(self) -> dict[str, int]:
        """Bad rows by reason."""
        return dict(sorted(Counter(_reason(entry) for entry in self.bad).items()))


class WorkFolder:
    """The folder of one curation's partitions.

    Args:
        folder: named after everything that decides the result, so that what is in it can be trusted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_path(self, partition: int) -> Path:
        """The rows of a partition as they were read."""
        return self.folder / "read" / f"{partition:06}.parquet"

    def done_path(self, partition: int) -> Path:
        """The rows of a partition behind all steps."""
        return self.folder / "done" / f"{partition:06}.parquet"

    def record_path(self, partition: int) -> Path:
        """What the steps did to a partition; there once it is done."""
        return self.folder / "done" / f"{partition:06}.json"

    def pending(self, partitions: int) -> list[int]:
        """Partitions that are not done."""
        return [number for number in range(partitions) if not self.record_path(number).exists()]

    def record(self, partition: int) -> dict[str, Any]:
        """What the steps did to a partition."""
        found: dict[str, Any] = json.loads(self.record_path(partition).read_text(encoding="utf-8"))
        return found

    def frames(self, partitions: int) -> Iterator[pd.DataFrame]:
        """The partitions behind all steps, in their order, one at a time."""
        for number in range(partitions):
            yield read_frame(self.done_path(number))

    def stage(
        self,
        sources: Sequence[Source],
        columns: Mapping[str, str],
        *,
        partition_rows: int,
        stop_at_bad_row: bool,
        on_rows: Callable[[int], None],
        forget: Container[str] = (),
    ) -> Staged:
        """Read the sources into partitions, or find that this was done.

        Args:
            sources: what to read.
            columns: field to column.
            partition_rows: rows of one partition.
            stop_at_bad_row: whether one bad row is one too many.
            on_rows: told how many rows have been read.
            forget: ids of questions that are passed over, and never written anywhere.

        Raises:
            DataError: a source cannot be read, or a row is bad and none may be.
        """
        manifest = self.folder / "read.json"
        if manifest.exists():
            found = json.loads(manifest.read_text(encoding="utf-8"))
            return Staged(**(found | {name: tuple(found[name]) for name in ("tags", "forgotten")}))
        reading = _Reading(sources, columns, stop_at_bad_row, forget)
        rows = reading.rows()
        partitions = 0
        while batch := list(itertools.islice(rows, partition_rows)):
            _write_table(batch, self.read_path(partitions))
            partitions += 1
            on_rows(reading.count)
        staged = Staged(
            partitions,
            reading.count,
            reading.bad,
            reading.sizes,
            tuple(sorted(reading.tags)),
            reading.characters,
            tuple(reading.forgotten),
        )
        atomic_write_json(manifest, asdict(staged))
        return staged


def read_frame(path: Path, partition: int | None = None) -> pd.DataFrame:
    """Read a partition.

    Args:
        path: its file.
        partition: its number, which the frame then carries to the steps.
    """
    import pandas
    import pyarrow.parquet

    frame: pd.DataFrame = pyarrow.parquet.read_table(path).to_pandas()
    # Texts as objects: gaps stay None, whatever kind of text pandas prefers.
    texts = [name for name in frame.columns if isinstance(frame[name].dtype, pandas.StringDtype)]
    frame = frame.astype(dict.fromkeys(texts, object))
    frame.attrs = {} if partition is None else {"partition": partition, "steps": []}
    return frame


def read_partition(number: int, folder: str) -> pd.DataFrame:
    """Read a partition for the steps; a function of plain values, so that it can go to another process."""
    frame = read_frame(WorkFolder(Path(folder)).read_path(number), number)
    return frame.assign(
        rejected_by="", reason="", field="", detail="", digest="", bands="", split_key=0.0, masked=False
    ).astype(dict.fromkeys(("rejected_by", "reason", "field", "detail", "digest", "bands"), object))


def save_partition(frame: pd.DataFrame, folder: str) -> pd.DataFrame:
    """Write a partition behind all steps and, once it is on disk, its record.

    Returns:
        One row with the partition's number.
    """
    import pandas

    if "partition" not in frame.attrs:
        # An empty frame that Dask made to learn the types.
        return pandas.DataFrame({"partition": pandas.Series(dtype="int64")})
    work, number = WorkFolder(Path(folder)), frame.attrs["partition"]
    record = {"partition": number, "steps": frame.attrs["steps"]}
    plain = frame.copy(deep=False)
    plain.attrs = {}
    _write_frame(plain, work.done_path(number))
    atomic_write_json(work.record_path(number), record)
    return pandas.DataFrame({"partition": [number]})


class _Reading:
    """Goes through the sources and keeps count."""

    def __init__(
        self, sources: Sequence[Source], columns: Mapping[str, str], stop: bool, forget: Container[str]
    ) -> None:
        self._sources = sources
        self._columns = columns
        self._stop = stop
        self._forget = forget
        self.forgotten: list[str] = []
        self.count = 0
        self.characters = 0
        self.bad: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.tags: set[str] = set()

    def rows(self) -> Iterator[dict[str, Any]]:
        for number, source in enumerate(self._sources):
            self.sizes.append(0)
            for line, row in read_source(source, self._columns):
                self.sizes[-1] += 1
                if isinstance(row, BadRow):
                    self._refuse(number, source, row)
                    continue
                if row.id in self._forget:
                    self.forgotten.append(row.id)
                    continue
                yield self._usable(number, source, line, row)

    def _usable(self, number: int, source: Source, line: int, row: SourceRow) -> dict[str, Any]:
        self.tags.update(row.tags)
        self.characters += len(row.title) + len(row.body or "")
        values = {name: getattr(row, name) for name in row.__slots__} | {
            "tags": list(row.tags),
            "row": self.count,
            "source": number,
            "file": source.name,
            "line": line,
            "test": source.test,
        }
        self.count += 1
        return values

    def _refuse(self, number: int, source: Source, row: BadRow) -> None:
        if self._stop:
            raise DataError(
                row.reason,
                path=source.location,
                line=row.line,
                field=row.field,
                hint="Mend the row, or leave such rows out with on_bad_row: quarantine.",
            )
        self.bad.append(
            {
                "source": number,
                "file": source.name,
                "line": row.line,
                "field": row.field,
                "reason": row.reason,
            }
        )


def _reason(entry: Mapping[str, Any]) -> str:
    return f"{entry['field']}: {entry['reason']}" if entry["field"] else str(entry["reason"])


def _write_table(rows: list[dict[str, Any]], path: Path) -> None:
    import pyarrow

    text = pyarrow.string()
    schema = pyarrow.schema(
        [
            ("row", pyarrow.int64()),
            *((name, text) for name in _TEXTS),
            ("html", pyarrow.bool_()),
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
    _put(pyarrow.Table.from_pylist(rows, schema=schema), path)


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow

    _put(pyarrow.Table.from_pandas(frame, preserve_index=False), path)


def _put(table: Any, path: Path) -> None:
    import os

    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        pyarrow.parquet.write_table(table, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
