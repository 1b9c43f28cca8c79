"""Training jobs of any platform: listed, shown, followed, cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.failure_causes import JobDiagnosis
from lawtags_client.services.customizer.job import MetricRow
from lawtags_client.types.customizer import ContainerLogs

T = TypeVar("T")

_PREFIX = "cust-"
_MOST_JOBS = 1000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list.

    Attributes:
        id: as the other commands take it; on Helix ``workspace/name``.
        status: its state, in the platform's word.
        config: what it trains.
        dataset: what it trains on.
        output_model: what it makes.
        steps: optimizer steps done.
        created_at: in ISO 8601.
    """

    id: str | None
    status: str | None
    config: str | None
    dataset: str | None
    output_model: str | None
    steps: int | None
    created_at: str | None


class PlatformJobs(Protocol):
    """The training jobs of a platform."""

    async def namespaces(self) -> list[str]:
        """The namespaces that jobs can be in; workspaces on Helix."""
        ...

    async def list(self, *, status: str | None, namespace: str | None, limit: int) -> Sequence[JobRow]:
        """Jobs, newest first.

        Args:
            status: only those in this state.
            namespace: only those of this namespace.
            limit: most rows.

        Raises:
            ConfigurationError: the platform has no such state.
        """
        ...

    async def show(self, job_id: str) -> dict[str, JsonValue]:
        """A job as the platform reports it."""
        ...

    async def cancel(self, job_id: str) -> JobRow:
        """Cancel a job.

        Raises:
            ConflictError: it has already ended.
        """
        ...

    async def logs(self, job_id: str) -> ContainerLogs:
        """What the programs of a job have printed."""
        ...

    async def why(self, job_id: str) -> JobDiagnosis:
        """The known causes of a job's failure or silence.

        Raises:
            NotFoundError: there is no such job.
        """
        ...

    async def metrics(self, job_id: str) -> Sequence[MetricRow]:
        """The points of the series of a job."""
        ...


def check_state(status: str | None, states: Sequence[str]) -> None:
    """Refuse a state that a platform does not have.

    Args:
        status: as the user gave it.
        states: those that it has.

    Raises:
        ConfigurationError: it is none of them.
    """
    if status is not None and status not in states:
        raise ConfigurationError(f"there is no status {status!r}", hint=f"Use one of: {', '.join(states)}")


async def with_complete_id(jobs: PlatformJobs, given: str, call: Callable[[str], Awaitable[T]]) -> T:
    """Call with a job's id, or with the only id that begins as given.

    Args:
        jobs: of the platform.
        given: an id, or its beginning; ``cust-`` may be left out.
        call: what to do with the job.

    Raises:
        ConfigurationError: several jobs begin like this; the hint lists them.
        NotFoundError: none does, or the workspace in it does not exist.
    """
    try:
        return await call(given)
    except NotFoundError as error:
        rows = await jobs.list(status=None, namespace=None, limit=_MOST_JOBS)
        names = [row.id for row in rows if row.id is not None]
        found = [name for name in names if given and name.startswith((given, f"{_PREFIX}{given}"))]
        if not found:
            await _check_workspace(jobs, given, error)
            raise
        if len(found) > 1:
            shown = ", ".join(found[:_SHOWN])
            raise ConfigurationError(
                f"{len(found)} jobs begin with {given!r}", hint=f"Among them: {shown}"
            ) from None
    return await call(found[0])


async def _check_workspace(jobs: PlatformJobs, given: str, error: NotFoundError) -> None:
    """Say that the workspace is missing rather than the job; only references of Helix name one."""
    workspace, slash, _ = given.partition("/")
    if not slash or workspace in await jobs.namespaces():
        return
    raise NotFoundError(
        f"there is no workspace {workspace!r}",
        service=error.service,
        status=error.status,
        url=error.url,
        hint="Its jobs, models and datasets went with it if it was deleted. Jobs of the others: lawtags jobs "
        "ls. To make it again with a base model, and repeat the run: lawtags local runner --platform URL "
        f"--base-model {workspace}/NAME=FOLDER",
    ) from error
