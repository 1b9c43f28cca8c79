"""The caller's side of the sandbox: a process started on demand, and restarted after it exits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import IO, Any, Self

from lawtags_client.errors import BadRequestError, LawtagsError, ResourceLimitError
from lawtags_stack.processes.frames import Message, pack, receive
from lawtags_stack.sandbox.limits import NOTE_BYTES, read_note

# Environment variables passed to the process; none may hold a credential.
_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME", "VIRTUAL_ENV")
_STARTS = 2
_PRINTED_BYTES = 64 << 10
_WORKER = "lawtags_stack.sandbox.worker"


class SandboxStoppedError(LawtagsError):
    """The sandbox was stopped during an operation."""


class Sandbox:
    """Runs operations on JSON values in a process with limits.

    If the process is killed because of a limit, it is replaced and the operation fails. If it exits for any
    other reason, the operation is retried once.

    Args:
        operations: the module that defines ``OPERATIONS``.
        patience: factor for all time limits.
    """

    def __init__(self, operations: str, *, patience: float = 1.0) -> None:
        self._arguments = ["--operations", operations, "--patience", str(patience)]
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._notes: IO[bytes] | None = None
        self._dropped: weakref.finalize[..., Sandbox] | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def call(self, operation: str, argument: object) -> Any:
        """Run an operation and return its result; calls from several threads are serialized.

        Raises:
            BadRequestError: the operation rejects its argument.
            ResourceLimitError: it exceeds a limit on time, memory or output; the message names what does.
            SandboxStoppedError: ``stop`` was called meanwhile.
            LawtagsError: the process exited twice for another reason.
        """
        try:
            message = pack({"operation": operation, "argument": argument})
        except RecursionError:
            raise ResourceLimitError("The values are nested too deeply") from None
        said = ""
        with self._turn:
            for _ in range(_STARTS):
                answer = self._exchange(message)
                if answer is not None:
                    return _result(answer)
                self._check_limit()
                said = self._clear()
        detail = f": {said}" if said else ""
        raise LawtagsError(
            f"The process that runs templates and patterns exited twice{detail}", hint="Free memory."
        )

    def stop(self) -> None:
        """Kill the process, even during an operation; thread-safe."""
        with self._guard:
            self._stopped = True
            process = self._process
        if process is not None and process.poll() is None:
            process.kill()
        with self._turn:
            self._clear()

    def _exchange(self, message: bytes) -> Message | None:
        connection = self._started()
        try:
            connection.sendall(message)
            return receive(connection)
        except (BrokenPipeError, ConnectionResetError):
            return None

    def _started(self) -> socket.socket:
        with self._guard:
            if self._stopped:
                raise SandboxStoppedError("The operation was stopped")
            if self._connection is not None:
                return self._connection
            ours, theirs = socket.socketpair()
            notes = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed in _clear)
            notes.seek(NOTE_BYTES)  # the process's output follows the note
            with theirs:
                self._process = _spawn(self._arguments, theirs.fileno(), notes)
            self._connection, self._notes = ours, notes
            # Clean up the process and the open files if the owner just drops the sandbox.
            self._dropped = weakref.finalize(self, _close, self._process, ours, notes)
            return ours

    def _check_limit(self) -> None:
        """Raise an error if the process was stopped or has reached a limit."""
        assert self._process is not None
        assert self._notes is not None
        code = self._process.wait()
        if self._stopped:
            raise SandboxStoppedError("The operation was stopped")
        if code == -signal.SIGPROF:
            note = os.pread(self._notes.fileno(), NOTE_BYTES, 0)
            self._clear()
            raise ResourceLimitError(read_note(note))

    def _clear(self) -> str:
        """Clean up the process, and return the last line of its output."""
        said = ""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._notes is not None:
            said = os.pread(self._notes.fileno(), _PRINTED_BYTES, NOTE_BYTES).decode("utf-8", "replace")
        if self._dropped is not None:
            self._dropped()
        self._process = self._connection = self._notes = None
        return (said.strip().splitlines() or [""])[-1]


class Sandboxes:
    """A pool of sandboxes, since one that has finished its imports responds at once.

    Args:
        operations: the module that defines ``OPERATIONS``.
        most: maximum number of idle sandboxes.
    """

    def __init__(self, operations: str, most: int) -> None:
        self._operations = operations
        self._most = most
        self._idle: list[Sandbox] = []
        self._guard = threading.Lock()

    def take(self) -> Sandbox:
        """Take a sandbox from the pool, for exclusive use."""
        with self._guard:
            return self._idle.pop() if self._idle else Sandbox(self._operations)

    def give_back(self, sandbox: Sandbox) -> None:
        """Return an idle sandbox to the pool."""
        with self._guard:
            if len(self._idle) < self._most:
                self._idle.append(sandbox)
                return
        sandbox.stop()

    def stop(self) -> None:
        """Stop the idle sandboxes, and pool none from now on."""
        with self._guard:
            self._most, idle, self._idle = 0, self._idle, []
        for sandbox in idle:
            sandbox.stop()


def _spawn(arguments: list[str], descriptor: int, notes: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", _WORKER, *arguments]
    command += ["--fd", str(descriptor), "--notes", str(notes.fileno())]
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    # Threads would reserve address space, which counts toward the memory limit.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command,
        pass_fds=(descriptor, notes.fileno()),
        stdin=subprocess.DEVNULL,
        stdout=notes,
        stderr=notes,
        env=environment,
    )


def _close(process: subprocess.Popen[bytes], connection: socket.socket, notes: IO[bytes]) -> None:
    process.kill()
    process.wait()
    connection.close()
    notes.close()


def _result(answer: Message) -> Any:
    if "error" not in answer:
        return answer["result"]
    kind = ResourceLimitError if answer["limit"] else BadRequestError
    raise kind(answer["error"], hint=answer["hint"])
