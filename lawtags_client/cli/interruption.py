"""Ctrl-C, SIGTERM, a closed terminal: a command stops at once, and says what its job does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from lawtags_client.errors import ConflictError, LawtagsError

if TYPE_CHECKING:
    from rich.console import Console

    from lawtags_client.client import NeMo

T = TypeVar("T")

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
HUNG_UP = 128 + signal.SIGHUP

SECOND_INTERRUPT_SECONDS = 3.0
"""Seconds within which a second Ctrl-C offers to cancel the job."""

_RESUME = "Repeat the command to resume."


class Interruptible(Protocol):
    """What an interruption needs of the command that it stops."""

    no_input: bool
    cancel_on_interrupt: bool

    @property
    def messages(self) -> Console: ...

    def report(self, text: str) -> None: ...

    def followed(self) -> str | None: ...

    def client(self, *, total_timeout: float | None = None) -> NeMo: ...


def run_interruptible(
    session: Interruptible, work: Coroutine[object, None, T], *, left_behind: str | None = None
) -> T:
    """Run async work to its end, or end the process at once on Ctrl-C, SIGTERM or SIGHUP.

    Files on disk are complete at any moment, so nothing waits for threads that are still busy.

    Args:
        session: the command.
        work: what to do.
        left_behind: what to say about files that stay on disk if it is stopped.
    """
    code = 0

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        again = asyncio.Event()

        def stop(signal_code: int) -> None:
            nonlocal code
            if code and signal_code == TERMINATED:
                os._exit(TERMINATED)
            if code:
                again.set()
            code = code or signal_code
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, stop, INTERRUPTED)
        loop.add_signal_handler(signal.SIGTERM, stop, TERMINATED)
        # Under nohup, a closed terminal must not end it.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, stop, HUNG_UP)
        try:
            return await task
        except asyncio.CancelledError:
            if not code:
                raise
            # A terminal that was closed takes no words.
            with contextlib.suppress(OSError):
                # A progress bar hides it, and has no time to bring it back.
                session.messages.show_cursor(True)
                if left_behind:
                    session.report(left_behind)
                await _leave_job(session, code, again)
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    return asyncio.run(guarded())


async def _leave_job(session: Interruptible, code: int, again: asyncio.Event) -> None:
    """Say what keeps running, and cancel the followed job if requested.

    The first Ctrl-C ends only this command; the second offers to cancel the job, too. SIGTERM never cancels
    a job, because an evicted pod resumes it elsewhere.

    Args:
        session: the command.
        code: its exit code.
        again: set by a second Ctrl-C.
    """
    job = session.followed() if code == INTERRUPTED else None
    if job is None:
        session.report(f"Interrupted. {_RESUME}")
    elif session.cancel_on_interrupt or (_has_terminal(session) and await _is_confirmed(session, job, again)):
        await _cancel(session, job)
    else:
        session.report(f"Interrupted. {job} is still running on the platform. {_RESUME}")


def _has_terminal(session: Interruptible) -> bool:
    return sys.stdin.isatty() and not session.no_input


async def _is_confirmed(session: Interruptible, job: str, again: asyncio.Event) -> bool:
    session.report(
        f"Interrupted. Press Ctrl-C again within {SECOND_INTERRUPT_SECONDS:.0f} s to cancel {job}, too."
    )
    try:
        await asyncio.wait_for(again.wait(), SECOND_INTERRUPT_SECONDS)
    except TimeoutError:
        return False
    return await _is_yes(f"Cancel {job}?", again)


async def _is_yes(question: str, interrupted: asyncio.Event) -> bool:
    """Ask on the terminal; Ctrl-C means no.

    The event loop waits for the answer, because a blocking read misses a Ctrl-C that arrives just before it.
    """
    loop = asyncio.get_running_loop()
    interrupted.clear()
    answered = asyncio.Event()
    typer.echo(f"{question} [y/N]: ", nl=False)
    loop.add_reader(sys.stdin.fileno(), answered.set)
    waits = [asyncio.ensure_future(event.wait()) for event in (answered, interrupted)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for wait in waits:
            wait.cancel()
    if interrupted.is_set():
        typer.echo()
        return False
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _cancel(session: Interruptible, job: str) -> None:
    from lawtags_client.platform.choice import cancel_training

    try:
        async with session.client(total_timeout=10.0) as nemo:
            state = await cancel_training(nemo, job)
        session.report(f"Interrupted. {job} is {state}.")
    except ConflictError:
        session.report(f"Interrupted. {job} has already ended.")
    except LawtagsError as error:
        session.report(f"Interrupted. {job} could not be cancelled and is still running: {error}")
