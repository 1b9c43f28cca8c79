"""Tells someone who waits for a job on Helix that nothing carries it out, and what to start.

Helix accepts jobs whether or not anything is there to carry out their steps. A step that nobody has taken is
``created``, or ``resuming`` after a pause; one that was taken and has not begun is ``pending``.
"""

from __future__ import annotations

from lawtags_client.errors import LawtagsError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.jobs import StepFilter
from lawtags_client.helix.types.jobs import JobStatus, JobStep, is_final

GRACE = 45.0
"""Seconds without a step that begins: the platform's own controller and a runner look every few seconds."""

_UNTAKEN = frozenset({"created", "resuming"})
_WAITING = _UNTAKEN | {"pending"}
_MOST_NAMED = 3


def runner_cure(helix: Helix) -> str:
    """What to start for a training job that nobody takes."""
    return f"Start a runner: lawtags local runner --platform {helix.settings.address('platform').url}"


CONTROLLER_CURE = "Start the platform's jobs controller: nemo services run --controllers jobs"
"""What to start for an evaluation that nobody takes."""


class UnattendedJob:
    """Watches whether the steps of a job are taken and begun.

    Args:
        helix: an open client.
        reference: the job, ``workspace/name``.
        cure: what to do if nobody takes it.
        grace: seconds without any movement after which to tell.
    """

    def __init__(self, helix: Helix, reference: str, *, cure: str, grace: float = GRACE) -> None:
        self._helix, self._reference = helix, reference
        self._cure, self._grace = cure, grace
        self._seen: object = None
        self._since = helix.clock.monotonic()
        self._told: set[tuple[str, str]] = set()
        self.unclaimed = False

    async def notice(self, status: JobStatus) -> str | None:
        """What to tell about the state of the job, each thing once; None as long as there is nothing.

        Args:
            status: the newest.
        """
        waiting = _waiting_step(status)
        now = self._helix.clock.monotonic()
        seen = None if waiting is None else (waiting.name, waiting.attempt_id, waiting.status)
        if seen != self._seen:
            self._seen, self._since, self.unclaimed = seen, now, False
        if waiting is None or now - self._since < self._grace:
            return None
        kind, text = await self._judged(waiting, now - self._since)
        if (waiting.name, kind) in self._told:
            return None
        self._told.add((waiting.name, kind))
        return text

    async def _judged(self, step: JobStep, seconds: float) -> tuple[str, str]:
        what = f"{self._reference} has been waiting for {seconds:.0f} s"
        if step.status == "pending":
            return "pending", (
                f"{what}: its step {step.name} was taken, and has not begun. What took it may be waiting for "
                "a free GPU or an image; see its log, and that of the platform's jobs controller."
            )
        if others := await self._at_work():
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            named = f"{', '.join(others[:_MOST_NAMED])}{more}"
            return "behind", f"{what} for its turn: {named} was taken first. If that rests, too: {self._cure}"
        self.unclaimed = True
        return "nobody", f"{what}, and nothing takes its step {step.name}. {self._cure}"

    async def _at_work(self) -> list[str]:
        """Other jobs of this kind with a step that someone has taken."""
        try:
            source = (await self._helix.jobs.get(self._reference)).source
            taken = await self._helix.jobs.queue(StepFilter(states=("active", "pending"), source=source))
        except LawtagsError:
            # What cannot be known is no reason to say nothing.
            return []
        others = dict.fromkeys(f"{step.workspace}/{step.job}" for step in taken)
        return [job for job in others if job != self._reference]


def _waiting_step(status: JobStatus) -> JobStep | None:
    """The step that would have to move next; None while one is at work, or none is left."""
    if is_final(status.status):
        return None
    if not status.steps:
        return JobStep(status=status.status) if status.status in _WAITING else None
    open_steps = [step for step in status.steps if not is_final(step.status)]
    # A step that goes on after a pause has the tasks of before.
    waiting = [
        step
        for step in open_steps
        if step.status in _UNTAKEN or (step.status == "pending" and not step.tasks)
    ]
    return waiting[0] if waiting and len(waiting) == len(open_steps) else None
