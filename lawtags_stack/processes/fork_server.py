"""The fork server: ``python -m lawtags_stack.processes.fork_server FD MODULE...``.

It imports the modules, then forks on request of the process behind the socket ``FD``. It never starts a
thread and never computes, so torch and BLAS are in their initial state after each fork. It exits when the
socket closes; its children keep running, and watch pipes of their own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

LARGEST_MESSAGE = 64 << 10
_MOST_DESCRIPTORS = 4
_FAILED = 1


def main(arguments: list[str]) -> int:
    """Import the modules, and fork until the socket closes."""
    control = socket.socket(fileno=int(arguments[0]))
    # Ctrl-C at the terminal signals the whole process group; the stack decides what to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in arguments[1:]:
        if _is_abandoned(control):
            return 0
        # A failed import is repeated in the worker that needs the module, which can report it.
        try:
            importlib.import_module(module)
        except Exception:
            traceback.print_exc()
    # Exempt existing objects from garbage collection, so children keep sharing their memory pages.
    gc.collect()
    gc.freeze()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _ForkServer(control).run()
    return 0


def _is_abandoned(control: socket.socket) -> bool:
    poll = select.poll()
    poll.register(control, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


@dataclass(frozen=True, slots=True)
class _Start:
    """A requested process; the descriptors are input, output and, optionally, a connection."""

    module: str
    arguments: list[str]
    descriptors: list[int]

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._numbers: dict[int, int] = {}
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._receive)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Process requests until the socket closes."""
        while True:
            for key, _ in self._selector.select():
                if not key.data():
                    return

    def _receive(self) -> bool:
        # Read all pending messages first: a process that is killed before its start is never started.
        starts: dict[int, _Start] = {}
        while any(key.fileobj is self._control for key, _ in self._selector.select(0)):
            data, descriptors, _, _ = socket.recv_fds(self._control, LARGEST_MESSAGE, _MOST_DESCRIPTORS)
            if not data:
                return False
            message = json.loads(data)
            number = message["number"]
            if "module" in message:
                starts[number] = _Start(message["module"], message["arguments"], descriptors)
            else:
                self._kill(number, starts)
        while starts:
            number = next(iter(starts))
            self._fork(number, starts.pop(number), starts)
        return True

    def _kill(self, number: int, starts: dict[int, _Start]) -> None:
        if number in starts:
            starts.pop(number).close()
            self._tell(number=number, ended=-signal.SIGKILL)
        for pid in [pid for pid, each in self._numbers.items() if each == number]:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, number: int, start: _Start, waiting: Mapping[int, _Start]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # warns about BLAS threads
                pid = os.fork()
        except OSError as error:
            self._tell(number=number, ended=_FAILED)
            os.write(start.descriptors[1], f"the process cannot be forked: {error}\n".encode())
        else:
            if pid == 0:
                # A socket is closed only if no other process holds a copy.
                for other in waiting.values():
                    other.close()
                self._run_child(start)
            self._numbers[pid] = number
            self._tell(number=number, pid=pid)
        finally:
            start.close()

    def _reap(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._tell(number=self._numbers.pop(pid), ended=os.waitstatus_to_exitcode(status))
        return True

    def _tell(self, **fields: int) -> None:
        self._control.send(json.dumps(fields).encode())

    def _run_child(self, start: _Start) -> NoReturn:
        code, descriptors = _FAILED, start.descriptors
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._selector.close()
            self._control.close()
            os.close(self._woken)
            os.close(self._wake)
            for target, descriptor in enumerate((descriptors[0], descriptors[1], descriptors[1])):
                os.dup2(descriptor, target)
            for descriptor in descriptors[:2]:
                os.close(descriptor)
            further = [] if len(descriptors) == 2 else ["--fd", str(descriptors[2])]
            _set_title(" ".join([start.module, *start.arguments]))
            code = importlib.import_module(start.module).main([*start.arguments, *further])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else _FAILED
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _set_title(title: str) -> None:
    """Set the process title of a child."""
    from setproctitle import setproctitle

    setproctitle(title)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
