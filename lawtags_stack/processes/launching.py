"""Starts worker processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Protocol

from lawtags_stack.processes.environment import worker_environment


class Child(Protocol):
    """A child process; ``subprocess.Popen`` implements it."""

    @property
    def pid(self) -> int | None:
        """Its pid, once it has started."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit code, as of the last ``poll`` or ``wait``; negative for a signal."""
        ...

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it exits.

        Raises:
            subprocess.TimeoutExpired: it did not exit within ``timeout`` seconds.
        """
        ...

    def kill(self) -> None:
        """Kill it; does nothing if it has exited."""
        ...


class Launcher(Protocol):
    """Runs ``main(arguments)`` of a module in a new process."""

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        output: IO[bytes],
        input: int | None = None,
        connection: int | None = None,
    ) -> Child:
        """Start a process; returns at once.

        Args:
            module: full name of the module.
            arguments: passed to ``main``.
            output: receives standard output and standard error.
            input: descriptor for standard input; None means no input. The caller closes its copy.
            connection: an additional descriptor, passed to ``main`` as ``--fd N``. The caller closes its
                copy.
        """
        ...


class SpawnLauncher:
    """Starts a new interpreter for each process."""

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        output: IO[bytes],
        input: int | None = None,
        connection: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """See ``Launcher.start``."""
        further = [] if connection is None else ["--fd", str(connection)]
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments, *further],
            pass_fds=[] if connection is None else [connection],
            stdin=subprocess.DEVNULL if input is None else input,
            stdout=output,
            stderr=output,
            env=worker_environment(),
        )
