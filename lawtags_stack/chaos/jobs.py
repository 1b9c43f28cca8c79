"""Meddles with trainings as a plan says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from lawtags_stack.chaos.plan import ChaosPlan, CustomizerChaos
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.times import read_moment

Trouble = Literal["fail", "kill"]


class TroubledJob(Protocol):
    """What decides whether a job is meant."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def output_model(self) -> str | None:
        """The model it makes."""
        ...

    @property
    def created_at(self) -> str:
        """When it was made."""
        ...


class JobTrouble:
    """What a training meets with.

    Args:
        plan: what to do, if anything.
    """

    def __init__(self, plan: ChaosPlan | None) -> None:
        self._plan = plan.customizer if plan else CustomizerChaos()
        self._killed: set[str] = set()

    def holds(self, job: TroubledJob, now: datetime) -> bool:
        """Whether a job is still to wait for a GPU."""
        if not self._plan.pending or not self._plan.fits(job.id, job.output_model):
            return False
        return now < read_moment(job.created_at) + timedelta(seconds=self._plan.pending)

    def meet(
        self, job: TroubledJob, events: Sequence[TrainerEvent]
    ) -> tuple[Sequence[TrainerEvent], Trouble | None]:
        """The events that are to be believed, and what is to become of the training, if anything.

        Args:
            job: the job.
            events: what its trainer reported just now.
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
    # Progress counts steps done, points of a series name the step itself, from zero on.
    found = event["steps"] - 1 if event["event"] == "progress" else event.get("step")
    return int(found) if found is not None else None
