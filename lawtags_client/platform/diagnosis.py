"""Collects what the v1 services say about a job, to find out why it failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lawtags_client.client import NeMo
from lawtags_client.errors import APIError, JobFailedError, JobStalledError, LawtagsError
from lawtags_client.platform.failure_causes import FailureEvidence, JobDiagnosis, find_causes
from lawtags_client.types.common import reference
from lawtags_client.types.customizer import ContainerLogs, CustomizationJob


async def diagnose(nemo: NeMo, job_id: str) -> JobDiagnosis:
    """The known causes of a job's failure or silence.

    Logs and the list of served models are left out where they cannot be read.

    Raises:
        NotFoundError: there is no such job.
    """
    job = await nemo.customizer.jobs.get(job_id)
    logs: ContainerLogs | None = None
    with contextlib.suppress(LawtagsError):
        logs = await nemo.customizer.logs(job_id)
    served: frozenset[str] | None = None
    if job.status == "completed":
        with contextlib.suppress(LawtagsError):
            served = frozenset(model.id for model in await nemo.inference.models())
    planned = job.hyperparameters
    evidence = FailureEvidence(
        job=job.id,
        texts=tuple(_texts(job, logs)),
        status=job.status,
        dataset=reference(job.dataset) if job.dataset else None,
        config=reference(job.config) if job.config else None,
        base_model=job.config_snapshot.base_model if job.config_snapshot else None,
        output_model=job.output_model,
        batch_size=planned.batch_size if planned else None,
        served=served,
    )
    return JobDiagnosis(job.id, job.status, tuple(find_causes(evidence)))


async def explained(
    nemo: NeMo, job_id: str, problem: JobFailedError | JobStalledError
) -> JobFailedError | JobStalledError:
    """The same error; its hint begins with the cause, if it is known."""
    try:
        causes = (await diagnose(nemo, job_id)).causes
    except LawtagsError:
        return problem
    if causes:
        problem.hint = "; ".join(filter(None, (str(causes[0]), problem.hint)))
    return problem


def advised(problem: APIError, *, dataset: str | None = None) -> APIError:
    """The same refusal of a job; its hint says what to do about it, if the cause is known.

    Args:
        problem: what the service answered.
        dataset: of the job.
    """
    texts = (str(problem.detail or ""), problem.message)
    causes = find_causes(FailureEvidence(job="", texts=texts, dataset=dataset))
    if causes and not problem.hint:
        problem.hint = str(causes[0])
    return problem


def _texts(job: CustomizationJob, logs: ContainerLogs | None) -> Iterator[str]:
    for name, entry in (logs.entries if logs else {}).items():
        for log in entry.logs.values():
            yield from str(log).splitlines()
        for event in entry.events:
            yield f"{name}: {event.reason}: {event.message}"
    for warning in job.warnings:
        yield f"{warning.message}: {warning.explanation}"
    for line in job.status_details.status_logs if job.status_details else ():
        yield f"{line.message}: {line.detail}" if line.detail else str(line.message)
    if logs and logs.error:
        error = logs.error
        yield f"{error.exception_type or ''} {error.message or ''}".strip()
        yield from (error.stack_trace or "").splitlines()[-5:]
