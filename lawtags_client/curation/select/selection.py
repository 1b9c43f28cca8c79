"""Decisions that need all questions: duplicates and the split.

A few numbers per question are kept in memory (:mod:`lawtags_client.curation.select.keys`), never its text.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.execution import PartitionRunner
from lawtags_client.curation.features.split import part_of
from lawtags_client.curation.options import CurationOptions, SplitOptions
from lawtags_client.curation.records import MergeProposal
from lawtags_client.curation.report import PARTS, StepCount
from lawtags_client.curation.select.duplicates import (
    PhraseIndex,
    each_pair,
    exact_duplicates,
    near_duplicates,
    near_pairs,
)
from lawtags_client.curation.select.keys import read_keys
from lawtags_client.curation.select.stratified_split import parts_by_tags, parts_by_time, shares_of
from lawtags_client.curation.select.tag_census import TagCensus, propose_merges
from lawtags_client.curation.staging import StagedQuestions, WorkFolder, owner_only
from lawtags_client.errors import DataError
from lawtags_client.files import PRIVATE, atomic_write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

REASONS = {
    "exact_duplicates": "same words as another question",
    "near_duplicates": "nearly the same words as another question",
    "test_overlap": "is in the test file",
    "rare_tags": "all its tags are rare",
    "split": "no date to split by",
    "leakage": "is also in a later part",
}
"""Why a step rejects a question."""

FIELDS = {"rare_tags": "tags", "split": "created"}
"""Steps that reject a question because of its own fields, not because of another question."""

STEPS = tuple(REASONS)
_ACROSS = ("test_overlap", "leakage")
NOWHERE = -1
_IDS_SHOWN = 20
_ARRAYS = ("parts", "refused", "instead")


@dataclass
class Selection:
    """Which question goes into which part, and which are rejected.

    Args:
        parts: for each row, the index of its part in ``PARTS``, or ``NOWHERE``.
        refused: for each row, the index in ``STEPS`` of the step that rejected it, or ``NOWHERE``.
        instead: for each row, the row that was kept in its place, or ``NOWHERE``.
        steps: what each step did.
        counts: of duplicates, by kind.
        split: the shares that were used.
        rare: tags to remove, with their numbers of questions.
        proposals: pairs of tags that may have the same meaning.
        begins: the earliest time in each part, if split by time.
        same_ids: rows of kept questions that share an id, one list per id.
    """

    parts: NDArray[np.int8]
    refused: NDArray[np.int8]
    instead: NDArray[np.int64]
    steps: list[StepCount] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    split: SplitOptions = SplitOptions()  # noqa: RUF009 - frozen
    rare: dict[str, int] = field(default_factory=dict)
    proposals: list[MergeProposal] = field(default_factory=list)
    begins: dict[str, str] = field(default_factory=dict)
    same_ids: list[list[int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many questions are in a part."""
        return int((self.parts != NOWHERE).sum())


def select(
    work: WorkFolder,
    staged: StagedQuestions,
    options: CurationOptions,
    *,
    own_test: bool,
    runner: PartitionRunner,
    clock: Callable[[], float] = time.perf_counter,
) -> Selection:
    """Decide where each question goes, or load an earlier decision.

    Args:
        work: the partitions after all steps.
        staged: what reading found.
        options: the options.
        own_test: whether the testing rows come from a separate file.
        runner: runs the comparison of texts by their phrases.
        clock: measures time.

    Raises:
        DataError: too many duplicates are in different parts, or no question has a date to split by.
    """
    folder = work.folder / "selection"
    if (folder / "selection.json").exists():
        return _load(folder)
    with PhraseIndex(work, staged, runner) as phrases:
        selection = _Selector(work, staged, options, phrases, own_test, clock).run()
    _save(selection, work.subfolder("selection"))
    return selection


class _Selector:
    """The state of one selection: the remaining questions, and why the others were rejected."""

    def __init__(
        self,
        work: WorkFolder,
        staged: StagedQuestions,
        options: CurationOptions,
        phrases: PhraseIndex,
        own_test: bool,
        clock: Callable[[], float],
    ) -> None:
        import numpy

        self._work = work
        self._staged = staged
        self._options = options
        self._phrases = phrases
        self._own_test = own_test
        self._clock = clock
        self._keys = read_keys(work, staged)
        self._rank = self._keys.rank()
        self._live = self._keys.live.copy()
        rows = staged.rows
        self._result = Selection(
            numpy.full(rows, NOWHERE, dtype=numpy.int8),
            numpy.full(rows, NOWHERE, dtype=numpy.int8),
            numpy.full(rows, NOWHERE, dtype=numpy.int64),
        )
        pool = int((self._keys.live & ~self._keys.test).sum())
        self._result.split = options.split.for_rows(pool)
        self._parts = numpy.array(
            [
                PARTS.index("testing" if test else part_of(key, self._result.split, own_test))
                for test, key in zip(self._keys.test.tolist(), self._keys.split_key.tolist(), strict=True)
            ],
            dtype=numpy.int8,
        )

    def run(self) -> Selection:
        import numpy

        wanted = self._options.duplicates
        by_hash = self._options.split.by == "hash"
        apart = self._parts.copy() if by_hash else None
        if wanted.exact:
            self._step("exact_duplicates", self._exact)
        if wanted.near:
            self._step("near_duplicates", self._near)
        if apart is not None:
            self._result.counts["would_have_leaked"] = len(self._straddling(apart, STEPS))
        if self._own_test:
            self._step("test_overlap", self._in_test)
        self._count_tags()
        if self._options.tags.min_count > 1:
            self._step("rare_tags", self._only_rare)
        self._step("split", self._divide)
        self._step("leakage", self._across)
        # Unless split by hash, rows that were rejected earlier had no part yet.
        self._check_overlap(self._parts if apart is None else apart, STEPS if by_hash else _ACROSS)
        self._result.parts = numpy.where(self._live, self._parts, numpy.int8(NOWHERE))
        self._count_ids()
        return self._result

    def _step(self, name: str, find: Callable[[], tuple[Rows, Rows | int]]) -> None:
        started, before = self._clock(), int(self._live.sum())
        dropped, instead = find()
        self._live[dropped] = False
        self._result.refused[dropped] = STEPS.index(name)
        self._result.instead[dropped] = instead
        after = int(self._live.sum())
        if name not in FIELDS:
            self._result.counts[name] = before - after
        self._result.steps.append(StepCount(name, before, after, self._clock() - started))

    def _rows(self, chosen: NDArray[np.bool_] | None = None) -> Rows:
        import numpy

        return numpy.flatnonzero(self._live if chosen is None else self._live & chosen)

    def _pool(self) -> Rows:
        # Rows of a test file are scored as they are, duplicates and all.
        return self._rows(~self._keys.test)

    def _exact(self) -> tuple[Rows, Rows]:
        return exact_duplicates(self._keys.digest, self._pool(), self._rank)

    def _near(self) -> tuple[Rows, Rows]:
        pairs = near_pairs(self._keys.band, self._pool(), self._rank)
        self._phrases.load(pairs)
        threshold = self._options.duplicates.threshold
        return near_duplicates(pairs, self._staged.rows, self._phrases.similarity, threshold)

    def _in_test(self) -> tuple[Rows, Rows]:
        rows, others = self._across()
        in_test = self._parts[others] == PARTS.index("testing")
        return rows[in_test], others[in_test]

    def _across(self) -> tuple[Rows, Rows]:
        """Rows that have a duplicate in a later part, with that duplicate."""
        import numpy

        rows, parts = self._rows(), self._parts
        # As if all rows were candidates for one place, the last part's first.
        order = numpy.argsort(-parts, kind="stable")
        rank = numpy.empty(len(order), dtype=numpy.int64)
        rank[order] = numpy.arange(len(order))
        leaving: dict[int, int] = {}
        for row, other in zip(*exact_duplicates(self._keys.digest, rows, rank), strict=True):
            if parts[row] < parts[other]:
                leaving[int(row)] = int(other)
        pairs = near_pairs(self._keys.band, rows, rank)
        pairs = pairs[parts[pairs[:, 0]] > parts[pairs[:, 1]]]
        self._phrases.load(pairs)
        threshold = self._options.duplicates.threshold
        for other, row in each_pair(pairs):
            if row not in leaving and self._phrases.similarity(other, row) >= threshold:
                leaving[row] = other
        found = sorted(leaving.items())
        return (
            numpy.array([row for row, _ in found], dtype=numpy.int64),
            numpy.array([other for _, other in found], dtype=numpy.int64),
        )

    def _straddling(self, parts: NDArray[np.int8], steps: Sequence[str]) -> Rows:
        """Rows that these steps dropped for a duplicate in another part."""
        import numpy

        by_them = numpy.isin(self._result.refused, [STEPS.index(name) for name in steps])
        dropped: Rows = numpy.flatnonzero(by_them & (self._result.instead != NOWHERE))
        apart: NDArray[np.bool_] = parts[dropped] != parts[self._result.instead[dropped]]
        return dropped[apart]

    def _check_overlap(self, parts: NDArray[np.int8], steps: Sequence[str]) -> None:
        """Count the groups of duplicates in several parts, and fail if there are too many."""
        import numpy

        groups = len(numpy.unique(self._result.instead[self._straddling(parts, steps)]))
        self._result.counts["straddling_groups"] = groups
        most = self._options.duplicates.max_overlap
        held_out = int((self._live & (self._parts != PARTS.index("training"))).sum())
        if most is not None and groups > most * max(held_out, 1):
            raise DataError(
                f"{groups} groups of duplicates are in training and in another part, more than {most:.1%} "
                f"of the {held_out} rows held out",
                hint="Without duplicates.max_overlap they leave training, and are listed in rejected.jsonl.",
            )

    def _tags(self, rows: Rows) -> Iterator[list[str]]:
        """The tags of these questions, in their order."""
        import numpy

        starts = self._staged.starts
        places = numpy.searchsorted(rows, starts)
        for number in range(self._staged.partitions):
            chosen = rows[places[number] : places[number + 1]] - starts[number]
            if len(chosen):
                for tags in self._work.frame(number, ("tags",))["tags"].iloc[chosen]:
                    yield [str(tag) for tag in tags]

    def _count_ids(self) -> None:
        """Find different questions that share an id; duplicates have been removed by now."""
        import numpy

        rows = self._rows()
        _, places, counts = numpy.unique(self._keys.id[rows], return_inverse=True, return_counts=True)
        shared = rows[counts[places] > 1]
        self._result.counts["same_id"] = int((counts > 1).sum())
        groups: dict[int, list[int]] = {}
        for row in shared.tolist():
            groups.setdefault(int(self._keys.id[row]), []).append(row)
        self._result.same_ids = list(groups.values())[:_IDS_SHOWN]

    def _count_tags(self) -> None:
        census = TagCensus()
        for tags in self._tags(self._pool()):
            census.add(tags)
        self._result.rare = census.rarer_than(self._options.tags.min_count)
        self._result.proposals = propose_merges(census)

    def _only_rare(self) -> tuple[Rows, int]:
        import numpy

        pool, rare = self._pool(), self._result.rare.keys()
        return pool[
            numpy.fromiter((rare >= set(tags) for tags in self._tags(pool)), bool, len(pool))
        ], NOWHERE

    def _divide(self) -> tuple[Rows, int]:
        """Assign parts if not split by hash; reject questions without a date."""
        by = self._options.split.by
        if by == "time":
            return self._by_time(), NOWHERE
        if by == "stratified":
            self._by_tags()
        return self._rows()[:0], NOWHERE

    def _by_time(self) -> Rows:
        pool = self._pool()
        dated = self._keys.dated[pool]
        if len(pool) and not dated.any():
            raise DataError(
                self._no_date(),
                field="created",
                hint="Name its column, e.g. lawtags curate --set columns.created=asked_at "
                "(lawtags run: --set curation.columns.created=asked_at), or split by hash.",
            )
        rows = pool[dated]
        moments = self._keys.created[rows]
        parts = parts_by_time(
            moments, self._keys.split_key[rows], shares_of(self._result.split, self._own_test)
        )
        self._parts[rows] = parts
        for number, part in enumerate(PARTS):
            if (parts == number).any():
                self._result.begins[part] = min(moments[parts == number].tolist()).decode()
        return pool[~dated]

    def _no_date(self) -> str:
        unread = [found for found in self._staged.values.get("unreadable", []) if "date" in found["reason"]]
        details = "".join(
            f"; {found['rows']} values of {found['field']}: {found['reason']}" for found in unread[:2]
        )
        return f"no question has a date to split by{details}"

    def _by_tags(self) -> None:
        import numpy

        pool, rare = self._pool(), self._result.rare
        numbers: dict[str, int] = {}
        sizes = numpy.zeros(len(pool), dtype=numpy.int64)
        met = array("q")
        for place, tags in enumerate(self._tags(pool)):
            kept = sorted({tag for tag in tags if tag not in rare})
            sizes[place] = len(kept)
            met.extend(numbers.setdefault(tag, len(numbers)) for tag in kept)
        # Number tags alphabetically, so that the result does not depend on the order of rows.
        names = sorted(numbers)
        place_of = numpy.empty(len(numbers), dtype=numpy.int64)
        place_of[[numbers[name] for name in names]] = numpy.arange(len(names))
        flat = place_of[numpy.array(met, dtype=numpy.int64)]
        shares = shares_of(self._result.split, self._own_test)
        self._parts[pool] = parts_by_tags(sizes, flat, self._keys.split_key[pool], shares)


def _save(selection: Selection, folder: Path) -> None:
    import numpy

    for name in _ARRAYS:
        with open(folder / f"{name}.npy", "wb", opener=owner_only) as stream:
            numpy.save(stream, getattr(selection, name), allow_pickle=False)
    record = {
        "steps": [step.as_dict() for step in selection.steps],
        "counts": selection.counts,
        "rare": selection.rare,
        "proposals": selection.proposals,
        "begins": selection.begins,
        "same_ids": selection.same_ids,
        "split": {name: getattr(selection.split, name) for name in SplitOptions.__dataclass_fields__},
    }
    # Written last: it marks the other files as complete.
    atomic_write_json(folder / "selection.json", record, mode=PRIVATE)


def _load(folder: Path) -> Selection:
    import numpy

    arrays = [
        numpy.load(folder / f"{name}.npy", allow_pickle=False) for name in ("parts", "refused", "instead")
    ]
    record = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
    record["steps"] = [StepCount(**step) for step in record["steps"]]
    record["split"] = SplitOptions(**record["split"])
    return Selection(*arrays, **record)
