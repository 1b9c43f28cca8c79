"""Tasks that outlive the request that started them.

A handler is cancelled at any ``await`` when its client hangs up. A change of state that takes more than one
step therefore runs in a task of its own, which the handler only waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Background:
    """The tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[object, None, T]) -> asyncio.Task[T]:
        """Start a task and keep it alive until it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel what is running and wait until it has cleaned up."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may be gone, and asyncio would complain


async def result_of(task: asyncio.Task[T], *, gone: type[Exception]) -> T:
    """The result of a task, which goes on when the caller is cancelled.

    Args:
        task: the task.
        gone: raised where the task was cancelled, by the end of its owner, and the caller was not.
    """
    if not task.done():
        await asyncio.wait({task})
    if task.cancelled():
        raise gone
    return task.result()
