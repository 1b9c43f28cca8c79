"""Evaluate: the verdict, from the predictions and from the platform's own Evaluator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from lawtags_client.errors import JobCancelledError, JobFailedError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import EvaluationIntent
from lawtags_client.runs.language_model import language_model_gain, training_cost
from lawtags_client.runs.lost_rows import lost_rows
from lawtags_client.runs.metrics import FILE, PlatformScores
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
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.probabilities import find_probabilities
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.predict import ANSWER_TOKENS
from lawtags_client.runs.trust import Trust, measure_trust
from lawtags_client.runs.verdict import SYSTEMS, judge, verdict
from lawtags_client.tagging.question import read_questions


class Evaluate:
    """Writes ``metrics.json``; the Evaluator's string metrics stand in it under ``platform``."""

    name = "evaluate"
    version = 5
    leaves = EvaluateOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "predictions": context.left(PredictOutput).files,
            **({"baselines": found.files} if (found := context.find(BaselinesOutput)) else {}),
            **({"encoder": tuned.files} if (tuned := context.find(EncoderOutput)) else {}),
            "validation": _validation(context),
            "curation": context.left(CurateOutput).digest,
            "options": context.recipe.evaluation.model_dump(),
            "gates": [gate.model_dump() for gate in context.recipe.gates],
            # Absent in runs of releases that knew none.
            **({"embeddings": said} if (said := context.left(PredictOutput).embeddings) else {}),
        }

    async def run(self, context: RunContext) -> EvaluateOutput:
        questions = read_questions(context.curated / "questions" / "testing.jsonl")
        truth = [frozenset(question.tags) for question in questions]
        # A system that a run does not have, such as one that needs an encoder, has no file.
        present = [system for system in SYSTEMS if predictions_path(context.folder, system).is_file()]
        rows = {system: read_prediction_rows(context.folder, system) for system in present}
        context.progress.update(0, None, "scores and intervals")
        given = {system: [frozenset(row.tags) for row in each] for system, each in rows.items()}
        metrics = await asyncio.to_thread(
            verdict,
            truth,
            given,
            context.recipe.evaluation,
            lost={system: lost_rows(each, scored_as=_scored_as(system)) for system, each in rows.items()},
            validation=context.left(PredictOutput).validation,
        )
        trust = await asyncio.to_thread(self._trust, context, truth, given)
        metrics = replace(
            metrics,
            calibration=trust.calibration,
            coverage=trust.coverage,
            platform=await self._on_platform(context, len(truth)),
            gates=tuple(judge(context.recipe.gates, metrics)),
            embeddings=context.left(PredictOutput).embeddings,
            language_model=language_model_gain(
                metrics, training_cost(context.ledger, context.left(PlanOutput).plan)
            ),
        )
        path = context.folder / FILE
        atomic_write_json(path, metrics.as_json())
        return EvaluateOutput(
            files=file_digests(context.folder, [path]),
            summary={name: round(found.micro_f1, 3) for name, found in metrics.systems.items()},
            gates=metrics.gates,
            incomplete=metrics.incomplete,
        )

    def _trust(
        self,
        context: RunContext,
        truth: Sequence[frozenset[str]],
        given: Mapping[str, Sequence[frozenset[str]]],
    ) -> Trust:
        found = {system: find_probabilities(context.folder, system) for system in given}
        probabilities = {system: kept for system, kept in found.items() if kept is not None}
        return measure_trust(truth, given, probabilities, context.recipe.evaluation)

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
        try:
            done = await context.platform.evaluate(
                intent,
                timeout=context.recipe.wait.evaluation,
                on_progress=lambda percent: context.progress.update(percent, 100, "evaluation job"),
            )
        except (JobFailedError, JobCancelledError):
            context.ledger.add_failed_job(record)
            raise
        asked = min(options.platform_rows, test_rows)
        if done.scored is not None and done.scored < asked:
            context.progress.note(f"the Evaluator scored {done.scored} of {asked} rows")
        return PlatformScores(job=done.job_id, rows=asked, scored=done.scored, scores=dict(done.scores))


def _validation(context: RunContext) -> dict[str, int] | None:
    rows = context.left(PredictOutput).validation
    return None if rows is None else asdict(rows)


def _scored_as(system: str) -> str:
    return "the tags without the model" if system == "tagger" else "no tags"
