"""Training jobs of any platform: listed, shown, followed, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.customizer.job import MetricRow
from lawtags_client.types.customizer import ContainerLogs


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
