"""Evaluate: the verdict, from the predictions and from the platform's own Evaluator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lawtags_client.errors import JobCancelledError, JobFailedError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import EvaluationIntent
from lawtags_client.runs.predictions import read_predictions
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.predict import ANSWER_TOKENS
from lawtags_client.runs.verdict import SYSTEMS, judge, verdict
from lawtags_client.tagging.question import read_questions


class Evaluate:
    """Writes ``metrics.json``; the Evaluator's string metrics stand in it under ``platform``."""

    name = "evaluate"
    version = 1

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        return {
            "predictions": context.outputs["predict"]["files"],
            "curation": context.outputs["curate"]["digest"],
            "options": context.recipe.evaluation.model_dump(),
            "gates": [gate.model_dump() for gate in context.recipe.gates],
        }

    async def run(self, context: RunContext) -> dict[str, Any]:
        questions = read_questions(context.curated / "questions" / "testing.jsonl")
        truth = [frozenset(question.tags) for question in questions]
        predicted = {system: read_predictions(context.folder, system) for system in SYSTEMS}
        context.progress.update(0, None, "scores and intervals")
        metrics = await asyncio.to_thread(verdict, truth, predicted, context.recipe.evaluation)
        metrics["platform"] = await self._on_platform(context)
        metrics["gates"] = judge(context.recipe.gates, metrics)
        path = context.folder / "metrics.json"
        atomic_write_json(path, metrics)
        return {
            "files": file_digests(context.folder, [path]),
            "gates": metrics["gates"],
            "summary": {name: round(found["micro_f1"], 3) for name, found in metrics["systems"].items()},
        }

    async def _on_platform(self, context: RunContext) -> dict[str, Any] | None:
        options = context.recipe.evaluation
        if not options.platform_rows:
            return None
        if context.recipe.curation.get("format") == "messages":
            context.progress.note("no evaluation job: rows of messages hold the answer among the prompt")
            return None
        record = context.ledger.stage(self.name)
        assert record is not None
        upload = context.outputs["upload"]
        # As with training: an evaluation that ended badly is not taken up again.
        attempts = f"evaluate attempts {record.digest}"
        attempt = context.ledger.fact(attempts) or 0
        intent = EvaluationIntent(
            key=f"{context.run_id()}-{record.digest[:16]}-{attempt}",
            model=context.outputs["serve"]["model"],
            files_url=f"{upload['files_url']}/testing/testing.jsonl",
            namespace=upload["dataset"].split("/")[0],
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
            context.ledger.set_fact(attempts, attempt + 1)
            raise
        return {"job": done.job_id, "rows": options.platform_rows, "scores": dict(done.scores)}
