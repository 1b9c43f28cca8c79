"""Where a pool takes its items from: at once, or from what makes them while others are under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import chain, islice
from typing import Generic, TypeAlias, TypeVar

from lawtags_client.closing import closing

T = TypeVar("T")
R = TypeVar("R")

Items: TypeAlias = Iterable[T] | AsyncIterable[T]

# Enough to fill the next requests while the last ones are answered, and little to lose by hanging up.
_AHEAD = 64


class Source(Generic[T]):
    """Items with their places, from zero.

    Those of an ``AsyncIterable`` are read ahead by a task of their own, from the first :meth:`take` on.

    Args:
        items: read as they are needed.
    """

    def __init__(self, items: Items[T]) -> None:
        self._rows = 0
        self._exhausted = False
        self._error: BaseException | None = None
        self._ready: deque[T] = deque()
        self._changed, self._room = asyncio.Event(), asyncio.Event()
        self._items: Iterator[T] | None = None
        self._later: AsyncIterable[T] | None = None
        self._reader: asyncio.Task[None] | None = None
        if isinstance(items, AsyncIterable):
            self._later = items
        else:
            self._items = iter(items)

    @property
    def waiting(self) -> bool:
        """Whether there is nothing to take now, and may be later."""
        return self._later is not None and not self._ready and not self._exhausted

    @property
    def exhausted(self) -> bool:
        """Whether everything was taken."""
        return self._exhausted and not self._ready

    def take(self) -> tuple[int, T] | None:
        """The next item with its place, if it is there.

        Raises:
            BaseException: what the items raised when they were read.
        """
        if self._later is not None:
            return self._take_read(self._later)
        for item in islice(self._items or (), 1):
            self._rows += 1
            return self._rows - 1, item
        self._exhausted = True
        return None

    async def changed(self) -> None:
        """Wait until there is an item, or it is known that there is none."""
        if self.waiting and self._error is None:
            self._changed.clear()
        await self._changed.wait()

    async def close(self) -> None:
        """Read no further."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _take_read(self, items: AsyncIterable[T]) -> tuple[int, T] | None:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(items))
        if not self._ready:
            if self._error is not None:
                raise self._error
            if not self._exhausted:
                self._changed.clear()
            return None
        self._room.set()
        self._rows += 1
        return self._rows - 1, self._ready.popleft()

    async def _read(self, items: AsyncIterable[T]) -> None:
        try:
            async for item in items:
                self._ready.append(item)
                self._changed.set()
                while len(self._ready) >= _AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self._error = error
        finally:
            self._exhausted = True
            self._changed.set()
            if isinstance(items, AsyncGenerator):
                await items.aclose()


async def first_of(items: Items[T]) -> tuple[T | None, Items[T]]:
    """The first item, if there is one, and all items with it."""
    if isinstance(items, AsyncIterable):
        later = aiter(items)
        async for first in later:
            return first, _with_first(first, later)
        return None, ()
    iterator = iter(items)
    for first in iterator:
        return first, chain([first], iterator)
    return None, ()


async def _with_first(first: T, others: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    async with closing(others):
        yield first
        async for item in others:
            yield item


async def made_in_thread(
    items: Items[T], make: Callable[[list[T]], list[R]], size: int
) -> AsyncGenerator[R, None]:
    """What is made of items, some at a time, in a thread: the event loop goes on meanwhile.

    Args:
        items: read in the event loop.
        make: called with up to ``size`` items.
        size: items per call.
    """
    async with aclosing(_batches(items, size)) as batches:
        async for batch in batches:
            for made in await asyncio.to_thread(make, batch):
                yield made


async def _batches(items: Items[T], size: int) -> AsyncGenerator[list[T], None]:
    if not isinstance(items, AsyncIterable):
        source = iter(items)
        while batch := list(islice(source, size)):
            yield batch
        return
    batch = []
    async with closing(items):
        async for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch
