"""Collects what Helix says about a job, to find out why it failed or waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from lawtags_client.errors import JobFailedError, LawtagsError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import adapter_reference
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.helix.types.jobs import ErrorDetails, HelixJob, JobStatus
from lawtags_client.platform.failure_causes import (
    WAITS_FOR,
    FailureEvidence,
    JobDiagnosis,
    find_causes,
)
from lawtags_client.platform.helix_causes import helix_causes
from lawtags_client.platform.unattended import find_neglect

_LINES = 500


async def diagnose_on_helix(helix: Helix, reference: str) -> JobDiagnosis:
    """The known causes of a job's failure or silence, from its steps, their errors and its log.

    The log and the list of served models are left out where they cannot be read.

    Args:
        helix: an open client.
        reference: the job, ``workspace/name``, of any service.

    Raises:
        NotFoundError: there is no such job.
    """
    job, status = await helix.jobs.get(reference), await helix.jobs.status(reference)
    log: list[str] = []
    with contextlib.suppress(LawtagsError):
        log = [line.message for line in (await helix.jobs.log_page(reference, tail=_LINES)).data]
    served: frozenset[str] | None = None
    output, base = _made(job)
    if status.status == "completed" and output is not None:
        with contextlib.suppress(LawtagsError):
            served = frozenset(
                [
                    model.model_entity_id
                    async for provider in helix.providers.list(workspace="-")
                    for model in provider.served_models
                ]
            )
    # One that ended well, or by someone's will, needs no cause, whatever was logged on the way.
    ended = status.status in ("completed", "cancelled")
    neglect = await find_neglect(helix, reference, status)
    # A job is active from its first step on; what matters is whether the step that is due waits.
    waits = neglect is not None and neglect.kind == "taken"
    found = FailureEvidence(
        job=reference,
        texts=() if ended else (*log, *(_waiting_words(status) if waits else ()), *_errors(job, status)),
        status="pending" if waits else status.status,
        base_model=base,
        output_model=output,
        batch_size=_batch_size(job),
        served=served,
        dialect="helix",
        address=helix.settings.address("platform").url,
    )
    general = find_causes(found)
    causes = {cause.name: cause for cause in (*helix_causes(found, neglect), *general)}
    if any(cause.name in WAITS_FOR for cause in general):
        causes.pop("step-not-begun", None)
    return JobDiagnosis(reference, status.status, tuple(causes.values()))


async def explained_on_helix(helix: Helix, reference: str, problem: JobFailedError) -> JobFailedError:
    """The same error; its hint begins with the cause, if it is known."""
    try:
        causes = (await diagnose_on_helix(helix, reference)).causes
    except LawtagsError:
        return problem
    if causes:
        problem.hint = "; ".join(filter(None, (str(causes[0]), problem.hint)))
    return problem


def _errors(job: HelixJob, status: JobStatus) -> Iterator[str]:
    """The errors of job, steps and tasks, the innermost last."""
    yield from _texts(job.error_details)
    yield from _texts(status.error_details)
    for step in status.steps:
        yield from _texts(step.error_details)
        for task in step.tasks:
            yield from (task.error_stack or "").splitlines()[-5:]
            yield from _texts(task.error_details)


def _waiting_words(status: JobStatus) -> Iterator[str]:
    """What the platform says of steps that wait, as it passes the words of its scheduler on."""
    for step in status.steps:
        if step.status == "pending":
            for details in (step.status_details, *(task.status_details for task in step.tasks)):
                yield from (str(details[key]) for key in ("reason", "message", "detail") if details.get(key))


def _texts(error: ErrorDetails | None) -> Iterator[str]:
    if error is not None and error.message:
        detail = error.detail if isinstance(error.detail, str) else ""
        kind = f"{error.type}: " if error.type else ""
        yield f"{kind}{error.message}{f'. {detail}' if detail else ''}"


def _made(job: HelixJob) -> tuple[str | None, str | None]:
    """What a training makes, and the model that it trains."""
    if job.source != "customization":
        return None, None
    training = HelixTrainingJob.model_validate(job.model_dump())
    output, base = training.output, training.base_model
    if output is not None and base is not None and training.output_type == "adapter":
        output = adapter_reference(base, output)
    return output, base


def _batch_size(job: HelixJob) -> int | None:
    for section, name in (("batch", "global_batch_size"), ("training", "batch_size")):
        part = job.spec.get(section)
        size = part.get(name) if isinstance(part, Mapping) else None
        if isinstance(size, int):
            return size
    return None
