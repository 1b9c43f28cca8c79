"""Training jobs of the v1 microservices."""

from __future__ import annotations

from collections.abc import Sequence

from lawtags_client.client import NeMo
from lawtags_client.closing import closing
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.diagnosis import diagnose
from lawtags_client.platform.failure_causes import JobDiagnosis
from lawtags_client.platform.training_jobs import JobRow, check_state
from lawtags_client.services.customizer.job import MetricRow
from lawtags_client.types.common import JOB_STATES
from lawtags_client.types.customizer import ContainerLogs, CustomizationJob, CustomizationJobFilter


class V1TrainingJobs:
    """The jobs of the Customizer.

    Args:
        nemo: an open client; the caller closes it.
    """

    def __init__(self, nemo: NeMo) -> None:
        self._nemo = nemo

    async def namespaces(self) -> list[str]:
        """The namespaces of the Entity Store."""
        return sorted({each.id async for each in self._nemo.entity_store.namespaces.list() if each.id})

    async def list(self, *, status: str | None, namespace: str | None, limit: int) -> list[JobRow]:
        """Jobs, newest first; arguments as for ``PlatformJobs``."""
        check_state(status, JOB_STATES)
        wanted = CustomizationJobFilter()
        if status:
            wanted.status = status
        if namespace:
            wanted.namespace = namespace
        rows: list[JobRow] = []
        async with closing(self._nemo.customizer.jobs.list(sort="-created_at", filter=wanted)) as jobs:
            async for job in jobs:
                rows.append(_row(job))
                if len(rows) >= limit:
                    break
        return rows

    async def show(self, job_id: str) -> dict[str, JsonValue]:
        """A job as the Customizer reports it."""
        return (await self._nemo.customizer.jobs.get(job_id)).model_dump(mode="json")

    async def cancel(self, job_id: str) -> JobRow:
        """Cancel a job.

        Raises:
            ConflictError: it has already ended.
        """
        return _row(await self._nemo.customizer.cancel(job_id))

    async def logs(self, job_id: str) -> ContainerLogs:
        """What the containers of a job have printed."""
        return await self._nemo.customizer.logs(job_id)

    async def why(self, job_id: str) -> JobDiagnosis:
        """The known causes of a job's failure or silence."""
        return await diagnose(self._nemo, job_id)

    async def metrics(self, job_id: str) -> Sequence[MetricRow]:
        """The points of the series of a job."""
        return await (await self._nemo.customizer.job(job_id)).metrics()


def _row(job: CustomizationJob) -> JobRow:
    details = job.status_details
    return JobRow(
        id=job.id,
        status=job.status,
        config=job.config if isinstance(job.config, str) else None,
        dataset=job.dataset if isinstance(job.dataset, str) else None,
        output_model=job.output_model,
        steps=details.steps_completed if details else None,
        created_at=job.created_at.isoformat() if job.created_at else None,
    )
