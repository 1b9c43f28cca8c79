"""Making the lines of the output files, partition by partition.

A partition's lines depend on its questions, on where they go, and on the tags of all training rows; so
partitions can be made in any order and place, and files are put together from them in the order of the input.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lawtags_client.curation.examples import PER_STEP
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.records import BadRowRecord, PartitionRow, QuestionRow, RejectedRow
from lawtags_client.curation.report import PARTS
from lawtags_client.curation.select.selection import FIELDS, NOWHERE, REASONS, STEPS
from lawtags_client.curation.select.shortlists import Shortlists
from lawtags_client.curation.staging import WorkFolder
from lawtags_client.curation.write.atomic_files import line_of
from lawtags_client.curation.write.prompts import LengthStatistics, RowMaker
from lawtags_client.files import atomic_write_bytes, atomic_write_json
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

REJECTED = "rejected.jsonl"
_SAME_WORDS = ("exact_duplicates", "near_duplicates")


def part_files(part: str) -> tuple[str, str]:
    """The files of a part: rows for the Customizer, and the questions they were made of."""
    return f"{part}/{part}.jsonl", f"questions/{part}.jsonl"


FILES = (*(name for part in PARTS for name in part_files(part)), REJECTED)
"""All files of rows, in the order in which a partition's lines of them stand."""


@dataclass(frozen=True)
class RenderingOptions:
    """What the lines of all partitions are made with.

    Args:
        options: what is asked for; the key of hashes may be left out.
        vocabulary: the tags of the training rows.
        rare: tags that are taken off.
        count_tokens: the length of a text in tokens of the model; an estimate if None.
    """

    options: CurationOptions
    vocabulary: Vocabulary
    rare: frozenset[str]
    count_tokens: Callable[[str], int] | None


@dataclass(frozen=True)
class SurvivingQuestion:
    """A question that stands in the place of another.

    Args:
        id: its id.
        file: where it stands.
        line: the line of it.
        tags: its tags.
    """

    id: str
    file: str
    line: int
    tags: frozenset[str]


@dataclass(frozen=True)
class PartitionPlacement:
    """Where the questions of a partition go.

    Args:
        parts: of :class:`~lawtags_client.curation.select.selection.Selection`, for this partition.
        refused: the same.
        instead: the same.
        kept: the questions that stand in the place of others, by their row.
        places: for each part how many rows it has before those of this partition.
        last: whether no partition follows.
    """

    parts: NDArray[np.int8]
    refused: NDArray[np.int8]
    instead: NDArray[np.int64]
    kept: Mapping[int, SurvivingQuestion]
    places: tuple[int, ...]
    last: bool


@dataclass
class RenderedPartition:
    """What was made of a partition.

    Args:
        sizes: bytes of the lines of each of ``FILES``.
        lengths: of its prompts.
        labels: on how many rows of each part each tag stands.
        rejected: refused rows by step and reason.
        dropped: the first refused rows of each step.
        other_tags: questions refused for one of the same words that has other tags.
    """

    sizes: list[int] = field(default_factory=list)
    lengths: LengthStatistics = field(default_factory=LengthStatistics)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {part: Counter() for part in PARTS})
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    dropped: dict[str, list[RejectedRow]] = field(default_factory=dict)
    other_tags: int = 0

    def merge(self, other: RenderedPartition) -> None:
        """Add what was made of another partition, but its sizes."""
        self.lengths += other.lengths
        for part in PARTS:
            self.labels[part].update(other.labels[part])
        self.other_tags += other.other_tags
        for step, reasons in other.rejected.items():
            self.rejected.setdefault(step, Counter()).update(reasons)
        for step, entries in other.dropped.items():
            kept = self.dropped.setdefault(step, [])
            kept += entries[: PER_STEP - len(kept)]

    def refuse(self, entry: RejectedRow) -> None:
        """Count a refused row."""
        step = entry["step"]
        self.rejected.setdefault(step, Counter())[entry["reason"]] += 1
        self.other_tags += step in _SAME_WORDS and "tags_differ" in entry
        kept = self.dropped.setdefault(step, [])
        if len(kept) < PER_STEP:
            shown = entry.copy()
            del shown["step"]
            kept.append(shown)


def rows_path(work: WorkFolder, partition: int) -> Path:
    """The lines of a partition, those of one file behind those of the other."""
    return work.folder / "rows" / f"{partition:06}.jsonl"


def rendered(work: WorkFolder, partition: int) -> RenderedPartition | None:
    """What was made of a partition, if that was done."""
    path = rows_path(work, partition).with_suffix(".json")
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return RenderedPartition(
        found["sizes"],
        LengthStatistics.from_dict(found["lengths"]),
        {part: Counter(found["labels"][part]) for part in PARTS},
        {step: Counter(reasons) for step, reasons in found["rejected"].items()},
        found["dropped"],
        found["other_tags"],
    )


def render_partition(
    number: int,
    folder: str,
    rendering: RenderingOptions,
    placement: PartitionPlacement,
    shortlists: Shortlists | None = None,
) -> None:
    """Make a partition's lines of all files and, once they are on disk, their record.

    Args:
        number: the partition.
        folder: of the work.
        rendering: what all lines are made with.
        placement: where its questions go.
        shortlists: candidate tags for the prompts.
    """
    work = WorkFolder(Path(folder))
    work.subfolder("rows")
    made = RenderedPartition()
    lines: dict[str, list[bytes]] = {name: [] for name in FILES}
    frame = work.frame(number)
    _render_rows(frame, rendering, placement, shortlists, made, lines)
    refused = _refused(frame, rendering, placement)
    bad = work.bad_rows(number, last=placement.last) if rendering.options.on_bad_row != "skip" else iter(())
    unread = (((entry["source"], entry["line"]), bad_entry(entry)) for entry in bad)
    for _, entry in heapq.merge(unread, refused, key=lambda pair: pair[0]):
        made.refuse(entry)
        lines[REJECTED].append(line_of(entry))
    made.sizes = [sum(map(len, lines[name])) for name in FILES]
    path = rows_path(work, number)
    atomic_write_bytes(path, b"".join(line for name in FILES for line in lines[name]))
    atomic_write_json(path.with_suffix(".json"), vars(made) | {"lengths": made.lengths.as_dict()})


def bad_entry(entry: BadRowRecord) -> RejectedRow:
    """The line of a row that could not be read."""
    rejected: RejectedRow = {
        "step": "read",
        "reason": entry["reason"],
        "file": entry["file"],
        "line": entry["line"],
        "field": entry["field"],
        "id": None,
    }
    if entry["detail"]:
        rejected["detail"] = entry["detail"]
    return rejected


def records_of(frame: pd.DataFrame) -> Iterator[PartitionRow]:
    """The rows of a partition; a gap is None."""
    # Tables say NaN where a value is missing; JSON has null.
    names = list(frame.columns)
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        values = {
            name: None if isinstance(value, float) and value != value else value
            for name, value in zip(names, row, strict=True)
        }
        yield cast(PartitionRow, values)


def question_of(values: PartitionRow, rare: frozenset[str]) -> Question:
    """The question of a row, without the tags that are taken off."""
    taken = frozenset() if values["test"] else rare
    tags = tuple(str(tag) for tag in values["tags"] if tag not in taken)
    return Question(values["id"], values["title"], values["body"], tags)


def _render_rows(
    frame: pd.DataFrame,
    rendering: RenderingOptions,
    placement: PartitionPlacement,
    shortlists: Shortlists | None,
    made: RenderedPartition,
    lines: Mapping[str, list[bytes]],
) -> None:
    maker = RowMaker(rendering.options, rendering.vocabulary, rendering.count_tokens)
    places = list(placement.places)
    for values, number in zip(records_of(frame), placement.parts.tolist(), strict=True):
        if number == NOWHERE:
            continue
        part, place = PARTS[number], places[number]
        places[number] += 1
        question = question_of(values, rendering.rare)
        candidates: tuple[str, ...] = ()
        if shortlists is not None:
            taught = part == "training"
            candidates = shortlists.training(place, question) if taught else shortlists.other(question)
        rows, questions = part_files(part)
        lines[rows].append(line_of(maker.row(question, candidates)))
        lines[questions].append(line_of(_question_row(place, values, question)))
        made.labels[part].update(question.tags)
    made.lengths = maker.lengths


def _refused(
    frame: pd.DataFrame, rendering: RenderingOptions, placement: PartitionPlacement
) -> Iterator[tuple[tuple[int, int], RejectedRow]]:
    """The lines of refused questions, each with its source and line."""
    placements = zip(placement.refused.tolist(), placement.instead.tolist(), strict=True)
    for values, (step, instead) in zip(records_of(frame), placements, strict=True):
        if step == NOWHERE and not values["rejected_by"]:
            continue
        name = values["rejected_by"] if step == NOWHERE else STEPS[step]
        entry: RejectedRow = {
            "step": name,
            "reason": values["reason"] if step == NOWHERE else REASONS[name],
            "file": values["file"],
            "line": values["line"],
            "field": values["field"] or None if step == NOWHERE else FIELDS.get(name),
            "id": values["id"],
        }
        if instead != NOWHERE:
            kept = placement.kept[instead]
            entry["instead"] = kept.id
            entry["instead_at"] = {"file": kept.file, "line": kept.line}
            if kept.tags != set(values["tags"]):
                entry["tags_differ"] = True
        elif step == NOWHERE and values["detail"]:
            entry["detail"] = values["detail"]
        # Text is shown only behind the step that takes personal data out.
        if values["masked"] or not rendering.options.pii.entities:
            entry["title"] = values["title"]
        yield (values["source"], values["line"]), entry


def _question_row(place: int, values: PartitionRow, question: Question) -> QuestionRow:
    score = values["score"]
    return {
        "id": question.id,
        "row": place,
        "title": question.title,
        "body": question.body,
        "tags": list(question.tags),
        "score": int(score) if score is not None and score == int(score) else score,
        "link": values["link"],
        "license": values["license"],
        "source": {"file": values["file"], "line": values["line"]},
    }
