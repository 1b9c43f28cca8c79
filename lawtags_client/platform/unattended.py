"""Tells someone who waits for a job on Helix that nothing carries it out, and what to start.

Helix accepts jobs whether or not anything is there to carry out their steps. A step that nobody has taken is
``created``, or ``resuming`` after a pause; one that was taken and has not begun is ``pending``. A step whose
runner was killed stays as it is; only the runner's signs of life end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from lawtags_client.errors import LawtagsError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.jobs import StepFilter
from lawtags_client.helix.types.jobs import RUNNER, JobStatus, JobStep, QueuedStep, is_final

GRACE = 45.0
"""Seconds without a step that begins: the platform's own controller and a runner look every few seconds."""

_UNTAKEN = frozenset({"created", "resuming"})
_WAITING = _UNTAKEN | {"pending"}
_HELD = frozenset({"active", "cancelling", "pausing"})
# Signs of life come every ten seconds; after as long, another runner takes the job over.
_SILENCE = 60.0
_MOST_NAMED = 3


_OWN_STORAGE = " --job-storage FOLDER"


def runner_cure(helix: Helix, status: JobStatus | None = None) -> str:
    """What to start for a training job that nobody takes.

    Args:
        helix: an open client.
        status: of the job; a runner needs another option if the platform keeps the job's files itself.
    """
    options = _OWN_STORAGE if status is not None and status.own_storage else ""
    url = helix.settings.address("platform").url
    return f"Start a runner: lawtags local runner --platform {url}{options}"


CONTROLLER_CURE = "Start the platform's jobs controller: nemo services run --controllers jobs"
"""What to start for an evaluation that nobody takes."""


NeglectKind: TypeAlias = Literal["taken", "behind", "nobody", "silent"]


@dataclass(frozen=True, slots=True)
class Neglect:
    """What the next step of a job waits for.

    Args:
        kind: it was ``taken`` and has not begun, waits ``behind`` other jobs, ``nobody`` takes it, or what
            has begun it is ``silent``.
        step: its name.
        state: its state.
        others: jobs of its kind that are carried out, ``workspace/name``.
        is_training: whether the job is a training.
        runner_options: what a runner needs to take it, beside the address.
        runner: the runner that is silent.
        heartbeat: its last sign of life, in ISO 8601.
    """

    kind: NeglectKind
    step: str
    state: str
    others: Sequence[str] = ()
    is_training: bool = True
    runner_options: str = ""
    runner: str = ""
    heartbeat: str | None = None


async def find_neglect(helix: Helix, reference: str, status: JobStatus) -> Neglect | None:
    """What the next step of a job waits for at the moment; None if it does not.

    Args:
        helix: an open client.
        reference: the job, ``workspace/name``.
        status: the newest.
    """
    step = _waiting_step(status)
    if step is None:
        held = _held_step(status)
        return _silent(held, status) if held is not None and _is_silent(held, helix.clock.now()) else None
    state = step.status or "unknown"
    source, others = await _at_work(helix, reference)
    is_training = source in (None, "customization")
    options = _OWN_STORAGE if is_training and status.own_storage else ""
    kind: NeglectKind = "taken" if state == "pending" else "behind" if others else "nobody"
    return Neglect(kind, step.name, state, others, is_training, options)


async def _at_work(helix: Helix, reference: str) -> tuple[str | None, list[str]]:
    """The service of a job, and other jobs of that service with a step that someone has taken."""
    source: str | None = None
    try:
        source = (await helix.jobs.get(reference)).source
        taken = await helix.jobs.queue(StepFilter(states=("active", "pending"), source=source))
    except LawtagsError:
        # What cannot be known is no reason to say nothing.
        return source, []
    now = helix.clock.now()
    others = dict.fromkeys(f"{step.workspace}/{step.job}" for step in taken if not _is_silent(step, now))
    return source, [job for job in others if job != reference]


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
        self._told: set[tuple[str, str, str | None]] = set()
        self.unclaimed = False

    async def notice(self, status: JobStatus) -> str | None:
        """What to tell about the state of the job, each thing once; None as long as there is nothing.

        Args:
            status: the newest.
        """
        waiting = _waiting_step(status)
        step = waiting or _held_step(status)
        now = self._helix.clock.monotonic()
        seen = None if step is None else (step.name, step.attempt_id, step.status, step.heartbeat)
        if seen != self._seen:
            self._seen, self._since, self.unclaimed = seen, now, False
        if step is None or now - self._since < self._grace:
            return None
        # The clocks of the runner and of this machine need not agree.
        found = await find_neglect(self._helix, self._reference, status) if waiting else _silent(step, status)
        if found is None:
            return None
        self.unclaimed = found.kind == "nobody"
        thing = (found.step, found.kind, found.heartbeat)
        if thing in self._told:
            return None
        self._told.add(thing)
        return self._sentence(found, now - self._since)

    def _sentence(self, found: Neglect, seconds: float) -> str:
        cure = f"{self._cure}{found.runner_options}"
        if found.kind == "silent":
            name = f"{self._reference}: its runner {found.runner}"
            return (
                f"{name} has given no sign of life for {seconds:.0f} s. "
                f"Started with its --dir, it resumes; another one trains from the beginning. {cure}"
            )
        what = f"{self._reference} has been waiting for {seconds:.0f} s"
        if found.kind == "taken":
            return (
                f"{what}: its step {found.step} was taken, and has not begun. What took it may be waiting "
                "for a free GPU or an image; see its log, and that of the platform's jobs controller."
            )
        if found.kind == "behind":
            more = len(found.others) - _MOST_NAMED
            named = ", ".join(found.others[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            return f"{what} for its turn: {named} was taken first. If that rests, too: {cure}"
        return f"{what}, and nothing takes its step {found.step}. {cure}"


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


def _held_step(status: JobStatus) -> JobStep | None:
    """The step that a runner of lawtags carries out."""
    if is_final(status.status):
        return None
    return next((step for step in status.steps if step.status in _HELD and step.heartbeat), None)


def _is_silent(step: JobStep | QueuedStep, now: datetime) -> bool:
    try:
        last = datetime.fromisoformat(step.heartbeat or "")
    except ValueError:
        return False
    return (now - (last if last.tzinfo else last.replace(tzinfo=UTC))).total_seconds() > _SILENCE


def _silent(step: JobStep, status: JobStatus) -> Neglect:
    options = _OWN_STORAGE if status.own_storage else ""
    runner, state = str(step.status_details.get(RUNNER) or "unknown"), step.status or "unknown"
    return Neglect("silent", step.name, state, (), True, options, runner, step.heartbeat)
