"""Finding questions that stand in the data twice, among any number of them.

Everything works on arrays of keys. Texts are read again only for pairs that have to be compared in full, and
their phrases wait on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lawtags_client.curation.execution import PartitionRunner
from lawtags_client.curation.features.fingerprints import BANDS, shingles
from lawtags_client.curation.staging import StagedQuestions, WorkFolder, owner_only

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

_CHUNK = 1 << 16
_PARTITIONS_AT_ONCE = 256


def exact_duplicates(digest: NDArray[np.uint64], rows: Rows, rank: Rows) -> tuple[Rows, Rows]:
    """Questions of the same words.

    Args:
        digest: of the words of every question, as two numbers.
        rows: the questions to look at.
        rank: the place of every question; the foremost of a group is to stay.

    Returns:
        Rows to drop and, for each, the row that stays in its place.
    """
    import numpy

    first, second = digest[rows, 0], digest[rows, 1]
    order = numpy.lexsort((rank[rows], second, first))
    same = numpy.zeros(len(rows), dtype=bool)
    same[1:] = (numpy.diff(first[order]) == 0) & (numpy.diff(second[order]) == 0)
    ordered = rows[order]
    return ordered[same], ordered[_heads(same)][same]


def near_pairs(band: Callable[[int, Rows], Rows], rows: Rows, rank: Rows) -> NDArray[np.int64]:
    """Pairs of questions that share a band of their signatures, and so are worth comparing.

    Args:
        band: one band of these questions.
        rows: the questions to look at.
        rank: the place of every question.

    Returns:
        One pair a line, the question to keep first; in the order of their ranks.
    """
    import numpy

    count = len(rank)
    found = numpy.empty(0, dtype=numpy.int64)
    by_rank = rows[numpy.argsort(rank[rows])]
    places = rank[by_rank]
    for number in range(BANDS):
        values = band(number, by_rank)
        order = numpy.argsort(values, kind="stable")
        same = numpy.zeros(len(rows), dtype=bool)
        same[1:] = numpy.diff(values[order]) == 0
        ordered = places[order]
        if same.any():
            # All against the best one and each against the next: a bucket of n costs 2n, not n².
            others = ordered[same]
            best, before = ordered[_heads(same)][same], ordered[numpy.flatnonzero(same) - 1]
            found = numpy.unique(numpy.concatenate([found, best * count + others, before * count + others]))
    row_of = numpy.empty(count, dtype=numpy.int64)
    row_of[rank] = numpy.arange(count)
    return numpy.stack([row_of[found // count], row_of[found % count]], axis=1)


def near_duplicates(
    pairs: NDArray[np.int64], count: int, similarity: Callable[[int, int], float], threshold: float
) -> tuple[Rows, Rows]:
    """Questions that are nearly the same.

    Each dropped row is itself similar to the one that stays, so a chain of small changes does not empty
    the data.

    Args:
        pairs: of :func:`near_pairs`.
        count: how many questions there are.
        similarity: of two of them.
        threshold: from which they are near duplicates.

    Returns:
        Rows to drop and, for each, the row that stays in its place.
    """
    import numpy

    gone = numpy.zeros(count, dtype=bool)
    dropped, instead = [], []
    for kept, other in each_pair(pairs):
        if not gone[kept] and not gone[other] and similarity(kept, other) >= threshold:
            gone[other] = True
            dropped.append(other)
            instead.append(kept)
    return numpy.asarray(dropped, dtype=numpy.int64), numpy.asarray(instead, dtype=numpy.int64)


def each_pair(pairs: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The pairs as plain numbers, without all of them at once."""
    for begin in range(0, len(pairs), _CHUNK):
        yield from map(tuple, pairs[begin : begin + _CHUNK].tolist())


def _phrases_path(work: WorkFolder, partition: int) -> Path:
    return work.folder / "keys" / f"phrases-{partition:06}.npz"


def find_phrases(number: int, folder: str, places: Sequence[int]) -> None:
    """Write the phrases of some questions of a partition; a function that can go to another process.

    Args:
        number: of the partition.
        folder: of the work.
        places: of the questions in it.
    """
    import numpy

    work = WorkFolder(Path(folder))
    frame = work.frame(number, ("title", "body")).iloc[list(places)]
    found = [
        shingles(title, body if isinstance(body, str) else None)
        for title, body in zip(frame["title"], frame["body"], strict=True)
    ]
    values = [numpy.sort(numpy.fromiter(one, dtype="<u4", count=len(one))) for one in found]
    with open(_phrases_path(work, number), "wb", opener=owner_only) as stream:
        numpy.savez(stream, lengths=[len(one) for one in found], values=numpy.concatenate(values))


class PhraseIndex:
    """The phrases of questions that have to be compared, on disk.

    Args:
        work: the partitions after all steps.
        staged: what reading found.
        runner: where they are found.

    Example::

        with Phrases(work, staged, runner) as phrases:
            phrases.load(rows)
            phrases.similarity(first, second)
    """

    def __init__(self, work: WorkFolder, staged: StagedQuestions, runner: PartitionRunner) -> None:
        import numpy

        self._work = work
        self._runner = runner
        self._staged = staged
        self._places = numpy.full(staged.rows, -1, dtype=numpy.int64)
        self._lengths = numpy.zeros(staged.rows, dtype=numpy.int32)
        self._path: Path = work.subfolder("keys") / "phrases.bin"
        self._stream: IO[bytes] = open(self._path, "w+b", opener=owner_only)  # noqa: SIM115 - closed on exit
        self._last: tuple[int, NDArray[np.uint32]] | None = None

    def load(self, rows: NDArray[np.int64]) -> None:
        """Read the texts of these questions, where that was not done before."""
        import numpy

        missing = numpy.unique(rows)
        missing = missing[self._places[missing] < 0]
        starts = numpy.asarray(self._staged.starts)
        parts = numpy.searchsorted(starts, missing, side="right") - 1
        numbers = numpy.unique(parts).tolist()
        for begin in range(0, len(numbers), _PARTITIONS_AT_ONCE):
            some = numbers[begin : begin + _PARTITIONS_AT_ONCE]
            chosen = {number: missing[parts == number] for number in some}
            arguments = {
                number: (self._work.text, (rows - starts[number]).tolist()) for number, rows in chosen.items()
            }
            self._runner.call(find_phrases, arguments, lambda _: None)
            for number, rows in chosen.items():
                self._take(number, rows)
        self._stream.flush()

    def _take(self, number: int, rows: Rows) -> None:
        """Put the phrases of a partition after those that are there."""
        import numpy

        path = _phrases_path(self._work, number)
        with numpy.load(path) as found:
            lengths, values = found["lengths"], found["values"]
        end = self._stream.seek(0, 2)
        self._places[rows] = end + 4 * (numpy.cumsum(lengths) - lengths)
        self._lengths[rows] = lengths
        self._stream.write(values.tobytes())
        path.unlink()

    def similarity(self, first: int, second: int) -> float:
        """The share of phrases that two questions have in common."""
        import numpy

        if self._last is None or self._last[0] != first:
            # Pairs come in the order of their first question.
            self._last = first, self._read(first)
        one, other = self._last[1], self._read(second)
        shared = len(numpy.intersect1d(one, other, assume_unique=True))
        return shared / (len(one) + len(other) - shared)

    def _read(self, row: int) -> NDArray[np.uint32]:
        import numpy

        self._stream.seek(int(self._places[row]))
        return numpy.frombuffer(self._stream.read(4 * int(self._lengths[row])), dtype="<u4")

    def __enter__(self) -> PhraseIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)


def _heads(same: NDArray[np.bool_]) -> Rows:
    """For each place that of the first one of its group, where ``same`` tells who continues a group."""
    import numpy

    places = numpy.arange(len(same))
    return numpy.maximum.accumulate(numpy.where(same, 0, places))
