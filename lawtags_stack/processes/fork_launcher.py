"""Starts workers by forking a process that has already imported torch and transformers.

These imports take seconds of CPU time per training and per model. The fork server does them once; it starts
with the first worker, and exits after some time without workers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from lawtags_stack.processes.environment import worker_environment
from lawtags_stack.processes.fork_server import LARGEST_MESSAGE

_SERVER = "lawtags_stack.processes.fork_server"
_KILLED = -signal.SIGKILL


class ForkedChild:
    """A process that the fork server started or will start."""

    def __init__(self, number: int, name: str, server: _ForkServerHandle) -> None:
        self._number = number
        self._name = name
        self._server = server
        self._over = threading.Event()
        self.pid: int | None = None
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it exits.

        Raises:
            subprocess.TimeoutExpired: it did not exit within ``timeout`` seconds.
        """
        if not self._over.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired(self._name, timeout or 0.0)
        return self.returncode

    def kill(self) -> None:
        """Kill it; does nothing if it has exited."""
        # The fork server kills it, since only the server knows that the pid was not reused.
        if self.returncode is None:
            self._server.kill(self._number)
        # The server may still be importing; it skips processes that were killed before they started.
        if self.pid is None:
            self.ended(_KILLED)

    def started(self, pid: int) -> None:
        """Record its pid."""
        self.pid = pid

    def ended(self, code: int) -> None:
        """Record its exit code, unless it is already known, and wake waiters."""
        if self.returncode is None:
            self.returncode = code
        self._over.set()


class ForkLauncher:
    """Starts workers by forking; thread-safe.

    Args:
        log: file for the fork server's output.
        modules: modules to import before forking.
        idle_seconds: time without workers after which the fork server exits and frees its memory.
    """

    def __init__(self, log: Path, modules: Sequence[str], idle_seconds: float = 900.0) -> None:
        self._log = log
        self._modules = modules
        self._idle = idle_seconds
        self._lock = threading.Lock()
        self._server: _ForkServerHandle | None = None

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        output: IO[bytes],
        input: int | None = None,
        connection: int | None = None,
    ) -> ForkedChild:
        """See ``Launcher.start``."""
        with contextlib.ExitStack() as opened, self._lock:
            if input is None:
                input = os.open(os.devnull, os.O_RDONLY)
                opened.callback(os.close, input)
            descriptors = [input, output.fileno(), *([] if connection is None else [connection])]
            if self._server is not None:
                with contextlib.suppress(_GoneError):
                    return self._server.start(module, arguments, descriptors)
            self._server = _ForkServerHandle(self._log, self._modules, self._idle)
            try:
                return self._server.start(module, arguments, descriptors)
            except _GoneError as error:
                message = f"the process that starts workers has ended; see {self._log}"
                raise OSError(message) from error

    def stop(self) -> None:
        """Stop the fork server and all its workers."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.stop()


class _GoneError(Exception):
    """The fork server has exited or is about to."""


class _ForkServerHandle:
    """The parent's side of a running fork server."""

    def __init__(self, log: Path, modules: Sequence[str], idle: float) -> None:
        self._lock = threading.Lock()
        self._children: dict[int, ForkedChild] = {}
        self._started = 0
        self._closed = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(idle)
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with theirs, log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _SERVER, str(theirs.fileno()), *modules],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=worker_environment(),
                )
        except BaseException:
            self._control.close()
            raise
        self._reader = threading.Thread(target=self._read, name="lawtags-fork-server", daemon=True)
        self._reader.start()

    def start(self, module: str, arguments: Sequence[str], descriptors: Sequence[int]) -> ForkedChild:
        """Request a process.

        Raises:
            _GoneError: the server has exited.
        """
        with self._lock:
            if self._closed:
                raise _GoneError
            number = self._started = self._started + 1
            message = {"number": number, "module": module, "arguments": list(arguments)}
            packed = json.dumps(message).encode()
            if len(packed) > LARGEST_MESSAGE:
                raise OSError(errno.E2BIG, f"the arguments of {module} are too long")
            child = self._children[number] = ForkedChild(number, module, self)
            try:
                socket.send_fds(self._control, [packed], descriptors)
            except OSError as error:
                del self._children[number]
                raise _GoneError from error
            return child

    def kill(self, number: int) -> None:
        """Request to kill a process."""
        # On failure, the reader notices too that the server is gone, and kills its processes.
        with self._lock, contextlib.suppress(OSError):
            self._control.send(json.dumps({"number": number}).encode())

    def stop(self) -> None:
        """Stop the server and its processes."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._reader.join()

    def _read(self) -> None:
        while (message := self._next()) is not None:
            child = self._children[message["number"]]
            if "pid" in message:
                child.started(message["pid"])
            else:
                with self._lock:
                    del self._children[message["number"]]
                child.ended(message["ended"])
        with self._lock:
            self._closed = True
            self._control.close()
            left = list(self._children.values())
            self._children.clear()
        self._process.kill()  # during imports it does not notice a closed socket
        self._process.wait()
        for child in left:
            # Its exit code can never be known, so it must not keep running.
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            child.ended(_KILLED)

    def _next(self) -> dict[str, int] | None:
        """Read the next message; None if the server is gone, or was idle for too long."""
        while True:
            try:
                data = self._control.recv(LARGEST_MESSAGE)
            except TimeoutError:
                with self._lock:
                    if self._children:
                        continue
                    self._closed = True
                return None
            except OSError:
                return None
            return json.loads(data) if data else None
