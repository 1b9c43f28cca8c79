"""Notes for readers of ``curation.json``, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.records import CorrectionsUsed
from lawtags_client.curation.report import PARTS, StepCount
from lawtags_client.curation.select.selection import Selection


def step_notes(steps: Sequence[StepCount]) -> list[str]:
    """Why steps were skipped."""
    return [f"{step.name}: {step.note}" for step in steps if step.note]


def source_notes(own_test: bool, tokenizer: bool) -> list[str]:
    """Effects of a test file, and of a missing tokenizer."""
    notes = []
    if own_test:
        notes.append(
            "testing comes from a separate file: no filter dropped its rows, and its share went to training"
        )
    if not tokenizer:
        notes.append("token counts are estimates, because no tokenizer was given")
    return notes


def returned_notes(rows: int) -> list[str]:
    """Questions that were forgotten in this folder and have returned."""
    if not rows:
        return []
    return [f"rows that were forgotten in this folder and are back: {rows}; pass their list with --forget"]


def not_found_notes(entries: Sequence[object]) -> list[str]:
    """Ids of the forget list that are in no input."""
    if not entries:
        return []
    return [f"ids of the forget list that are in no input: {len(entries)}"]


def correction_notes(used: CorrectionsUsed | None) -> list[str]:
    """What reviewed corrections did, and how many are for no question."""
    if used is None:
        return []
    notes = [f"questions whose tags {used['file']} corrected: {used['changed']}"]
    if missing := max(0, used["entries"] - used["found"]):
        notes.append(f"corrections in {used['file']} whose question is in no input: {missing}")
    return notes


def selection_notes(selection: Selection, options: CurationOptions) -> list[str]:
    """Changes to tags, and the split."""
    notes = []
    if selection.rare:
        notes.append(f"rare tags, removed: {len(selection.rare)}; labels.rare in curation.json lists them")
    if selection.proposals:
        notes.append(
            f"pairs of tags that may mean the same: {len(selection.proposals)}; labels.proposals in "
            "curation.json lists them, and nothing was merged"
        )
    taken = selection.split
    if taken != options.split:
        notes.append(
            f"fewer than {options.split.few_rows} questions: {taken.training:g} of them are for training, "
            f"{taken.validation:g} for validation, {taken.testing:g} for testing"
        )
    begins = [f"{part} from {selection.begins[part]}" for part in PARTS if part in selection.begins]
    if begins:
        notes.append(f"split by time: {', '.join(begins)}")
    return notes


def unseen_tags(labels: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Tags without a training row, which a model cannot learn, with their rows.

    Args:
        labels: rows per tag and part.
    """
    return {tag: sum(parts.values()) for tag, parts in labels.items() if parts and not parts.get("training")}


def label_notes(
    respelled: Sequence[tuple[str, str, int]], labels: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Tags that were normalized, and tags without a training row."""
    notes = []
    if respelled:
        notes.append(f"normalized tags: {len(respelled)}; labels.respelled in curation.json lists them")
    if unseen := unseen_tags(labels):
        notes.append(
            f"tags without a training row, which no model can learn: {len(unseen)}; labels.unseen in "
            "curation.json lists them"
        )
    return notes


def duplicate_notes(counts: Mapping[str, int], other_tags: int) -> list[str]:
    """Duplicates with different tags, and different questions with the same id."""
    notes = []
    if other_tags:
        notes.append(
            f"duplicates with different tags than the question kept: {other_tags}; rejected.jsonl lists both"
        )
    if same := counts.get("same_id"):
        notes.append(
            f"ids with several different questions, all kept: {same}; same_ids in curation.json lists them"
        )
    return notes


def empty_parts(splits: Mapping[str, int], options: CurationOptions) -> list[str]:
    """Parts that have a share but no rows."""
    return [
        f"{part} has no rows: too few questions for its share"
        for part in PARTS
        if not splits[part] and getattr(options.split, part) > 0
    ]
