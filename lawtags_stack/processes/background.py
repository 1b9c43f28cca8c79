"""Tasks that outlive the request that started them.

A handler is cancelled at any ``await`` if its client disconnects. A state change with several steps therefore
runs in a separate task, and the handler only waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Background:
    """Background tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[object, None, T]) -> asyncio.Task[T]:
        """Start a task, and keep a reference until it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel the running tasks and wait for their cleanup."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved; the waiter may be gone


async def result_of(task: asyncio.Task[T], *, gone: type[Exception]) -> T:
    """Return the result of a task, which continues if the caller is cancelled.

    Args:
        task: the task.
        gone: raised if the task was cancelled because its owner stopped, and the caller was not.
    """
    if not task.done():
        await asyncio.wait({task})
    if task.cancelled():
        raise gone
    return task.result()
