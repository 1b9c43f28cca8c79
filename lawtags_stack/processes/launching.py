"""How worker processes are started: each by itself, or forked from one that has imported the libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Protocol

from lawtags_stack.processes.environment import worker_environment


class Child(Protocol):
    """A process that was started; ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int | None:
        """Its number, once the system has given it one."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit code as ``poll`` or ``wait`` last saw it; negative for a signal."""
        ...

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it runs longer than ``timeout`` seconds.
        """
        ...

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        ...


class Launcher(Protocol):
    """Starts ``main(arguments)`` of a module in a process of its own."""

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
            module: its full name.
            arguments: what ``main`` receives.
            output: takes standard output and standard error.
            input: the descriptor to become standard input; nothing can be read where it is None. The caller
                closes its copy.
            connection: a further descriptor, which ``main`` finds in ``--fd N``. The caller closes its copy.
        """
        ...


class SpawnLauncher:
    """Starts a fresh interpreter for each process, which imports all that it needs."""

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
