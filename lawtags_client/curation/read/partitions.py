"""Reading sources into partitions, and recording unusable rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.notices import Notices
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import QuestionSource, read_source
from lawtags_client.curation.records import BadRowRecord
from lawtags_client.curation.staging import StagedQuestions, WorkFolder, owner_only
from lawtags_client.files import PRIVATE, atomic_write_json

# Partitions of long texts have fewer rows, to bound a worker's memory.
_MOST_CHARACTERS = 4_000_000
_RESPELLED_SHOWN = 200


def stage(
    work: WorkFolder,
    sources: Sequence[QuestionSource],
    columns: Mapping[str, str],
    *,
    partition_rows: int,
    stop_at_bad_row: bool,
    on_rows: Callable[[int, int, int], None],
    forget: Container[str] = (),
) -> StagedQuestions:
    """Read the sources into partitions, unless that was done before.

    Args:
        work: the folder for the partitions.
        sources: what to read.
        columns: field to column.
        partition_rows: maximum rows per partition.
        stop_at_bad_row: whether to fail on the first bad row.
        on_rows: called with the numbers of rows read, of their characters, and of partitions.
        forget: ids of questions to skip; they are never written to disk.

    Raises:
        DataError: a source cannot be read, or a row is bad and ``stop_at_bad_row`` is set.
    """
    if work.manifest.exists():
        return _load(work)
    reading = _PartitionReader(work, sources, columns, stop_at_bad_row, forget)
    starts = [0]
    for batch in reading.batches(partition_rows):
        work.write_read(batch, len(starts) - 1)
        starts.append(reading.count)
        on_rows(sum(reading.sizes), reading.characters, len(starts) - 1)
    on_rows(sum(reading.sizes), reading.characters, len(starts) - 1)
    staged = StagedQuestions(
        tuple(starts),
        tuple(reading.sizes),
        tuple(sorted(reading.tags)),
        reading.characters,
        tuple(reading.forgotten),
        dict(sorted(reading.bad.items())),
        reading.first_bad,
        tuple(
            (given, tag, rows)
            for (given, tag), rows in sorted(reading.respelled.items(), key=lambda pair: (-pair[1], pair[0]))
        )[:_RESPELLED_SHOWN],
        reading.notices.as_dict(),
    )
    work.subfolder("read")
    atomic_write_json(work.manifest, asdict(staged), mode=PRIVATE)
    return staged


def _load(work: WorkFolder) -> StagedQuestions:
    found = json.loads(work.manifest.read_text(encoding="utf-8"))
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return StagedQuestions(**(found | lists))


class _PartitionReader:
    """Reads the sources, and counts."""

    def __init__(
        self,
        work: WorkFolder,
        sources: Sequence[QuestionSource],
        columns: Mapping[str, str],
        stop: bool,
        forget: Container[str],
    ) -> None:
        self._work = work
        self._sources = sources
        self._columns = columns
        self._stop = stop
        self._forget = forget
        self._partition = 0
        self.forgotten: list[str] = []
        self.count = 0
        self.characters = 0
        self.bad: Counter[str] = Counter()
        self.first_bad: BadRowRecord | None = None
        self.sizes: list[int] = []
        self.tags: set[str] = set()
        self.respelled: Counter[tuple[str, str]] = Counter()
        self.notices = Notices()

    def batches(self, most_rows: int) -> Iterator[list[dict[str, object]]]:
        """The usable rows, partition by partition."""
        batch: list[dict[str, object]] = []
        begun = 0
        self._begin(0)
        for row in self._rows():
            batch.append(row)
            if len(batch) == most_rows or self.characters - begun >= _MOST_CHARACTERS:
                yield batch
                self._begin(self._partition + 1)
                batch, begun = [], self.characters
        if batch:
            yield batch

    def _begin(self, partition: int) -> None:
        self._partition = partition
        # Left after by an interrupted run.
        self._work.bad_path(partition).unlink(missing_ok=True)

    def _rows(self) -> Iterator[dict[str, object]]:
        for number, source in enumerate(self._sources):
            self.sizes.append(0)
            for line, row in read_source(source, self._columns, notices=self.notices):
                self.sizes[-1] += 1
                if isinstance(row, BadRow):
                    self._refuse(number, source, row)
                elif row.id in self._forget:
                    self.forgotten.append(row.id)
                else:
                    yield self._usable(number, source, line, row)

    def _usable(self, number: int, source: QuestionSource, line: int, row: SourceRow) -> dict[str, object]:
        self.tags.update(row.tags)
        self.respelled.update(row.respelled)
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

    def _refuse(self, number: int, source: QuestionSource, row: BadRow) -> None:
        if self._stop:
            raise row.error(
                source.location,
                hint="Fix the row, or skip such rows with --on-bad-row quarantine, or "
                "on_bad_row: quarantine in a recipe.",
            )
        entry: BadRowRecord = {
            "source": number,
            "file": source.name,
            "line": row.line,
            "column": row.column,
            "field": row.field,
            "reason": row.reason,
            "detail": row.detail,
        }
        self.bad[f"{row.field}: {row.reason}" if row.field else row.reason] += 1
        if self.first_bad is None:
            self.first_bad = entry
        self._work.subfolder("read")
        path = self._work.bad_path(self._partition)
        with open(path, "a", encoding="utf-8", opener=owner_only) as stream:
            stream.write(json.dumps(entry) + "\n")
