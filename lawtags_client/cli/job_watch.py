"""Follows one training job for ``lawtags jobs watch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from lawtags_client.cli.progress import shown
from lawtags_client.cli.session import Session
from lawtags_client.errors import JobCancelledError, NotFoundError
from lawtags_client.platform.choice import run_platform, training_jobs
from lawtags_client.platform.training_jobs import with_complete_id
from lawtags_client.platform.v1_updates import UpdateReader
from lawtags_client.platform.validations import validation_share
from lawtags_client.runs.overfitting import OverfittingRule
from lawtags_client.runs.training_monitor import TrainingMonitor, TrainingState

if TYPE_CHECKING:
    from lawtags_client.client import NeMo
    from lawtags_client.platform.protocol import JobUpdate
    from lawtags_client.runs.progress import Progress

# Someone who watches a job decides alone when it takes too long.
_A_YEAR = 365 * 24 * 3600.0
# Lines of the log that were written before the command attached.
_AT_FIRST = 20


async def watch_job(session: Session, job_id: str) -> None:
    """Show a job until it ends.

    Args:
        session: the command.
        job_id: the job; on Helix with its workspace, ``workspace/id``.

    Raises:
        JobError: it failed, or was cancelled.
    """
    async with session.client() as nemo:

        async def watch(name: str) -> None:
            session.followed = lambda: name
            if session.json and "/" not in name:
                await _emit_events(session, nemo, name)
                return
            with shown(session.console) as progress:
                await show_job(nemo, name, progress, on_update=_emitter(session))

        try:
            try:
                await watch(job_id)
            except NotFoundError:
                async with training_jobs(nemo) as jobs:
                    await with_complete_id(jobs, job_id, watch)
        except JobCancelledError as problem:
            # A command that only watches a job has no intent to submit it with.
            raise JobCancelledError(problem.message, job_id=job_id, reason=problem.reason) from None


async def _emit_events(session: Session, nemo: NeMo, job_id: str) -> None:
    job = await nemo.customizer.job(job_id)
    share = await validation_share(nemo, job.record)
    monitor, reader = _monitor(job_id), UpdateReader(job.record, validation_share=share)
    emitted: Mapping[str, object] = {}
    async for events in job.looks():
        for event in events:
            session.emit({"event": type(event).__name__, **asdict(event)})
        monitor.update(reader.read(events))
        state = monitor.state().as_json()
        if state != emitted and state["steps"]:
            emitted = state
            session.emit({"event": "TrainingState", **state})
    await job.wait()


async def show_job(
    nemo: NeMo,
    job_id: str,
    progress: Progress,
    *,
    on_update: Callable[[TrainingState, JobUpdate], None] | None = None,
) -> None:
    """Show a job until it ends.

    Args:
        nemo: an open client.
        job_id: the job; on Helix with its workspace, ``workspace/id``.
        progress: where it is shown.
        on_update: receives each state, and the sign of life that it comes from.

    Raises:
        JobError: it failed, or was cancelled.
    """
    monitor, status = _monitor(job_id), ""
    progress.stage(job_id, 1, 1)
    async with run_platform(nemo) as platform:
        async for sign in platform.follow(job_id, timeout=_A_YEAR, stall=_A_YEAR):
            found = monitor.update(sign)
            state = monitor.state()
            progress.training(state)
            for line in _newest(job_id, sign.lines) if not status else sign.lines:
                progress.note(line)
            if sign.status != status:
                status = sign.status
                words = f", {state.words()}" if state.curves and status == "completed" else ""
                progress.note(f"{job_id} is {status}{words}")
            if found is not None:
                progress.note(str(found))
            if sign.notice is not None:
                progress.note(sign.notice)
            if on_update is not None:
                on_update(state, sign)


def _newest(job_id: str, lines: tuple[str, ...]) -> Iterator[str]:
    """What a command that attaches shows of a log that may be long."""
    left_out = len(lines) - _AT_FIRST
    if left_out > 0:
        counted = "an earlier line" if left_out == 1 else f"{left_out:,} earlier lines"
        yield f"left out: {counted} of its log; lawtags jobs logs {job_id} prints them"
    yield from lines[-_AT_FIRST:]


def _emitter(session: Session) -> Callable[[TrainingState, JobUpdate], None] | None:
    if not session.json:
        return None

    def emit(state: TrainingState, sign: JobUpdate) -> None:
        session.emit({"event": "TrainingState", **state.as_json()})
        if sign.notice is not None:
            session.emit({"event": "JobUnattended", "job": state.job, "message": sign.notice})

    return emit


def _monitor(job_id: str) -> TrainingMonitor:
    return TrainingMonitor(job_id, rule=OverfittingRule())
