"""Customize: the training job, submitted once and followed to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import yaml

from lawtags_client.errors import JobCancelledError, JobFailedError
from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_client.platform import FineTuneIntent
from lawtags_client.runs.hyperparameters import job_layout
from lawtags_client.runs.outputs import CustomizeOutput, JobPlan, PlanOutput, UploadOutput
from lawtags_client.runs.series import Series, TrainingRecord
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.encoder import tuning_beside


class Customize:
    """The intent's key is the run's identity and the hash of the request: the same request, the same job."""

    name = "customize"
    version = 1
    leaves = CustomizeOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        plan = context.left(PlanOutput).plan
        return {
            "dataset": context.left(UploadOutput).dataset,
            "config": plan.config,
            "hyperparameters": plan.hyperparameters,
            "output_model": plan.output_model,
            **({"layout": layout} if (layout := job_layout(context.recipe.training)) else {}),
        }

    async def run(self, context: RunContext) -> CustomizeOutput:
        plan = context.left(PlanOutput).plan
        record = context.ledger.stage(self.name)
        assert record is not None
        # A job that failed or was cancelled is not resumed: the next attempt submits another one.
        attempt = context.ledger.failed_jobs(record)
        intent = FineTuneIntent(
            key=f"{context.run_id()}-{record.digest[:16]}-{attempt}",
            config=plan.config,
            dataset=context.left(UploadOutput).dataset,
            hyperparameters=plan.hyperparameters,
            output_model=plan.output_model,
            description=f"lawtags run {context.folder.name}",
            layout=job_layout(context.recipe.training),
        )
        job = await context.platform.submit(intent)
        context.progress.note(f"job {job.id} makes {job.output_model}")
        try:
            async with tuning_beside(context):
                series = await self._follow(context, job.id, plan.steps)
        except (JobFailedError, JobCancelledError):
            context.ledger.add_failed_job(record)
            raise
        return self._record(context, plan, job.id, job.output_model, series)

    async def _follow(self, context: RunContext, job_id: str, steps: int) -> Series:
        series = Series()
        wait = context.recipe.wait
        status, shown = "", 0
        async for sign in context.platform.follow(job_id, timeout=wait.training, stall=wait.stall):
            series.add(sign.points)
            # Each step once: late points are reported with the next one.
            if sign.steps is not None and sign.steps != shown:
                shown = sign.steps
                context.progress.update(shown, steps, f"training{series.headline()}")
            # In the order of events: the messages precede the state that they led to.
            for message in sign.messages:
                context.progress.note(message)
            if sign.status != status:
                status = sign.status
                ended = series.headline() if status == "completed" else ""
                context.progress.note(f"{status}{ended}")
        return series

    def _record(
        self, context: RunContext, plan: JobPlan, job_id: str, model: str, series: Series
    ) -> CustomizeOutput:
        training = TrainingRecord(job=job_id, output_model=model, metrics=series.points())
        written = [context.folder / "customization.json", context.folder / "hparams.yaml"]
        atomic_write_json(written[0], asdict(training))
        atomic_write_text(written[1], yaml.safe_dump(dict(plan.hyperparameters), sort_keys=False))
        written += series.write_tensorboard(context.folder / "tensorboard", dict(plan.hyperparameters))
        return CustomizeOutput(
            files=file_digests(context.folder, written),
            summary={"job": job_id, **series.last()},
            job=job_id,
            output_model=model,
        )
