"""What can be decided only with all questions in view: duplicates and the split.

Of each question it holds a digest, a signature and a few numbers; texts are read again only for pairs that
have to be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lawtags_client.curation import dedup
from lawtags_client.curation.dedup import Candidate
from lawtags_client.curation.division import Divided, parts_by_tags, parts_by_time, read_moment, shares_of
from lawtags_client.curation.options import CurationOptions, SplitOptions
from lawtags_client.curation.report import PARTS, StepCount
from lawtags_client.curation.split import part_of
from lawtags_client.curation.staging import WorkFolder
from lawtags_client.curation.tag_census import TagCensus, propose_merges
from lawtags_client.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


# Steps that refuse a question for one of its fields, and for no other question's sake.
_FIELDS = {"rare_tags": "tags", "split": "created"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a question is in no part.

    Args:
        step: the step.
        reason: its reason.
        instead: the row that stands in its place, if one does.
        field: the field that the reason is about, if it is one.
    """

    step: str
    reason: str
    instead: int | None
    field: str | None = None


@dataclass
class Selection:
    """Which question goes where.

    Args:
        parts: row to part, for the rows that stay.
        refused: row to reason, for those that do not.
        steps: what each step did.
        counts: of duplicates, by kind.
        split: the shares that were taken.
        rare: tags that are taken off, with the questions that they stood on.
        proposals: pairs of tags that might mean the same.
        begins: the oldest moment of each part, where the division is by time.
    """

    parts: dict[int, str] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    steps: list[StepCount] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    split: SplitOptions = SplitOptions()  # noqa: RUF009 - frozen
    rare: dict[str, int] = field(default_factory=dict)
    proposals: list[dict[str, Any]] = field(default_factory=list)
    begins: dict[str, str] = field(default_factory=dict)


def select(
    work: WorkFolder,
    partitions: int,
    options: CurationOptions,
    *,
    own_test: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> Selection:
    """Decide where each question goes.

    Args:
        work: the partitions behind all steps.
        partitions: how many there are.
        options: what is asked for.
        own_test: whether the testing rows come from a file of their own.
        clock: measures time.
    """
    return _Selecting(work, partitions, options, own_test, clock).run()


class _Selecting:
    """The state of one selection: the questions that are still in, and what became of the others."""

    def __init__(
        self,
        work: WorkFolder,
        partitions: int,
        options: CurationOptions,
        own_test: bool,
        clock: Callable[[], float],
    ) -> None:
        self._work = work
        self._partitions = partitions
        self._options = options
        self._own_test = own_test
        self._clock = clock
        self._result = Selection()
        self._shingles: dict[int, frozenset[int]] = {}
        self._live: dict[int, Candidate] = {}
        self._result.split = options.split.for_rows(sum(map(_pool_rows, work.frames(partitions))))
        for frame in work.frames(partitions):
            self._live.update((c.row, c) for c in _candidates(frame, self._result.split, own_test))
        self._before = dict(self._live)

    def run(self) -> Selection:
        wanted = self._options.duplicates
        if wanted.exact:
            self._step("exact_duplicates", "same words as another question", self._exact)
        if wanted.near:
            self._step("near_duplicates", "nearly the same words as another question", self._near)
        if self._options.split.by == "hash":
            self._shared()
        if self._own_test:
            self._step("test_overlap", "stands in the test file", self._in_test)
        self._count_tags()
        if self._options.tags.min_count > 1:
            self._step("rare_tags", "all its tags are rare", self._only_rare)
        self._step("split", "no date to divide by", self._divide)
        self._step("leakage", "stands in a later part as well", self._leaks)
        self._result.parts = {row: candidate.part for row, candidate in sorted(self._live.items())}
        return self._result

    def _step(self, name: str, reason: str, find: Callable[[], Mapping[int, int | None]]) -> None:
        started, before = self._clock(), len(self._live)
        for row, instead in find().items():
            del self._live[row]
            self._result.refused[row] = Refusal(name, reason, instead, _FIELDS.get(name))
        after = len(self._live)
        if reason and name not in _FIELDS:
            self._result.counts[name] = before - after
        self._result.steps.append(StepCount(name, before, after, self._clock() - started))

    def _pool(self) -> list[Candidate]:
        # Rows of a test file are scored as they are, duplicates and all.
        return [c for c in self._live.values() if not (self._own_test and c.part == "testing")]

    def _pool_tags(self) -> Iterator[tuple[int, list[str]]]:
        """The tags of each question that is to be divided."""
        pool = {candidate.row for candidate in self._pool()}
        for frame in self._work.frames(self._partitions):
            for row, tags in zip(frame["row"], frame["tags"], strict=True):
                if int(row) in pool:
                    yield int(row), [str(tag) for tag in tags]

    def _count_tags(self) -> None:
        census = TagCensus()
        for _, tags in self._pool_tags():
            census.add(tags)
        self._result.rare = census.rarer_than(self._options.tags.min_count)
        self._result.proposals = propose_merges(census)

    def _only_rare(self) -> dict[int, None]:
        return {row: None for row, tags in self._pool_tags() if self._result.rare.keys() >= set(tags)}

    def _divide(self) -> dict[int, None]:
        """Put questions into their parts, where their hashes did not; refuse those without a date."""
        by = self._options.split.by
        undated: dict[int, None] = {}
        if by == "time":
            undated = self._by_time()
        elif by == "stratified":
            self._by_tags()
        return undated

    def _by_time(self) -> dict[int, None]:
        pool = self._pool()
        moments = {candidate.row: read_moment(candidate.created) for candidate in pool}
        undated = {row: None for row, moment in moments.items() if moment is None}
        if pool and len(undated) == len(pool):
            raise DataError(
                "no question has a date to divide by",
                field="created",
                hint="Say which column holds it, e.g. columns: {created: asked_at}, or split by hash.",
            )
        dated = [Divided(c.row, c.key, moments[c.row] or "") for c in pool if c.row not in undated]
        parts = parts_by_time(dated, shares_of(self._result.split, self._own_test))
        for one in sorted(dated, key=lambda one: one.moment):
            self._result.begins.setdefault(parts[one.row], one.moment)
        self._put(parts)
        return undated

    def _by_tags(self) -> None:
        rare = self._result.rare
        tagged = [
            Divided(row, self._live[row].key, tags=tuple(tag for tag in tags if tag not in rare))
            for row, tags in self._pool_tags()
        ]
        self._put(parts_by_tags(tagged, shares_of(self._result.split, self._own_test)))

    def _put(self, parts: Mapping[int, str]) -> None:
        for row, part in parts.items():
            self._live[row] = replace(self._live[row], part=part)

    def _exact(self) -> dict[int, int]:
        return dedup.exact_duplicates(self._pool())

    def _near(self) -> dict[int, int]:
        pairs = dedup.near_pairs(self._pool())
        self._load({row for pair in pairs for row in pair})
        return dedup.near_duplicates(pairs, self._similarity, self._options.duplicates.threshold)

    def _in_test(self) -> dict[int, int]:
        return {row: other for row, other in self._across() if self._live[other].part == "testing"}

    def _leaks(self) -> dict[int, int]:
        return dict(self._across())

    def _across(self) -> list[tuple[int, int]]:
        """Rows that have a duplicate in a part behind their own, with that duplicate."""
        place = {part: number for number, part in enumerate(PARTS)}
        # As if all rows were candidates for one place, the last part's first.
        ranked = [replace(c, score=float(place[c.part]), created=None) for c in self._live.values()]
        found = list(dedup.exact_duplicates(ranked).items())
        pairs = [(kept, other) for kept, other in dedup.near_pairs(ranked) if self._differ(kept, other)]
        self._load({row for pair in pairs for row in pair})
        threshold = self._options.duplicates.threshold
        found += [(other, kept) for kept, other in pairs if self._similarity(kept, other) >= threshold]
        leaving: dict[int, int] = {}
        for row, other in found:
            if place[self._live[row].part] < place[self._live[other].part]:
                leaving.setdefault(row, other)
        return sorted(leaving.items())

    def _differ(self, first: int, second: int) -> bool:
        return self._live[first].part != self._live[second].part

    def _similarity(self, first: int, second: int) -> float:
        return dedup.jaccard(self._shingles[first], self._shingles[second])

    def _load(self, rows: set[int]) -> None:
        missing = rows - self._shingles.keys()
        if not missing:
            return
        for frame in self._work.frames(self._partitions):
            chosen = frame[frame["row"].isin(missing)]
            for row, title, body in zip(chosen["row"], chosen["title"], chosen["body"], strict=True):
                self._shingles[int(row)] = dedup.shingles(title, body if isinstance(body, str) else None)

    def _shared(self) -> None:
        # How many duplicates the split would have put apart, had they stayed.
        apart = sum(
            self._before[row].part != self._before[refusal.instead].part
            for row, refusal in self._result.refused.items()
            if refusal.instead is not None
        )
        self._result.counts["would_have_leaked"] = apart


def _pool_rows(frame: pd.DataFrame) -> int:
    """Questions that are to be divided: not refused, and not from a test file."""
    return int(((frame["rejected_by"] == "") & ~frame["test"]).sum())


def _candidates(frame: pd.DataFrame, split: SplitOptions, own_test: bool) -> Iterable[Candidate]:
    live = frame[frame["rejected_by"] == ""]
    columns = ("row", "digest", "bands", "score", "created", "split_key", "test")
    for row, digest, bands, score, created, key, test in zip(*(live[c] for c in columns), strict=True):
        yield Candidate(
            int(row),
            digest,
            tuple(map(int, bands.split())),
            None if score != score else float(score),
            _sortable(created),
            "testing" if test else part_of(key, split, own_test),
            key,
        )


def _sortable(created: str | None) -> str | None:
    if created is None or created != created:
        return None
    # What is no date may be of a form that sorts by itself.
    return read_moment(created) or created
