"""What becomes of a job on the platform when the command that follows it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.errors import ConflictError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.cli.session import Session

CancelOnInterrupt = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="On Ctrl-C, also cancel the job, without asking.")
]

SECOND_INTERRUPT_SECONDS = 3.0
"""Seconds within which a second Ctrl-C cancels the job."""

_RESUME = "Repeat the command to resume."


async def handle_interrupt(session: Session, code: int, again: asyncio.Event) -> None:
    """Say what keeps running, and cancel the followed job if requested.

    The first Ctrl-C ends only this command; the second cancels the job, too, after a prompt. SIGTERM never
    cancels a job: an evicted pod resumes it elsewhere.

    Args:
        session: the command.
        code: what it will end with.
        again: set by a second Ctrl-C.
    """
    job = session.followed() if code == 128 + signal.SIGINT else None
    if job is None:
        session.report(f"Interrupted. {_RESUME}")
    elif session.cancel_on_interrupt or (_has_terminal(session) and await _is_confirmed(session, job, again)):
        await _cancel(session, job)
    else:
        session.report(f"Interrupted. {job} is still running on the platform. {_RESUME}")


def _has_terminal(session: Session) -> bool:
    return sys.stdin.isatty() and not session.no_input


async def _is_confirmed(session: Session, job: str, again: asyncio.Event) -> bool:
    session.report(
        f"Interrupted. Press Ctrl-C again within {SECOND_INTERRUPT_SECONDS:.0f} s to cancel {job}, too."
    )
    try:
        await asyncio.wait_for(again.wait(), SECOND_INTERRUPT_SECONDS)
    except TimeoutError:
        return False
    # From here on Ctrl-C means no.
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    try:
        return session.confirm(f"Cancel {job}?")
    except (KeyboardInterrupt, typer.Abort):
        return False


async def _cancel(session: Session, job: str) -> None:
    try:
        async with session.client(total_timeout=10.0) as nemo:
            record = await nemo.customizer.cancel(job)
        session.report(f"Interrupted. {job} is {record.status}.")
    except ConflictError:
        session.report(f"Interrupted. {job} has already ended.")
    except LawtagsError as error:
        session.report(f"Interrupted. {job} could not be cancelled and is still running: {error}")
