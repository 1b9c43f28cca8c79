"""Fault injection for training jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from lawtags_stack.chaos.plan import ChaosPlan, CustomizerChaos
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.times import read_moment

JobFault = Literal["fail", "kill"]


class ChaosJob(Protocol):
    """The properties of a job that decide whether a fault applies."""

    @property
    def id(self) -> str:
        """The job's id."""
        ...

    @property
    def output_model(self) -> str | None:
        """The job's output model."""
        ...

    @property
    def created_at(self) -> str:
        """The time the job was created."""
        ...


class JobFaults:
    """Injects faults into training jobs.

    Args:
        plan: the faults to inject, if any.
    """

    def __init__(self, plan: ChaosPlan | None) -> None:
        self._plan = plan.customizer if plan else CustomizerChaos()
        self._killed: set[str] = set()

    def keeps_pending(self, job: ChaosJob, now: datetime) -> bool:
        """Whether a job should stay pending, as if it waited for a GPU."""
        if not self._plan.pending or not self._plan.fits(job.id, job.output_model):
            return False
        return now < read_moment(job.created_at) + timedelta(seconds=self._plan.pending)

    def inject(
        self, job: ChaosJob, events: Sequence[TrainerEvent]
    ) -> tuple[Sequence[TrainerEvent], JobFault | None]:
        """Apply the faults to what a trainer reported.

        Args:
            job: the job.
            events: the events that its trainer just reported.

        Returns:
            The events to record, and the fault to inject, if any.
        """
        if not self._plan.fits(job.id, job.output_model):
            return events, None
        for place, event in enumerate(events):
            step = _step(event)
            if step is None:
                continue
            if self._plan.fail_at_step is not None and step >= self._plan.fail_at_step:
                return events[:place], "fail"
            if self._kills(job.id, step):
                return events[:place], "kill"
        return events, None

    def _kills(self, job_id: str, step: int) -> bool:
        if self._plan.kill_at_step is None or step < self._plan.kill_at_step or job_id in self._killed:
            return False
        self._killed.add(job_id)
        return True


def _step(event: TrainerEvent) -> int | None:
    # Progress events count completed steps; metric points carry the index of their step, starting at zero.
    found = event["steps"] - 1 if event["event"] == "progress" else event.get("step")
    return int(found) if found is not None else None
