"""The report of a curation, stored as ``curation.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from lawtags_client.curation.records import (
    CurationCard,
    ExamplesRecord,
    InputRecord,
    LabelsRecord,
    OptionsRecord,
    PiiCounts,
    PromptSummary,
    RemovalRecord,
    SameId,
    StepCountRecord,
    TextsRecord,
    ValueNotices,
)

SCHEMA_VERSION = 1
REPORT = "curation.json"
PARTS = ("training", "validation", "testing")


def outputs_digest(outputs: Mapping[str, str]) -> str:
    """One SHA-256 of those of all files."""
    return hashlib.sha256(json.dumps(dict(outputs), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CurationProgress:
    """How far a curation has come.

    Args:
        step: what is being done.
        done: rows processed.
        total: all rows, if known.
        before: how many of the processed rows come from an interrupted run.
    """

    step: str
    done: int
    total: int | None
    before: int = 0


@dataclass(frozen=True, slots=True)
class StepCount:
    """One step's rows and time.

    Args:
        name: the step.
        rows_in: rows before the step.
        rows_out: rows that passed.
        seconds: time, summed over all workers.
        note: why the step was skipped, if it was.
    """

    name: str
    rows_in: int
    rows_out: int
    seconds: float
    note: str | None = None

    def as_dict(self) -> StepCountRecord:
        """The step as ``curation.json`` holds it."""
        record: StepCountRecord = {
            "name": self.name,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "seconds": round(self.seconds, 3),
        }
        if self.note:
            record["note"] = self.note
        return record


@dataclass(frozen=True)
class CurationReport:
    """The record of one curation.

    Args:
        inputs: the sources with their SHA-256 and rows.
        options: what was asked for, without secrets.
        versions: of everything that decides the output.
        steps: in the order in which they ran.
        bad_rows: rows that could not be read, by reason.
        values: texts read as missing values (``missing``, by column and text), values that could not be read
            and cost no row (``unreadable``), and ``dropped_characters`` by file.
        rejected: rows that are in no output, by step and reason.
        pii: personal data found, by kind, and the model that found names.
        splits: rows in each part.
        duplicates: groups and rows found, and how many stood in two parts.
        same_ids: where different questions of one id stand, of the first such ids.
        prompts: how long prompts, rows and questions are, and how many prompts were cut.
        tags: on how many training rows each tag stands, most frequent first.
        labels: ``parts`` (rows of each part by tag), ``rare`` (tags that were taken off), ``synonyms`` (the
            file, and how many questions had each), ``corrections`` (the file, and how many questions it
            changed), ``proposals`` (pairs of tags that might mean the same), ``respelled`` (tags of another
            form, with their normal form and rows), ``unseen`` (tags of the other parts on no training row).
        outputs: SHA-256 of each file written.
        digest: of all outputs together.
        examples: for each step, rows that it ``changed`` and rows that it ``dropped``, without personal
            data that was masked.
        notes: what a reader has to know.
        forgotten: removals on demand: when, how many rows, and hashes of their ids.
        not_found: lines of the forget lists that match no question; ``curation.json`` holds only their
            hashes.
        asking: how to prepare the texts of questions that are tagged later, see
            :class:`lawtags_client.curation.questions.QuestionTexts`.
    """

    inputs: list[InputRecord]
    options: OptionsRecord
    versions: dict[str, str]
    steps: list[StepCount]
    bad_rows: dict[str, int]
    rejected: dict[str, dict[str, int]]
    pii: PiiCounts
    splits: dict[str, int]
    duplicates: dict[str, int]
    prompts: PromptSummary
    tags: dict[str, int]
    labels: LabelsRecord
    outputs: Mapping[str, str]
    digest: str
    same_ids: list[SameId] = field(default_factory=list)
    examples: ExamplesRecord = field(default_factory=lambda: ExamplesRecord(changed={}, dropped={}))
    notes: list[str] = field(default_factory=list)
    forgotten: list[RemovalRecord] = field(default_factory=list)
    asking: TextsRecord | None = None
    values: ValueNotices = field(default_factory=ValueNotices)
    not_found: tuple[str, ...] = ()

    def as_dict(self) -> CurationCard:
        """The report as ``curation.json`` holds it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "digest": self.digest,
            "inputs": self.inputs,
            "options": self.options,
            "versions": self.versions,
            "seed": self.options["split"]["seed"],
            "steps": [step.as_dict() for step in self.steps],
            "splits": self.splits,
            "bad_rows": self.bad_rows,
            "values": self.values,
            "rejected": self.rejected,
            "pii": self.pii,
            "duplicates": self.duplicates,
            "same_ids": self.same_ids,
            "prompts": self.prompts,
            "tags": self.tags,
            "labels": self.labels,
            "examples": self.examples,
            "forgotten": self.forgotten,
            "asking": self.asking,
            "notes": self.notes,
            "outputs": dict(self.outputs),
        }
