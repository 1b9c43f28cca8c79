"""Runs a stack in the foreground until a signal or an idle timeout."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from lawtags_stack.stack import Stack, StackAddress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(
    stack: Stack, *, on_ready: Callable[[StackAddress], None], idle_timeout: float | None = None
) -> None:
    """Start a stack, and stop it on SIGINT, on SIGTERM, or when idle.

    Args:
        stack: not started yet.
        on_ready: called once all ports respond.
        idle_timeout: seconds without a request or a job after which the stack stops; ``None`` for never.

    Raises:
        LawtagsError: as ``Stack.start``.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, ended.set)
    try:
        on_ready(await stack.start())
        stack.activity.touch()
        await _until(ended, stack, idle_timeout)
    finally:
        await stack.stop()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)


async def _until(ended: asyncio.Event, stack: Stack, idle_timeout: float | None) -> None:
    if idle_timeout is None:
        await ended.wait()
        return
    while not ended.is_set():
        if stack.busy():
            stack.activity.touch()
        left = idle_timeout - stack.activity.idle_seconds()
        if left <= 0:
            return
        try:
            await asyncio.wait_for(ended.wait(), min(left, 1.0))
        except TimeoutError:
            continue
