"""Training jobs of NeMo Helix, of every backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from lawtags_client.closing import closing
from lawtags_client.errors import ConfigurationError, ConflictError, NotFoundError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import ANY_WORKSPACE, adapter_reference
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.helix.types.jobs import JobState
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.failure_causes import JobDiagnosis
from lawtags_client.platform.helix_diagnosis import diagnose_on_helix
from lawtags_client.platform.helix_jobs import TrainingProgress
from lawtags_client.platform.training_jobs import JobRow, check_state
from lawtags_client.services.customizer.job import MetricRow
from lawtags_client.types.customizer import ContainerLogs, PodLogs

STATES: tuple[str, ...] = get_args(get_args(JobState)[0])
"""The states of a job that Helix 0.8 has."""


class HelixTrainingJobs:
    """The jobs of the customization service; their ids are ``workspace/name``.

    Args:
        helix: an open client; the caller closes it.
    """

    def __init__(self, helix: Helix) -> None:
        self._helix = helix

    async def namespaces(self) -> list[str]:
        """The workspaces."""
        return sorted([each.name async for each in self._helix.workspaces.list()])

    async def list(self, *, status: str | None, namespace: str | None, limit: int) -> list[JobRow]:
        """Jobs, newest first; arguments as for ``PlatformJobs``."""
        check_state(status, STATES)
        wanted = {"status": status} if status else None
        workspace = namespace or ANY_WORKSPACE
        rows: list[JobRow] = []
        found = self._helix.customization.jobs(workspace=workspace, filter=wanted, sort="-created_at")
        try:
            async with closing(found) as jobs:
                async for job in jobs:
                    rows.append(_row(job))
                    if len(rows) >= limit:
                        break
        except NotFoundError:
            if namespace is None:
                raise
        return rows

    async def show(self, job_id: str) -> dict[str, JsonValue]:
        """A job as Helix reports it, with its steps."""
        reference = _reference(job_id)
        job = (await self._helix.jobs.get(reference)).model_dump(mode="json")
        status = (await self._helix.jobs.status(reference)).model_dump(mode="json")
        return job | {"steps": status["steps"]}

    async def cancel(self, job_id: str) -> JobRow:
        """Cancel a job; one that has begun stays ``cancelling`` until what carries it out confirms.

        Raises:
            ConflictError: it has already ended.
        """
        reference = _reference(job_id)
        if (job := await self._helix.jobs.get(reference)).is_final:
            raise ConflictError(f"{reference} has already ended: {job.status}", service="jobs")
        cancelled = await self._helix.jobs.cancel(reference)
        return _row(HelixTrainingJob.model_validate(cancelled.model_dump()))

    async def logs(self, job_id: str) -> ContainerLogs:
        """The log of a job, by step."""
        lines: dict[str, list[str]] = {}
        async for line in self._helix.jobs.logs(_reference(job_id)):
            lines.setdefault(line.job_step or "", []).append(line.message)
        return ContainerLogs(
            entries={step: PodLogs(logs={step: "\n".join(said)}) for step, said in lines.items()}
        )

    async def why(self, job_id: str) -> JobDiagnosis:
        """The known causes of a job's failure or silence; the job may be of any service."""
        return await diagnose_on_helix(self._helix, _reference(job_id))

    async def metrics(self, job_id: str) -> Sequence[MetricRow]:
        """The points of the series that the training step has reported; Helix keeps no times of them."""
        status = await self._helix.jobs.status(_reference(job_id))
        points = TrainingProgress().update(status)
        return [MetricRow(job_id, name, step, value, None) for name, step, value in points]


def _reference(job_id: str) -> str:
    if "/" not in job_id:
        raise ConfigurationError(
            f"{job_id!r} names no workspace", hint="Write workspace/name, as `lawtags jobs ls` prints it."
        )
    return job_id


def _row(job: HelixTrainingJob) -> JobRow:
    output = job.output
    if output is not None and job.output_type == "adapter" and job.base_model is not None:
        output = adapter_reference(job.base_model, output)
    steps = job.status_details.get("step")
    return JobRow(
        id=job.reference,
        status=job.status,
        config=job.base_model,
        dataset=_dataset(job),
        output_model=output,
        steps=steps if isinstance(steps, int) else None,
        created_at=job.created_at.isoformat() if job.created_at else None,
    )


def _dataset(job: HelixTrainingJob) -> str | None:
    """The training fileset, ``workspace/name``; each backend has it in a field of its own."""
    found = job.spec.get("dataset")
    name = (found.get("training") or found.get("path")) if isinstance(found, Mapping) else found
    if not isinstance(name, str):
        return None
    return name if "/" in name or not job.workspace else f"{job.workspace}/{name}"
