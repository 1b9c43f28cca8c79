"""Meddles with trainings as a plan says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from lawtags_stack.chaos.plan import ChaosPlan, CustomizerChaos
from lawtags_stack.times import read_moment

Document = dict[str, Any]
Trouble = Literal["fail", "kill"]


class JobTrouble:
    """What a training meets with.

    Args:
        plan: what to do, if anything.
    """

    def __init__(self, plan: ChaosPlan | None) -> None:
        self._plan = plan.customizer if plan else CustomizerChaos()
        self._killed: set[str] = set()

    def holds(self, job: Document, now: datetime) -> bool:
        """Whether a job is still to wait for a GPU."""
        if not self._plan.pending or not self._plan.fits(job):
            return False
        return now < read_moment(job["created_at"]) + timedelta(seconds=self._plan.pending)

    def meet(self, job: Document, events: list[Document]) -> tuple[list[Document], Trouble | None]:
        """The events that are to be believed, and what is to become of the training, if anything.

        Args:
            job: the job.
            events: what its trainer reported just now.
        """
        if not self._plan.fits(job):
            return events, None
        for place, event in enumerate(events):
            step = _step(event)
            if step is None:
                continue
            if self._plan.fail_at_step is not None and step >= self._plan.fail_at_step:
                return events[:place], "fail"
            if self._kills(job["id"], step):
                return events[:place], "kill"
        return events, None

    def _kills(self, job_id: str, step: int) -> bool:
        if self._plan.kill_at_step is None or step < self._plan.kill_at_step or job_id in self._killed:
            return False
        self._killed.add(job_id)
        return True


def _step(event: Document) -> int | None:
    # Progress counts steps done, points of a series name the step itself, from zero on.
    found = event["steps"] - 1 if event["event"] == "progress" else event.get("step")
    return int(found) if found is not None else None
