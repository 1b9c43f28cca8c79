"""Evaluate: the verdict, from the predictions and from the platform's own Evaluator."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lawtags_client.errors import JobCancelledError, JobFailedError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import EvaluationIntent
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.gates import judge
from lawtags_client.runs.language_model import language_model_gain, training_cost
from lawtags_client.runs.lost_rows import lost_rows
from lawtags_client.runs.metrics import FILE, Metrics, PlatformScores, ValidationRows
from lawtags_client.runs.outputs import (
    BaselinesOutput,
    CurateOutput,
    EncoderOutput,
    EvaluateOutput,
    PlanOutput,
    PredictOutput,
    ServeOutput,
    UploadOutput,
)
from lawtags_client.runs.predictions import Prediction, predictions_path, read_prediction_rows
from lawtags_client.runs.probabilities import find_probabilities
from lawtags_client.runs.recipe import EvaluationSection
from lawtags_client.runs.series import StoppedTraining, TrainingRecord
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.asking_models import ANSWER_TOKENS
from lawtags_client.runs.trust import Trust, measure_trust
from lawtags_client.runs.verdict import SYSTEMS, verdict
from lawtags_client.tagging.question import read_questions

_WITHOUT = (
    "Or leave this evaluation out, which changes no other figure: stop with Ctrl-C, and repeat the command "
    "with --set evaluation.platform_rows=0"
)

_TRAINING = "customization.json"


class Evaluate:
    """Writes ``metrics.json``; the Evaluator's string metrics stand in it under ``platform``."""

    name = "evaluate"
    version = 6
    leaves = EvaluateOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "predictions": context.left(PredictOutput).files,
            **({"baselines": found.files} if (found := context.find(BaselinesOutput)) else {}),
            **({"encoder": tuned.files} if (tuned := context.find(EncoderOutput)) else {}),
            "validation": _validation(context),
            "curation": context.left(CurateOutput).digest,
            # Repeats add to a verdict, and do not change it.
            "options": context.recipe.evaluation.model_dump(exclude={"repeats", "repeated_systems"}),
            "gates": [gate.model_dump() for gate in context.recipe.gates],
            # Absent in runs of releases that knew none.
            **({"hourly": asdict(hourly)} if (hourly := context.left(PlanOutput).plan.hourly) else {}),
            **({"embeddings": said} if (said := context.left(PredictOutput).embeddings) else {}),
        }

    async def run(self, context: RunContext) -> EvaluateOutput:
        rows = ScoredRows.read(context.folder)
        context.progress.update(0, None, "scores and intervals")
        cost = training_cost(context.ledger, context.left(PlanOutput).plan, _stopped(context))
        # The platform computes elsewhere, or on the other cores.
        (metrics, trust), platform = await asyncio.gather(
            asyncio.to_thread(_judged, context, rows), self._on_platform(context, len(rows.truth))
        )
        metrics = replace(
            metrics,
            calibration=trust.calibration,
            coverage=trust.coverage,
            platform=platform,
            embeddings=context.left(PredictOutput).embeddings,
            language_model=language_model_gain(metrics, cost),
        )
        metrics = replace(metrics, gates=tuple(judge(context.recipe.gates, metrics)))
        path = context.folder / FILE
        atomic_write_json(path, metrics.as_json())
        return EvaluateOutput(
            files=file_digests(context.folder, [path]),
            summary={name: round(found.micro_f1, 3) for name, found in metrics.systems.items()},
            gates=metrics.gates,
            incomplete=metrics.incomplete,
        )

    async def _on_platform(self, context: RunContext, test_rows: int) -> PlatformScores | None:
        options = context.recipe.evaluation
        if not options.platform_rows:
            return None
        if context.recipe.curation.get("format") == "messages":
            context.progress.note("no evaluation job: rows of messages contain the answer in the prompt")
            return None
        record = context.ledger.stage(self.name)
        assert record is not None
        upload = context.left(UploadOutput)
        # As in training: the next attempt after a failed job submits another one.
        attempt = context.ledger.failed_jobs(record)
        intent = EvaluationIntent(
            key=f"{context.run_id()}-{record.digest[:16]}-{attempt}",
            model=context.left(ServeOutput).model,
            files_url=f"{upload.files_url}/testing/testing.jsonl",
            namespace=upload.dataset.split("/")[0],
            limit=options.platform_rows,
            max_tokens=ANSWER_TOKENS,
        )
        # An endpoint that was started again since, as a resumed run may find it, has to load the model first.
        await context.platform.served(intent.model, timeout=context.recipe.wait.served)
        try:
            done = await context.platform.evaluate(
                intent,
                timeout=context.recipe.wait.evaluation,
                on_progress=lambda percent: context.progress.update(percent, 100, "evaluation job"),
                on_notice=lambda notice: context.progress.note(f"{notice} {_WITHOUT}"),
            )
        except (JobFailedError, JobCancelledError):
            context.ledger.add_failed_job(record)
            raise
        asked = min(options.platform_rows, test_rows)
        if done.scored is not None and done.scored < asked:
            context.progress.note(f"the Evaluator scored {done.scored} of {asked} rows")
        return PlatformScores(job=done.job_id, rows=asked, scored=done.scored, scores=dict(done.scores))


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The test rows of a run, and what its systems say of them.

    Args:
        truth: the true tags of each row.
        predictions: the rows of each system.
    """

    truth: Sequence[frozenset[str]]
    predictions: Mapping[str, Sequence[Prediction]]

    @classmethod
    def read(cls, folder: Path, systems: Collection[str] = tuple(SYSTEMS)) -> ScoredRows:
        """Read them.

        Args:
            folder: of the run.
            systems: those to read; one that the run does not have, such as one that needs an encoder, is left
                out.

        Raises:
            DataError: a file is damaged.
        """
        questions = read_questions(folder / "curated" / "questions" / "testing.jsonl")
        present = [name for name in SYSTEMS if name in systems and predictions_path(folder, name).is_file()]
        return cls(
            [frozenset(question.tags) for question in questions],
            {system: read_prediction_rows(folder, system) for system in present},
        )

    @property
    def given(self) -> dict[str, list[frozenset[str]]]:
        """The tags that each system gave."""
        return {system: [frozenset(row.tags) for row in rows] for system, rows in self.predictions.items()}

    def verdict(self, options: EvaluationSection, *, validation: ValidationRows | None = None) -> Metrics:
        """Score all systems.

        Args:
            options: how to resample.
            validation: the rows on which the tagger's mix was fitted.
        """
        lost = {
            system: lost_rows(rows, scored_as=_scored_as(system)) for system, rows in self.predictions.items()
        }
        return verdict(self.truth, self.given, options, lost=lost, validation=validation)


def _judged(context: RunContext, rows: ScoredRows) -> tuple[Metrics, Trust]:
    validation = context.left(PredictOutput).validation
    return rows.verdict(context.recipe.evaluation, validation=validation), _trust(context, rows)


def _trust(context: RunContext, rows: ScoredRows) -> Trust:
    found = {system: find_probabilities(context.folder, system) for system in rows.predictions}
    probabilities = {system: kept for system, kept in found.items() if kept is not None}
    return measure_trust(rows.truth, rows.given, probabilities, context.recipe.evaluation)


def _validation(context: RunContext) -> dict[str, int] | None:
    rows = context.left(PredictOutput).validation
    return None if rows is None else asdict(rows)


def _scored_as(system: str) -> str:
    return "the tags without the model" if system == "tagger" else "no tags"


def _stopped(context: RunContext) -> StoppedTraining | None:
    """The training that was stopped because the model overfit, if there was one."""
    if not (context.folder / _TRAINING).is_file():
        return None
    return read_document(TrainingRecord, context.folder, _TRAINING).stopped
