"""Runs the training process of a job to its end."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lawtags_client.errors import LawtagsError
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.engines.training.process import Worker
from lawtags_stack.engines.training.worker import EXIT_STOPPED
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.runner.progress import TrainingReport
from lawtags_stack.runner.work import RunnerWork

_POLL_SECONDS = 0.2
_STOP_SECONDS = 20.0
_CRASHES_FORGIVEN = 1


@dataclass(slots=True)
class TrainingRun:
    """One training, with what to do about it.

    Args:
        work: the job's folder, prepared.
        launcher: starts the process.
        device: as in ``Compute.choose``.
        report: takes in the events.
        log: takes lines for the job's log.
        stopping: set to stop the training with a checkpoint.
        killing: whether a cancelled training is killed rather than stopped with a checkpoint.
    """

    work: RunnerWork
    launcher: Launcher
    device: str
    report: TrainingReport
    log: Callable[[str], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    killing: bool = False

    async def finish(self) -> bool:
        """Train to the end.

        Returns:
            Whether it reached the end; False if it was asked to stop.

        Raises:
            LawtagsError: the training failed, or its process crashed more than once.
        """
        begun = time.monotonic()
        self.report.started(datetime.now(UTC))
        for crashes in range(_CRASHES_FORGIVEN + 1):
            try:
                ended = await self._attempt()
            except _Crashed as crash:
                if crashes == _CRASHES_FORGIVEN:
                    raise LawtagsError(str(crash), hint="The job's log has its last lines.") from crash
                self.log(f"{crash}; starting again from the last checkpoint")
            else:
                self.report.finished(datetime.now(UTC), time.monotonic() - begun)
                return ended
        raise AssertionError("unreachable")

    async def _attempt(self) -> bool:
        work = self.work
        worker = Worker.start(self.launcher, work.path, work.attempts, self.device)
        asked = False
        try:
            while True:
                # Polled before reading the events, since none are written after the exit.
                code = worker.process.poll()
                for event in worker.events:
                    self._take(event)
                    if event["event"] == "done":
                        return True
                if code == EXIT_STOPPED:
                    return False
                if code is not None:
                    raise _Crashed(worker.crash_reason())
                if self.stopping.is_set() and not asked:
                    worker.ask_to_stop()
                    asked = True
                await asyncio.sleep(_POLL_SECONDS)
        except asyncio.CancelledError:
            if not self.killing:
                worker.ask_to_stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(worker.process.wait, _STOP_SECONDS)
            raise
        finally:
            worker.end()

    def _take(self, event: TrainerEvent) -> None:
        self.report.add(event)
        if line := _line(event):
            self.log(line)
        if event["event"] == "failed":
            raise LawtagsError(event["reason"], hint=event["hint"])


class _Crashed(Exception):
    """The process ended without saying why."""


def _line(event: TrainerEvent) -> str | None:
    """An event as a line of the job's log."""
    match event["event"]:
        case "phase":
            detail = event.get("detail")
            return f"{event['name']}: {detail}" if detail else event["name"]
        case "data":
            return (
                f"{event['training_rows']} training rows, {event['validation_rows']} validation rows, "
                f"{event['steps']} steps"
            )
        case "warning":
            return f"warning: {event['message']}. {event.get('explanation') or ''}".strip()
        case "train":
            return f"step {event['step'] + 1}: train_loss {event['value']:.4f}"
        case "validation":
            return f"step {event['step'] + 1}: val_loss {event['value']:.4f}"
        case "early_stop":
            return f"no improvement; stopped at step {event['step'] + 1}"
        case "failed":
            return f"error: {event['reason']}"
        case "done":
            return f"trained {event['steps']} steps in {event['seconds']:.1f} s"
    return None
