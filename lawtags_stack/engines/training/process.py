"""A training process as its parent sees it: start, events, stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import LawtagsError
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.engines.training.exhaustion import DISK
from lawtags_stack.engines.training.worker import EXIT_DISK_FULL
from lawtags_stack.processes.launching import Child, Launcher

WORKER = "lawtags_stack.engines.training.worker"


class EventTail:
    """Reads the events of a worker's file as they arrive; an incomplete last line is read later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def __iter__(self) -> Iterator[TrainerEvent]:
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


@dataclass(slots=True)
class Worker:
    """A running training process.

    Its standard input stays open as long as this process lives. A worker exits when that pipe closes, so a
    killed stack leaves no workers behind.
    """

    process: Child
    errors: Path
    events: EventTail
    held: int

    @classmethod
    def start(cls, launcher: Launcher, folder: Path, attempt: int, device: str) -> Worker:
        """Start a worker on a prepared folder; it resumes from the latest checkpoint.

        Args:
            launcher: starts the process.
            folder: the job folder.
            attempt: numbers the files of events and of standard error.
            device: as in ``Compute.choose``.
        """
        errors = folder / f"stderr-{attempt}.log"
        events = folder / f"events-{attempt}.jsonl"
        read, held = os.pipe()
        try:
            with errors.open("wb") as stream:
                arguments = [str(folder), str(events), device]
                process = launcher.start(WORKER, arguments, output=stream, input=read)
        except BaseException:
            os.close(held)
            raise
        finally:
            os.close(read)
        return cls(process, errors, EventTail(events), held)

    def ask_to_stop(self) -> None:
        """Ask the worker to save a checkpoint after its current step, and exit."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.held, b"s")

    def end(self) -> None:
        """Kill the worker; its work since the last checkpoint is lost."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.held)

    def crash_reason(self) -> str:
        """Explain why a worker exited without reporting a failure.

        Raises:
            LawtagsError: the disk was too full even for the report; starting again would not help.
        """
        if self.process.returncode == EXIT_DISK_FULL:
            raise LawtagsError(DISK.reason, hint=DISK.hint)
        code = self.process.returncode
        lines = self.errors.read_text("utf-8", "replace").strip().splitlines()
        said = f": {lines[-1][:500]}" if lines else ""
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            memory = "; the system does this if memory runs out" if name == "SIGKILL" else ""
            return f"the training process was killed by {name}{memory}{said}"
        return f"the training process ended with exit code {code}{said}"
