"""Worker processes on this machine, forked from one process that has loaded what they need.

Loading the model of names takes seconds of CPU time. Here, one process loads it, while the caller is still
reading, and the workers are forked from it. A worker that is killed is replaced, and its work repeated.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.connection import Connection

Work = Callable[..., None]

_SECONDS_BETWEEN_LOOKS = 1.0
# How often in a row workers may be lost without any finished work in between.
_LOSSES = 3


class WorkerPool:
    """Worker processes, which end with this one however it ends.

    Args:
        workers: how many.

    Example::

        with WorkerPool(2) as pool:
            pool.load(load_model, ("en",))
            pool.run(write_partition, {0: ("folder",), 1: ("folder",)}, on_done=print)
    """

    def __init__(self, workers: int) -> None:
        import multiprocessing

        # Threads do not survive a fork, and this process may have some.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, workers))
        self._process.start()
        self._has_worked = False
        theirs.close()

    def load(self, function: Work, arguments: tuple[object, ...]) -> None:
        """Call a function before the workers are forked; its errors are ignored.

        Args:
            function: it leaves something in memory that later work would load.
            arguments: its arguments.
        """
        import cloudpickle

        self._send(cloudpickle.dumps((function, arguments)))

    def run(
        self, function: Work, arguments: Mapping[int, tuple[object, ...]], on_done: Callable[[int], None]
    ) -> None:
        """Call a function once per number, with the number first; it may be called again after a kill.

        Args:
            function: what to call.
            arguments: its further arguments, by number.
            on_done: called with each number that is done.

        Raises:
            LawtagsError: the function raised it, or workers keep being killed.
        """
        import cloudpickle

        self._has_worked = True
        # Options hold read-only mappings, which pickle alone refuses.
        calls = {number: cloudpickle.dumps((function, more)) for number, more in arguments.items()}
        self._send(calls)
        for _ in arguments:
            number, error = self._receive()
            if error is not None:
                raise error
            on_done(number)

    def close(self) -> None:
        """End the workers. What they are doing now is finished, so nothing is written after this."""
        if not self._has_worked:
            # It may still be loading, and has no workers yet.
            self._process.terminate()
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join()
        self._connection.close()
        self._process.close()

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise _lost() from error

    def _receive(self) -> tuple[int, BaseException | None]:
        try:
            number, error = self._connection.recv()
        except (EOFError, OSError) as gone:
            raise _lost() from gone
        return number, error

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lost() -> LawtagsError:
    return LawtagsError(
        "worker processes keep ending unexpectedly",
        hint="They may have run out of memory: use fewer workers. Repeat the command to resume.",
    )


class _Closed(Exception):
    """The caller needs no more work."""


def _serve(connection: Connection, workers: int) -> None:
    """Load what workers need, fork them, and pass work on to them, until the caller closes or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # There is a process for each core, and a process with threads should not be forked.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    loads: list[bytes] = []
    with _Workers(workers, loads) as pool, contextlib.suppress(_Closed):
        while True:
            message = _next(connection)
            if isinstance(message, bytes):
                loads.append(message)
                _load([message])
            else:
                _work(connection, pool, message)


def _next(connection: Connection) -> bytes | dict[int, bytes]:
    """The next message: a call to load something, or calls to work on, by number."""
    try:
        message: bytes | dict[int, bytes] | None = connection.recv()
    except (EOFError, OSError):
        # The caller was killed: leave at once, and the workers follow.
        os._exit(1)
    if message is None:
        raise _Closed
    return message


def _tell(connection: Connection, number: int, error: BaseException | None) -> None:
    try:
        connection.send((number, error))
    except OSError:
        # As above.
        os._exit(1)


def _work(connection: Connection, pool: _Workers, calls: Mapping[int, bytes]) -> None:
    from concurrent.futures import FIRST_COMPLETED, wait
    from concurrent.futures.process import BrokenProcessPool

    left, losses = dict(calls), 0
    while left:
        try:
            futures = {pool.open().submit(_attempt, number, call): number for number, call in left.items()}
            waiting = set(futures)
            while waiting:
                done, waiting = wait(waiting, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                for future in done:
                    error = future.result()
                    _tell(connection, futures[future], error)
                    if error is not None:
                        # The caller asks for nothing more of this; what is being done now is finished.
                        wait([each for each in waiting if not each.cancel()])
                        return
                    del left[futures[future]]
                    losses = 0
                # To learn of a caller that closes or is gone. Once it knows of all results, its next message
                # has the next calls.
                if waiting and connection.poll():
                    _next(connection)
        except BrokenProcessPool:
            pool.close()
            losses += 1
            if losses == _LOSSES:
                _tell(connection, -1, _lost())
                return


class _Workers:
    """The pool of workers, which is made when there is work, and again after one was killed."""

    def __init__(self, workers: int, loads: Sequence[bytes]) -> None:
        self._workers = workers
        self._loads = loads
        self._pool: ProcessPoolExecutor | None = None

    def open(self) -> ProcessPoolExecutor:
        """The pool; a broken one has to be closed first."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        if self._pool is None:
            # On macOS, system libraries do not survive a fork.
            forked = sys.platform == "linux"
            self._pool = ProcessPoolExecutor(
                self._workers,
                multiprocessing.get_context("fork" if forked else "spawn"),
                initializer=_begin,
                initargs=(os.getpid(), () if forked else self._loads),
            )
        return self._pool

    def close(self) -> None:
        """End the workers after what they are doing now."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _load(loads: Sequence[bytes]) -> None:
    for call in loads:
        # It recurs with the first rows, and is reported then.
        with contextlib.suppress(Exception):
            function, arguments = pickle.loads(call)
            function(*arguments)


def _attempt(number: int, call: bytes) -> BaseException | None:
    """Call a function with a number.

    Returns:
        Its error, in a form that can go to another process.
    """
    try:
        function, arguments = pickle.loads(call)
        function(number, *arguments)
    except (LawtagsError, OSError, MemoryError) as error:
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
        return RuntimeError(str(error))
    except Exception as error:
        return RuntimeError("".join(traceback.format_exception(error)))
    return None


def _begin(parent: int, loads: Sequence[bytes]) -> None:
    """Make a worker leave interrupts to the caller, and end with the process that it was forked from."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            pause.wait(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    pause = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
    _load(loads)
