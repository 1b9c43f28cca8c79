"""Rendering the lines of the output files, partition by partition.

The lines of a partition depend only on its questions, their placement, and the tags of all training rows. So
partitions can be rendered in any order and on any worker, and are then concatenated in input order.
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
from lawtags_client.files import PRIVATE, atomic_write_bytes, atomic_write_json
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

REJECTED = "rejected.jsonl"
_SAME_WORDS = ("exact_duplicates", "near_duplicates")


def part_files(part: str) -> tuple[str, str]:
    """The files of a part: rows for the Customizer, and their questions."""
    return f"{part}/{part}.jsonl", f"questions/{part}.jsonl"


FILES = (*(name for part in PARTS for name in part_files(part)), REJECTED)
"""All files of rows, in the order in which the lines of a partition are stored."""


@dataclass(frozen=True)
class RenderingOptions:
    """The settings shared by all partitions.

    Args:
        options: the options; the secret key may be omitted.
        vocabulary: the tags of the training rows.
        rare: tags to remove.
        count_tokens: the length of a text in tokens of the model; an estimate if None.
    """

    options: CurationOptions
    vocabulary: Vocabulary
    rare: frozenset[str]
    count_tokens: Callable[[str], int] | None


@dataclass(frozen=True)
class SurvivingQuestion:
    """The question that was kept in place of a duplicate.

    Args:
        id: its id.
        file: its file.
        line: its line.
        tags: its tags.
    """

    id: str
    file: str
    line: int
    tags: frozenset[str]


@dataclass(frozen=True)
class PartitionPlacement:
    """The placement of the questions of a partition.

    Args:
        parts: of :class:`~lawtags_client.curation.select.selection.Selection`, for this partition.
        refused: the same.
        instead: the same.
        kept: the questions kept in place of duplicates, by row.
        places: for each part, the number of rows in earlier partitions.
        last: whether this is the last partition.
    """

    parts: NDArray[np.int8]
    refused: NDArray[np.int8]
    instead: NDArray[np.int64]
    kept: Mapping[int, SurvivingQuestion]
    places: tuple[int, ...]
    last: bool


@dataclass
class RenderedPartition:
    """What was rendered for a partition.

    Args:
        sizes: bytes of its lines in each of ``FILES``.
        lengths: lengths of its prompts.
        labels: rows per tag, by part.
        rejected: rejected rows by step and reason.
        dropped: the first rejected rows of each step.
        other_tags: duplicates that had different tags than the question kept.
    """

    sizes: list[int] = field(default_factory=list)
    lengths: LengthStatistics = field(default_factory=LengthStatistics)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {part: Counter() for part in PARTS})
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    dropped: dict[str, list[RejectedRow]] = field(default_factory=dict)
    other_tags: int = 0

    def merge(self, other: RenderedPartition) -> None:
        """Add another partition, except its sizes."""
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
        """Count a rejected row."""
        step = entry["step"]
        self.rejected.setdefault(step, Counter())[entry["reason"]] += 1
        self.other_tags += step in _SAME_WORDS and "tags_differ" in entry
        kept = self.dropped.setdefault(step, [])
        if len(kept) < PER_STEP:
            shown = entry.copy()
            del shown["step"]
            kept.append(shown)


def rows_path(work: WorkFolder, partition: int) -> Path:
    """The lines of a partition, file after file."""
    return work.folder / "rows" / f"{partition:06}.jsonl"


def rendered(work: WorkFolder, partition: int) -> RenderedPartition | None:
    """What was rendered for a partition, or None if it is pending."""
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
    """Render the lines of a partition and, once they are on disk, their record.

    Args:
        number: the partition.
        folder: the work folder.
        rendering: the settings shared by all partitions.
        placement: the placement of its questions.
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
    atomic_write_bytes(path, b"".join(line for name in FILES for line in lines[name]), mode=PRIVATE)
    record = vars(made) | {"lengths": made.lengths.as_dict()}
    atomic_write_json(path.with_suffix(".json"), record, mode=PRIVATE)


def bad_entry(entry: BadRowRecord) -> RejectedRow:
    """The line in ``rejected.jsonl`` of an unreadable row."""
    rejected: RejectedRow = {
        "step": "read",
        "reason": entry["reason"],
        "file": entry["file"],
        "line": entry["line"],
        "field": entry["field"],
        "id": None,
    }
    if entry["column"]:
        rejected["column"] = entry["column"]
    if entry["detail"]:
        rejected["detail"] = entry["detail"]
    return rejected


def records_of(frame: pd.DataFrame) -> Iterator[PartitionRow]:
    """The rows of a partition; missing values are None."""
    # Data frames use NaN for missing values; JSON has null.
    names = list(frame.columns)
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        values = {
            name: None if isinstance(value, float) and value != value else value
            for name, value in zip(names, row, strict=True)
        }
        yield cast(PartitionRow, values)


def question_of(values: PartitionRow, rare: frozenset[str]) -> Question:
    """The question of a row, without rare tags."""
    taken = frozenset() if values["test"] else rare
    tags = tuple(str(tag) for tag in values["tags"] if tag not in taken)
    return Question(id=values["id"], title=values["title"], body=values["body"], tags=tags)


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
    """The lines of rejected questions, each with its source and line."""
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
        # Text is shown only after personal data was masked.
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
