"""Many requests at once, as many as the server likes, none of them at another's cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from lawtags_client.errors import LawtagsError, RateLimitedError
from lawtags_client.services.inference.limiter import Limiter
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.retry import is_passing

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 8
_BACKOFF_FROM, _BACKOFF_TO = 0.25, 20.0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What became of one item.

    Args:
        row: its place, from zero.
        value: the result, unless there is an error.
        error: why there is none.
    """

    row: int
    value: R | None = None
    error: LawtagsError | None = None


async def each(
    items: Iterable[T],
    act: Callable[[T], Awaitable[R]],
    *,
    limiter: Limiter,
    clock: Clock,
    ordered: bool = False,
) -> AsyncIterator[Outcome[R]]:
    """Act on each item; an item that fails for good becomes an outcome with its error.

    Args:
        items: read only as fast as they are worked on.
        act: the request; an error that may pass is tried again, others are not.
        limiter: how many at once.
        clock: time, sleep and chance.
        ordered: outcomes in the order of the items, else as they come.
    """
    queue: Iterator[tuple[int, T]] = enumerate(items)
    running: dict[asyncio.Task[Outcome[R]], int] = {}
    held: dict[int, Outcome[R]] = {}
    following, exhausted = 0, False
    try:
        while True:
            # When order is kept, one slow item must not let finished ones pile up without end.
            while not exhausted and len(running) < limiter.limit and len(held) < 4 * limiter.limit + 16:
                entry = next(queue, None)
                if entry is None:
                    exhausted = True
                    break
                task = asyncio.create_task(_one(*entry, act, limiter, clock))
                running[task] = entry[0]
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=running.__getitem__):
                del running[task]
                outcome = task.result()
                if not ordered:
                    yield outcome
                    continue
                held[outcome.row] = outcome
            while ordered and following in held:
                yield held.pop(following)
                following += 1
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one(
    row: int, item: T, act: Callable[[T], Awaitable[R]], limiter: Limiter, clock: Clock
) -> Outcome[R]:
    backoff = _BACKOFF_FROM
    for attempt in range(1, _ATTEMPTS + 1):
        await limiter.admitted()
        begun = clock.monotonic()
        try:
            value = await act(item)
        except LawtagsError as error:
            if not is_passing(error) or attempt == _ATTEMPTS:
                return Outcome(row, error=error)
            asked = error.retry_after if isinstance(error, RateLimitedError) else None
            pause = asked if asked is not None else backoff * (0.5 + 0.5 * clock.random())
            limiter.bad(begun, pause, overloaded=error.status in (429, 503))
            backoff = min(backoff * 2, _BACKOFF_TO)
        else:
            limiter.good(begun)
            return Outcome(row, value=value)
    raise AssertionError("the last attempt returns")
