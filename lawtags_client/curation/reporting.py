"""Building the report of a curation from its inputs and the results of its stages."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lawtags_client.curation.forget.forget_list import ForgetList
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.curation.read.corrections import Correction, load_corrections
from lawtags_client.curation.read.notices import value_notes
from lawtags_client.curation.read.sources import QuestionSource
from lawtags_client.curation.read.synonyms import load_synonyms
from lawtags_client.curation.records import (
    CorrectionsUsed,
    InputIdentity,
    InputRecord,
    LabelsRecord,
    PiiCounts,
    SynonymsUsed,
    TextsRecord,
)
from lawtags_client.curation.report import CurationReport, StepCount, outputs_digest
from lawtags_client.curation.select.selection import Selection
from lawtags_client.curation.staging import StagedQuestions
from lawtags_client.curation.step_choice import masking
from lawtags_client.curation.versions import versions_of
from lawtags_client.curation.write import notes
from lawtags_client.curation.write.outputs import WrittenOutputs
from lawtags_client.curation.write.totals import StepTotals


@dataclass(frozen=True)
class CurationInputs:
    """Everything that determines the output of a curation, except the tokenizer.

    Args:
        sources: the inputs, the test file last.
        identities: what distinguishes the content of each source from another.
        options: the options.
        synonyms: synonym to tag.
        corrections: question id to its correction.
        named: SHA-256 of the files that options name, by option.
        forget: questions to leave out.
        versions: versions of the packages and the model that are used.
    """

    sources: Sequence[QuestionSource]
    identities: Sequence[InputIdentity]
    options: CurationOptions
    synonyms: Mapping[str, str]
    corrections: Mapping[str, Correction]
    named: Mapping[str, str]
    forget: ForgetList
    versions: dict[str, str]

    @classmethod
    def load(
        cls, sources: Sequence[QuestionSource], options: CurationOptions, forget: ForgetList
    ) -> CurationInputs:
        """Read synonyms and corrections, and hash the sources.

        Raises:
            DataError: a source, the synonyms or the corrections cannot be read.
            ConfigurationError: the model of names is not installed.
        """
        versions = versions_of(options)
        identities = [source.identity() for source in sources]
        synonyms, corrections = options.tags.synonyms, options.tags.corrections
        return cls(
            sources,
            identities,
            options,
            {} if synonyms is None else load_synonyms(synonyms),
            {} if corrections is None else load_corrections(corrections),
            options.file_digests(),
            forget,
            versions,
        )

    @property
    def own_test(self) -> bool:
        """Whether the testing rows come from a separate file."""
        return any(source.test for source in self.sources)


@dataclass(frozen=True)
class CurationResults:
    """The results of all stages of a curation.

    Args:
        staged: of reading.
        selection: of the search for duplicates and the split.
        written: of writing.
        totals: of the steps, over all partitions.
        steps: rows and times of all stages, in order.
        returned: rows that were forgotten in this folder earlier and are in the inputs again.
        exact_tokens: whether a tokenizer counted.
    """

    staged: StagedQuestions
    selection: Selection
    written: WrittenOutputs
    totals: StepTotals
    steps: list[StepCount]
    returned: int
    exact_tokens: bool


def build_report(
    inputs: CurationInputs, results: CurationResults, now: Callable[[], datetime]
) -> CurationReport:
    """Build the report of a curation.

    Args:
        inputs: what it was given.
        results: what its stages produced.
        now: the current time, recorded for forgotten questions.
    """
    staged, written, forget = results.staged, results.written, inputs.forget
    return CurationReport(
        inputs=_input_records(inputs, staged),
        options=inputs.options.as_dict(),
        versions=inputs.versions,
        steps=results.steps,
        bad_rows=staged.bad or {},
        values=staged.values,
        rejected=written.rejected,
        pii=_pii(inputs, results.totals),
        splits=written.splits,
        asking=_texts(inputs, staged),
        duplicates=results.selection.counts | {"other_tags": written.other_tags},
        same_ids=written.same_ids,
        prompts=written.prompts,
        tags=written.tags,
        labels=_labels(inputs, results),
        examples={"changed": results.totals.changes, "dropped": written.dropped},
        outputs=written.outputs,
        digest=outputs_digest(written.outputs),
        forgotten=[forget.record(staged.forgotten, now())] if forget.asked else [],
        not_found=tuple(entry.given for entry in forget.not_found(staged.forgotten)),
        notes=_notes(inputs, results),
    )


def _input_records(inputs: CurationInputs, staged: StagedQuestions) -> list[InputRecord]:
    records: list[InputRecord] = []
    for identity, rows, source in zip(inputs.identities, staged.sources, inputs.sources, strict=True):
        records.append({**identity, "rows": rows, "test": source.test})
    return records


def _pii(inputs: CurationInputs, totals: StepTotals) -> PiiCounts:
    return {
        "model": inputs.versions.get("pii-model"),
        "action": inputs.options.pii.action,
        "counts": dict(sorted(totals.counts.get("pii", Counter()).items())),
        "partitions": totals.pii,
    }


def _texts(inputs: CurationInputs, staged: StagedQuestions) -> TextsRecord:
    """How questions must be prepared later, so that a model sees them as in training."""
    options = inputs.options
    masked = masking(options, staged.tags, inputs.synonyms, inputs.corrections)
    applied = dataclasses.replace(options, pii=masked)
    return QuestionTexts(applied, inputs.versions.get("pii-model")).as_dict()


def _labels(inputs: CurationInputs, results: CurationResults) -> LabelsRecord:
    selection, written = results.selection, results.written
    return {
        "parts": written.labels,
        "rare": selection.rare,
        "synonyms": _synonyms_used(inputs, results.totals),
        "corrections": _corrections_used(inputs, results.totals),
        "proposals": selection.proposals,
        "respelled": [
            {"given": given, "tag": tag, "rows": rows} for given, tag, rows in results.staged.respelled
        ],
        "unseen": notes.unseen_tags(written.labels),
    }


def _synonyms_used(inputs: CurationInputs, totals: StepTotals) -> SynonymsUsed | None:
    named = inputs.options.tags.synonyms
    if named is None:
        return None
    used = totals.counts.get("tag_synonyms", Counter[str]())
    return {
        "file": Path(named).name,
        "sha256": inputs.named["tags.synonyms"],
        "entries": len(inputs.synonyms),
        "renamed": dict(sorted(used.items())),
    }


def _corrections_used(inputs: CurationInputs, totals: StepTotals) -> CorrectionsUsed | None:
    named = inputs.options.tags.corrections
    if named is None:
        return None
    used = totals.counts.get("tag_corrections", Counter[str]())
    return {
        "file": Path(named).name,
        "sha256": inputs.named["tags.corrections"],
        "entries": len(inputs.corrections),
        "found": used["found"],
        "changed": used["changed"],
    }


def _notes(inputs: CurationInputs, results: CurationResults) -> list[str]:
    staged, selection, written = results.staged, results.selection, results.written
    return [
        *notes.step_notes(results.totals.steps),
        *value_notes(staged.values),
        *notes.source_notes(inputs.own_test, results.exact_tokens),
        *notes.returned_notes(results.returned),
        *notes.not_found_notes(inputs.forget.not_found(staged.forgotten)),
        *notes.correction_notes(_corrections_used(inputs, results.totals)),
        *notes.selection_notes(selection, inputs.options),
        *notes.label_notes(staged.respelled, written.labels),
        *notes.duplicate_notes(selection.counts, written.other_tags),
        *notes.empty_parts(written.splits, inputs.options),
    ]
