"""The runner: takes steps of training jobs, one job at a time, and carries them out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from lawtags_client.errors import (
    ConfigurationError,
    ConflictError,
    LawtagsError,
    NotFoundError,
    ServerError,
    TransportError,
)
from lawtags_client.helix.client import Helix
from lawtags_client.helix.jobs import StepFilter
from lawtags_client.helix.types.jobs import JobState, QueuedStep
from lawtags_stack.engines.training.exhaustion import exhaustion
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.runner.attendant import ORDERS, Attendant, Order
from lawtags_stack.runner.claims import Claims, reference
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.steps import (
    STEPS,
    TRAINING_STEPS,
    StepContext,
    Stopped,
    training_config,
)
from lawtags_stack.runner.work import RunnerWork, shared_storage

SOURCE = "customization"
_TO_DO = ("created", "resuming", "pending", "active")
_TO_SETTLE = ("cancelling", "pausing")
_SETTLED: dict[Order, JobState] = {"cancel": "cancelled", "pause": "paused"}
_PAGE_SIZE = 1000
_LONGEST_PAUSE = 30.0
_STOP_SECONDS = 25.0
_log = logging.getLogger(__name__)


class Runner:
    """Carries out the training jobs of a platform.

    Args:
        helix: the platform.
        options: how it works.
        runner: its id, which stays the same in its folder.
        launcher: starts training processes.
        say: prints a line.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        helix: Helix,
        options: RunnerOptions,
        *,
        runner: str,
        launcher: Launcher,
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._helix = helix
        self._calls = helix.runner
        self._options = options
        self._runner = runner
        self._launcher = launcher
        self._say = say
        self._monotonic = monotonic
        self._claims = Claims(self._calls, runner, stale_seconds=options.stale_seconds, monotonic=monotonic)
        self._current: str | None = None
        self._left_alone: set[str] = set()
        self._unreachable = False

    async def run(self) -> None:
        """Take and carry out jobs until cancelled, or until there is nothing to do for ``idle_timeout``."""
        await self._clear_ended()
        settling = asyncio.create_task(self._settle_others())
        try:
            await self._work()
        finally:
            settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await settling

    async def _clear_ended(self) -> None:
        """Delete the folders of jobs that ended, or were deleted, while no runner was there."""
        jobs = self._options.folder / "jobs"
        for folder in sorted(jobs.iterdir()) if jobs.is_dir() else ():
            work = RunnerWork.at(folder)
            if (owner := work.owner) is not None:
                job = await self._calls.find(owner[0])
                if job is not None and job.attempt_id == owner[1] and not job.is_final:
                    continue
            await asyncio.to_thread(work.clear)

    async def _work(self) -> None:
        idle_since = self._monotonic()
        while True:
            step = await self._next()
            if step is not None:
                await self._carry_out(step)
                idle_since = self._monotonic()
                continue
            idle = self._monotonic() - idle_since
            if self._options.idle_timeout is not None and idle >= self._options.idle_timeout:
                return
            await asyncio.sleep(self._options.poll_seconds)

    async def _queue(self, states: tuple[str, ...]) -> list[QueuedStep]:
        """The steps in some states; an empty list while the platform does not answer."""
        try:
            found = await self._calls.queue(
                StepFilter(states, SOURCE), workspace=self._options.workspace, page_size=_PAGE_SIZE
            )
        except (TransportError, ServerError) as error:
            self._note_unreachable(error)
            return []
        self._note_reachable()
        # Steps for child processes belong to the platform's own controller.
        return [step for step in found if _provider(step) != "subprocess"]

    async def _next(self) -> QueuedStep | None:
        for step in await self._queue(_TO_DO):
            if await self._is_mine(step):
                return step
        return None

    async def _is_mine(self, step: QueuedStep) -> bool:
        if step.id in self._left_alone:
            return False
        try:
            if (reason := await self._reason_to_leave(step)) is not None:
                self._left_alone.add(step.id)
                self._say(f"{reference(step)}: left alone: {reason}")
                return False
            return await self._claims.take(step)
        except NotFoundError:
            return False  # deleted meanwhile
        except (TransportError, ServerError) as error:
            self._note_unreachable(error)
            return False

    async def _reason_to_leave(self, step: QueuedStep) -> str | None:
        if step.name not in STEPS:
            return f"this runner does not know the step {step.name}"
        job = await self._calls.get(reference(step))
        try:
            if training_config(job) is None:
                return "this runner trains automodel and DPO jobs"
        except ConfigurationError:
            return None  # what it asks for is refused when the step is carried out
        if step.name in TRAINING_STEPS:
            try:
                await self._storage(step)
            except ConfigurationError as error:
                return str(error).replace("\n", ". ")
        return None

    async def _storage(self, step: QueuedStep) -> Path | None:
        """The job's folder on a platform whose own code downloads and uploads; None if this runner does."""
        given = (await self._calls.status(reference(step))).own_storage
        return shared_storage(self._options.job_storage, given) if given is not None else None

    async def _carry_out(self, first: QueuedStep) -> None:
        """Carry out a job from a step on, until it is done or no longer to be carried out."""
        job_name = self._current = reference(first)
        step: QueuedStep | None = first
        pause = 1.0
        try:
            while step is not None:
                try:
                    if not await self._step(step):
                        return
                    waiting = await self._queue(_TO_DO)
                    step = next((one for one in waiting if reference(one) == job_name), None)
                    pause = 1.0
                except (TransportError, ServerError) as error:
                    self._note_unreachable(error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                except NotFoundError:
                    self._tell(step or first, "the job is gone: it was deleted, or its workspace was")
                    await asyncio.to_thread(self._work_of(first).clear)
                    return
        finally:
            self._current = None

    async def _step(self, step: QueuedStep) -> bool:
        """Carry out one step; returns whether it completed."""
        job = await self._calls.get(reference(step))
        work = self._work_of(step)
        await asyncio.to_thread(work.note, reference(step), step.attempt_id or "")
        attendant = Attendant(
            self._calls,
            self._claims,
            step,
            task=_task(step),
            runner=self._runner,
            poll_seconds=self._options.poll_seconds,
            heartbeat_seconds=self._options.heartbeat_seconds,
            monotonic=self._monotonic,
        )
        try:
            await self._calls.move_step(
                reference(step), step.name, "active", details=attendant.sign, expected_id=step.id
            )
        except ConflictError:
            return False  # cancelled or paused meanwhile
        storage = await self._storage(step) if step.name in TRAINING_STEPS else None
        context = StepContext(
            self._helix,
            self._options,
            self._launcher,
            job,
            step,
            _task(step),
            work,
            attendant,
            storage,
            lambda line: self._tell(step, line),
        )
        await self._calls.report(reference(step), step.name, context.task, "active")
        try:
            order = await self._attended(context)
        except (TransportError, ServerError):
            raise
        except LawtagsError as error:
            if isinstance(error, NotFoundError) and await self._calls.find(reference(step)) is None:
                raise
            await self._fail(context, error.message, type(error).__name__, error.hint)
            return False
        except Exception as error:
            kind = type(error).__name__
            if lack := exhaustion(error):
                await self._fail(context, lack.reason, kind, lack.hint)
                return False
            _log.exception("the step %s of %s failed", step.name, reference(step))
            await self._fail(context, str(error) or kind, kind, None)
            return False
        return await self._end(context, order)

    async def _attended(self, context: StepContext) -> Order | None:
        """Run a step beside its attendant; returns what the platform wanted instead, if anything."""
        attendant = context.attendant
        watching = asyncio.create_task(attendant.run())
        ordered = asyncio.create_task(attendant.ordered.wait())
        body = asyncio.ensure_future(STEPS[context.step.name](context))
        try:
            await asyncio.wait({body, ordered}, return_when=asyncio.FIRST_COMPLETED)
            if not body.done():
                await self._interrupt(context, body)
                return attendant.order
            await body
            return attendant.order
        except asyncio.CancelledError:
            # The runner is stopped: a training saves a checkpoint, and goes on at the next start.
            body.cancel()
            await asyncio.wait({body})
            raise
        finally:
            for task in (watching, ordered):
                task.cancel()
            await asyncio.wait({watching, ordered})

    async def _interrupt(self, context: StepContext, body: asyncio.Future[None]) -> None:
        if context.attendant.order == "pause" and context.training is not None:
            context.stopping.set()
            await asyncio.wait({body}, timeout=_STOP_SECONDS)
        if context.training is not None:
            context.training.killing = True
        body.cancel()
        await asyncio.wait({body})
        error = None if body.cancelled() else body.exception()
        if error is not None and not isinstance(error, Stopped):
            _log.info("the interrupted step ended with %s", error)

    async def _end(self, context: StepContext, order: Order | None) -> bool:
        step, attendant = context.step, context.attendant
        if order == "leave":
            await self._calls.get(reference(step))  # a job that is gone ends here, and leaves no files
            context.say("another runner has it, or it has ended")
            return False
        await attendant.flush()
        if order is None:
            try:
                await self._complete(context)
            except ConflictError:
                # It was cancelled or paused in the very last moment.
                found = await self._calls.step(reference(step), step.name)
                order = ORDERS.get(found.status or "")
                if order is None:
                    return False
            else:
                return True
        await self._calls.move_step(reference(step), step.name, _SETTLED[order], expected_id=step.id)
        context.say("cancelled" if order == "cancel" else "paused, with a checkpoint")
        if order == "cancel":
            await asyncio.to_thread(context.work.clear)
        return False

    async def _complete(self, context: StepContext) -> None:
        step = context.step
        details = {"phase": "completed", "message": _DONE.get(step.name, "Completed")}
        await self._calls.report(reference(step), step.name, context.task, "completed", details=details)
        await self._calls.move_step(reference(step), step.name, "completed", expected_id=step.id)
        context.say("completed")
        planned = context.job.platform_spec.steps if context.job.platform_spec else []
        if context.storage is not None or (planned and planned[-1].name == step.name):
            await asyncio.to_thread(context.work.clear)

    async def _fail(self, context: StepContext, message: str, kind: str, hint: str | None) -> None:
        step = context.step
        context.tell(f"failed: {message}. {hint or ''}".strip())
        error = {"message": message, "type": kind, "detail": hint}
        await context.attendant.flush()
        try:
            await self._calls.report(reference(step), step.name, context.task, "error", error=error)
            await self._calls.move_step(reference(step), step.name, "error", error=error, expected_id=step.id)
        except ConflictError:
            found = await self._calls.step(reference(step), step.name)
            if (order := ORDERS.get(found.status or "")) is None:
                return
            await self._calls.move_step(reference(step), step.name, _SETTLED[order], expected_id=step.id)
        await asyncio.to_thread(context.work.clear)

    async def _settle_others(self) -> None:
        """Confirm what is asked of jobs that nobody carries out at the moment, such as paused ones."""
        while True:
            await asyncio.sleep(self._options.poll_seconds)
            for step in await self._queue(_TO_SETTLE):
                order = ORDERS.get(step.status or "")
                if order is None or reference(step) == self._current:
                    continue
                try:
                    if await self._claims.may_settle(step):
                        await self._settle(step, order)
                except (ConflictError, NotFoundError):
                    continue  # another runner was faster
                except (TransportError, ServerError) as error:
                    self._note_unreachable(error)

    async def _settle(self, step: QueuedStep, order: Order) -> None:
        await self._calls.move_step(reference(step), step.name, _SETTLED[order], expected_id=step.id)
        self._tell(step, _SETTLED[order])
        if order == "cancel":
            await asyncio.to_thread(self._work_of(step).clear)

    def _work_of(self, step: QueuedStep) -> RunnerWork:
        attempt = step.attempt_id or f"{reference(step)}/{step.id}"
        return RunnerWork(self._options.folder / "jobs", attempt)

    def _tell(self, step: QueuedStep, line: str) -> None:
        self._say(f"{datetime.now():%H:%M:%S} {reference(step)} {step.name}: {line}")

    def _note_unreachable(self, error: LawtagsError) -> None:
        if not self._unreachable:
            self._say(f"the platform does not answer ({error.message}); trying again until it does")
        self._unreachable = True

    def _note_reachable(self) -> None:
        if self._unreachable:
            self._say("the platform answers again")
        self._unreachable = False


_DONE = dict.fromkeys(TRAINING_STEPS, "Training completed")


def _task(step: QueuedStep) -> str:
    """The name of a step's task; the same after a restart, so that its series go on."""
    return f"task-{hashlib.md5(step.id.encode(), usedforsecurity=False).hexdigest()}"


def _provider(step: QueuedStep) -> str | None:
    executor = step.step_spec.executor if step.step_spec else None
    return executor.provider if executor else None
