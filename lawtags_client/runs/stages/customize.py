"""Customize: the training job, submitted once and followed to its end.

If the recipe says so, a job that overfits is stopped. A platform keeps no weights of a cancelled job, so a
second one trains up to the step that was best.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import asdict

import yaml

from lawtags_client.errors import JobCancelledError, JobFailedError
from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.platform import FineTuneIntent, JobReference
from lawtags_client.runs.documents import validated
from lawtags_client.runs.followed_job import FollowedJob, follow_job
from lawtags_client.runs.hyperparameters import job_layout
from lawtags_client.runs.ledger import StageRecord
from lawtags_client.runs.outputs import CurateOutput, CustomizeOutput, PlanOutput, UploadOutput
from lawtags_client.runs.overfitting import Overfitting
from lawtags_client.runs.recipe_following import WandbSection
from lawtags_client.runs.series import StoppedTraining, TrainingRecord
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.encoder import tuning_beside
from lawtags_client.tracking.dataset import TrackedDataset


class Customize:
    """The intent's key is the run's identity and the hash of the request: the same request, the same job."""

    name = "customize"
    version = 1
    leaves = CustomizeOutput

    def __init__(self, *, tune_encoder: bool = True) -> None:
        self._tune_encoder = tune_encoder

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        plan, overfitting = context.left(PlanOutput).plan, context.recipe.overfitting
        return {
            "dataset": context.left(UploadOutput).dataset,
            "config": plan.config,
            "hyperparameters": plan.hyperparameters,
            "output_model": plan.output_model,
            **({"layout": layout} if (layout := job_layout(context.recipe.training)) else {}),
            # Otherwise it changes nothing, and a run of an older release has none.
            **({"overfitting": overfitting.model_dump()} if overfitting.action == "stop" else {}),
        }

    async def run(self, context: RunContext) -> CustomizeOutput:
        record = context.ledger.stage(self.name)
        assert record is not None
        try:
            async with tuning_beside(context) if self._tune_encoder else contextlib.nullcontext():
                return await _Training(context, record).run()
        except (JobFailedError, JobCancelledError) as problem:
            context.ledger.add_failed_job(record)
            if isinstance(problem, JobCancelledError):
                # A run has a new intent for each attempt, and no option for one.
                problem.hint = "To train again, repeat the command: it submits another job."
            raise


class _Training:
    """The job or jobs of one attempt.

    Args:
        context: the run.
        record: of the stage.
    """

    def __init__(self, context: RunContext, record: StageRecord) -> None:
        self._context = context
        self._plan = context.left(PlanOutput).plan
        # A job that failed or was cancelled is not resumed: the next attempt submits another one.
        attempt = context.ledger.failed_jobs(record)
        self._key = intent_key(context, record.digest, attempt)
        self._fact = f"{record.name} stopped {record.digest}"

    async def run(self) -> CustomizeOutput:
        plan = self._plan
        stopped = self._read_stopped()
        if stopped is None:
            job = await self._submit(plan.hyperparameters, self._key)
            followed = await follow_job(self._context, job.id, plan, plan.hyperparameters, steps=plan.steps)
            if followed.overfitting is None:
                return self._finish(job, followed, plan.hyperparameters, None)
            stopped = self._write_stopped(job, followed, followed.overfitting)
        # Repeated after an interruption: a job that has ended stays as it is.
        await self._context.platform.cancel(stopped.job)
        wanted = shortened(plan.hyperparameters, stopped.best_step)
        job = await self._submit(wanted, f"{self._key}-{stopped.best_step}")
        followed = await follow_job(self._context, job.id, plan, wanted, steps=stopped.best_step)
        return self._finish(job, followed, wanted, stopped)

    async def _submit(self, hyperparameters: JsonObject, key: str) -> JobReference:
        context, plan = self._context, self._plan
        intent = job_intent(context, hyperparameters, key, run=context.folder.name)
        job = await context.platform.submit(intent)
        context.progress.note(f"job {job.id} makes {job.output_model}")
        curated, dataset = context.find(CurateOutput), context.left(UploadOutput).dataset
        rows = None if curated is None else TrackedDataset(dataset, curated.digest, curated.rows)
        await context.tracking.started(job, plan, hyperparameters, rows)
        return job

    def _read_stopped(self) -> StoppedTraining | None:
        known = self._context.ledger.fact(self._fact)
        hint = "Use the release that wrote the run, or start another one with --new."
        return None if known is None else validated(StoppedTraining, known, what="the ledger", hint=hint)

    def _write_stopped(self, job: JobReference, followed: FollowedJob, found: Overfitting) -> StoppedTraining:
        """Record the decision before anything is cancelled, so that an interrupted run keeps to it."""
        stopped = StoppedTraining(
            job=job.id,
            best_step=found.best_step,
            stopped_at=found.step,
            planned=self._plan.steps,
            reason=str(found),
            metrics=followed.series.points(),
        )
        self._context.ledger.set_fact(self._fact, asdict(stopped))
        return stopped

    def _finish(
        self,
        job: JobReference,
        followed: FollowedJob,
        hyperparameters: JsonObject,
        stopped: StoppedTraining | None,
    ) -> CustomizeOutput:
        folder = self._context.folder
        training = TrainingRecord(
            job=job.id,
            output_model=job.output_model,
            metrics=followed.series.points(),
            stopped=stopped,
            peak_memory=followed.series.peak_memory,
            steps_per_second=followed.steps_per_second,
        )
        written = [folder / "customization.json", folder / "hparams.yaml"]
        atomic_write_json(written[0], asdict(training))
        atomic_write_text(written[1], yaml.safe_dump(dict(hyperparameters), sort_keys=False))
        summary: dict[str, str | int | float | None] = {"job": job.id, **followed.series.last()}
        if stopped is not None:
            saved = f"{stopped.steps_saved} of {stopped.planned}"
            summary |= {"stopped job": stopped.job, "kept step": stopped.best_step, "steps saved": saved}
        return CustomizeOutput(
            files=file_digests(folder, [*written, *followed.events]),
            summary=summary,
            job=job.id,
            output_model=job.output_model,
        )


def intent_key(context: RunContext, digest: str, attempt: int) -> str:
    """The key of a job's intent: the same request of the same run has the same one.

    Args:
        context: the run.
        digest: of the stage.
        attempt: how many of its jobs have failed.
    """
    return f"{context.run_id()}-{digest[:16]}-{attempt}"


def job_intent(context: RunContext, hyperparameters: JsonObject, key: str, *, run: str) -> FineTuneIntent:
    """What a run asks the platform for.

    Args:
        context: the run.
        hyperparameters: of the job.
        key: of the intent.
        run: the name of the run, for people who look at the platform.
    """
    plan = context.left(PlanOutput).plan
    return FineTuneIntent(
        key=key,
        config=plan.config,
        dataset=context.left(UploadOutput).dataset,
        hyperparameters=hyperparameters,
        output_model=plan.output_model,
        description=f"lawtags run {run}",
        layout=job_layout(context.recipe.training),
        wandb=reported_to(context.recipe.wandb),
    )


def reported_to(wandb: WandbSection) -> dict[str, JsonValue]:
    if wandb.project is None:
        return {}
    found = wandb.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in found.items() if value != []}


def shortened(hyperparameters: JsonObject, steps: int) -> dict[str, JsonValue]:
    """The hyperparameters of a job that ends after so many steps, as the longer one was at that step.

    A schedule that fell to its end in fewer steps would train less: the learning rate ends where the longer
    job had it.

    Args:
        hyperparameters: of the longer job.
        steps: optimizer steps, fewer than those of the longer job.
    """
    wanted = {**hyperparameters, "max_steps": steps}
    warmup = hyperparameters.get("warmup_steps")
    if isinstance(warmup, int):
        wanted["warmup_steps"] = min(warmup, steps - 1)
    rate, longer = hyperparameters.get("learning_rate"), hyperparameters.get("max_steps")
    flat = str(hyperparameters.get("optimizer", "")).endswith("flat_lr")
    if not flat and isinstance(rate, int | float) and isinstance(longer, int):
        lowest = hyperparameters.get("min_learning_rate")
        # The platform's default where it is absent or 0.
        end = float(lowest) if isinstance(lowest, int | float) and lowest > 0 else 0.1 * rate
        begun = warmup if isinstance(warmup, int) else 0
        share = min(max((steps - begun) / max(longer - begun, 1), 0.0), 1.0)
        reached = end + (rate - end) * 0.5 * (1 + math.cos(math.pi * share))
        # It must be below the learning rate itself.
        wanted["min_learning_rate"] = min(reached, 0.999 * rate)
    return wanted
