"""Dividing questions with all of them in view: by the time they were asked, or evenly by tag.

Unlike the division by hash, both move questions from one part to another when rows are added or removed.
What they give depends on the questions alone, not on their partitions.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lawtags_client.curation.options import SplitOptions
from lawtags_client.curation.report import PARTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def shares_of(options: SplitOptions, own_test: bool) -> dict[str, float]:
    """The share of each part that gets questions; beside a test file, training gets that of testing."""
    given = {"training": options.training, "validation": options.validation, "testing": options.testing}
    if own_test:
        given["training"] += given.pop("testing")
    total = sum(given.values())
    return {part: share / total for part, share in given.items() if share > 0}


def parts_by_time(
    moments: NDArray[np.bytes_], keys: NDArray[np.float64], shares: Mapping[str, float]
) -> NDArray[np.int8]:
    """The oldest questions are for training, the newest for testing.

    Args:
        moments: when each was asked, in a form that sorts.
        keys: of :func:`~lawtags_client.curation.features.split.split_key`; they order questions of the same
            moment independently of the input's order.
        shares: of :func:`shares_of`.

    Returns:
        The part of each question, by its place in ``PARTS``.
    """
    import numpy

    order = numpy.lexsort((keys, moments))
    parts = numpy.zeros(len(order), dtype=numpy.int8)
    begin, passed = 0, 0.0
    for part, share in shares.items():
        passed += share
        end = round(passed * len(order))
        parts[order[begin:end]] = PARTS.index(part)
        begin = end
    return parts


def parts_by_tags(
    sizes: NDArray[np.int64],
    tags: NDArray[np.int64],
    keys: NDArray[np.float64],
    shares: Mapping[str, float],
) -> NDArray[np.int8]:
    """Each part gets its share of every tag, as nearly as questions of several tags allow.

    The rarest tag is dealt out first, each of its questions to the part that lacks that tag most: iterative
    stratification, Sechidis, Tsoumakas and Vlahavas 2011, with the order of questions in place of chance.

    Args:
        sizes: how many tags each question has.
        tags: the tags of one question after the other, as numbers.
        keys: as in :func:`parts_by_time`.
        shares: of :func:`shares_of`.

    Returns:
        The part of each question, by its place in ``PARTS``.
    """
    return _StratifiedSplitter(sizes, tags, keys, shares).run()


class _StratifiedSplitter:
    """Deals out questions, the rarest tag first."""

    def __init__(
        self,
        sizes: NDArray[np.int64],
        tags: NDArray[np.int64],
        keys: NDArray[np.float64],
        shares: Mapping[str, float],
    ) -> None:
        import numpy

        rows = len(sizes)
        self._tags = tags
        self._ends = numpy.concatenate([[0], numpy.cumsum(sizes)])
        self._order = numpy.argsort(keys, kind="stable")
        places = numpy.empty(rows, dtype=numpy.int64)
        places[self._order] = numpy.arange(rows)
        # The questions of each tag, in the order in which they are dealt out.
        bearers = numpy.repeat(numpy.arange(rows), sizes)
        by_tag = numpy.lexsort((places[bearers], tags))
        self._bearers = bearers[by_tag]
        count = int(tags.max()) + 1 if len(tags) else 0
        self._begins = numpy.searchsorted(tags[by_tag], numpy.arange(count + 1))
        self._left = numpy.diff(self._begins).tolist()
        self._names = list(shares)
        self._wanted = [share * rows for share in shares.values()]
        self._lacking = [[share * left for share in shares.values()] for left in self._left]
        self._heap = [(left, tag) for tag, left in enumerate(self._left)]
        heapq.heapify(self._heap)
        self._touched: set[int] = set()
        self._parts = numpy.full(rows, -1, dtype=numpy.int8)

    def run(self) -> NDArray[np.int8]:
        while self._heap:
            count, rarest = heapq.heappop(self._heap)
            # An older entry of a tag of which fewer are left now.
            if count != self._left[rarest] or not count:
                continue
            lack = self._lacking[rarest]
            for row in self._bearers[self._begins[rarest] : self._begins[rarest + 1]].tolist():
                if self._parts[row] < 0:
                    self._put(row, max(range(len(lack)), key=lambda part: (lack[part], self._wanted[part])))
            for tag in self._touched:
                heapq.heappush(self._heap, (self._left[tag], tag))
            self._touched.clear()
        for row in self._order.tolist():
            if self._parts[row] < 0:
                self._put(row, max(range(len(self._wanted)), key=self._wanted.__getitem__))
        return self._parts

    def _put(self, row: int, part: int) -> None:
        self._parts[row] = PARTS.index(self._names[part])
        self._wanted[part] -= 1
        for tag in self._tags[self._ends[row] : self._ends[row + 1]].tolist():
            self._lacking[tag][part] -= 1
            self._left[tag] -= 1
            self._touched.add(tag)
