"""Many rows asked for at once, as many as the server likes, none of them at another's cost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lawtags_client.errors import ConnectionFailedError, DeadlineExceededError, LawtagsError, RateLimitedError
from lawtags_client.services.inference.draining import Draining
from lawtags_client.services.inference.giving_up import (
    Outage,
    counts,
    is_busy,
    is_refusal,
    is_slow,
    leaves_work,
)
from lawtags_client.services.inference.pace import Allowance, Load, Pace
from lawtags_client.services.inference.source import Items, Source
from lawtags_client.transport.retry import Failure, RetryPolicy, is_passing

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 1000
# What ``Limiter.admitted`` may add to a pause.
_APART = 1.1

Act = Callable[[list[T], Allowance], Awaitable[Sequence[R | LawtagsError]]]


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


@dataclass(slots=True)
class _Entry(Generic[T]):
    """An item and what it went through.

    Args:
        row: its place.
        item: itself.
        most: with how many others it may share a request.
        failures: attempts that failed and count.
        spent: seconds that went into these.
        lone_timeouts: attempts that got no answer in time though nothing else was asked for.
    """

    row: int
    item: T
    most: int
    failures: int = 0
    spent: float = 0.0
    lone_timeouts: int = 0


@dataclass(slots=True)
class _Request(Generic[T]):
    """A request under way.

    Args:
        entries: its items.
        begun: when it was sent.
        cuts: how often the number of requests had been cut then.
        rows: how many rows were under way then, with its own.
        company: the most requests that were under way at the same time, this one included.
        pause: seconds to wait after it failed.
    """

    entries: list[_Entry[T]]
    begun: float
    cuts: int
    rows: int
    company: int = 1
    pause: float = 0.0


async def each(
    items: Items[T], act: Act[T, R], *, pace: Pace, ordered: bool = False
) -> AsyncGenerator[Outcome[R], None]:
    """Act on each item; an item that fails for good becomes an outcome with its error.

    A request whose error may pass is repeated, in its turn: its items go to the head of the queue, and are
    sent when there is a place under the limit of that moment, perhaps in smaller requests. What failed
    because too much was asked for at once, or waited behind work that was given up, is no failure of theirs.

    Args:
        items: read only as they are sent; an ``AsyncIterable`` a little ahead.
        act: one request for some items, with the result or the error of each.
        pace: how many items a request, how many requests at once, and how long.
        ordered: outcomes in the order of the items, else as they come.
    """
    pool = _Pool(items, act, pace, ordered)
    try:
        while True:
            for outcome in pool.ready():
                yield outcome
            if not await pool.advance():
                break
        for outcome in pool.ready():
            yield outcome
    finally:
        await pool.close()


class _Pool(Generic[T, R]):
    def __init__(self, items: Items[T], act: Act[T, R], pace: Pace, ordered: bool) -> None:
        self._source = Source(items)
        self._act, self._pace, self._ordered = act, pace, ordered
        self._again: deque[_Entry[T]] = deque()
        self._running: dict[asyncio.Task[Sequence[R | LawtagsError]], _Request[T]] = {}
        self._held: dict[int, Outcome[R]] = {}
        self._done: deque[Outcome[R]] = deque()
        self._following = self._answered = self._failed = 0
        self._fault: BaseException | None = None
        settings = pace.settings
        self._draining = Draining(pace.clock, settings.total_timeout)
        self._outage = Outage(settings.max_retries, settings.total_timeout, pace.clock)
        self._policy = RetryPolicy(settings.max_retries, total=settings.total_timeout)

    def ready(self) -> Iterator[Outcome[R]]:
        """The outcomes that may be given out now."""
        while self._done:
            outcome = self._done.popleft()
            if self._ordered:
                self._held[outcome.row] = outcome
            else:
                yield outcome
        while self._following in self._held:
            yield self._held.pop(self._following)
            self._following += 1

    async def advance(self) -> bool:
        """Send what may be sent, and wait until something has changed; False at the end."""
        if self._fault is not None:
            raise self._fault
        self._fill()
        if self._done:
            return True
        limiter = self._pace.limiter
        if not self._running:
            batch = self._batch()
            self._again.extendleft(reversed(batch))
            if batch:
                await limiter.admitted()
            elif not self._done and self._source.waiting:
                await self._source.changed()
                return True
            return bool(batch or self._done)
        others = [asyncio.create_task(limiter.admitted())] if limiter.pause else []
        if self._source.waiting and not limiter.pause:
            others.append(asyncio.create_task(self._source.changed()))
        try:
            await asyncio.wait([*self._running, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in others:
                other.cancel()
        return True

    async def close(self) -> None:
        """Hang up on what is under way."""
        running, self._running = list(self._running), {}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._source.close()

    # Sending

    def _fill(self) -> None:
        limiter = self._pace.limiter
        while not limiter.pause and self._has_room() and (batch := self._batch()):
            self._send(batch)

    def _has_room(self) -> bool:
        if self._draining.alone:
            return not any(self._draining.is_probe(request.begun) for request in self._running.values())
        return len(self._running) < self._pace.limiter.limit

    def _batch(self) -> list[_Entry[T]]:
        """The items of the next request: of those to be repeated, or else new ones."""
        if self._outage.over is not None:
            self._give_up_some(self._outage.over)
            return []
        room, batch = 1 if self._draining.alone else self._pace.batch_size, list[_Entry[T]]()
        # Every other time a row that was never asked for, in case the others are at fault themselves.
        if self._draining.kept and self._draining.tries % 2 and (entry := self._fresh()) is not None:
            return [entry]
        if self._again:
            while self._again and len(batch) < min(room, self._again[0].most):
                room = min(room, self._again[0].most)
                batch.append(self._again.popleft())
            return batch
        while len(batch) < room and (entry := self._fresh()) is not None:
            batch.append(entry)
        return batch

    def _fresh(self) -> _Entry[T] | None:
        # When order is kept, one slow item must not let finished ones pile up without end.
        pace = self._pace
        many = (4 * pace.limiter.limit + 16) * pace.batch_size
        if len(self._held) >= many:
            return None
        found = self._source.take()
        return _Entry(*found, most=pace.most_rows) if found is not None else None

    def _send(self, batch: list[_Entry[T]]) -> None:
        rows = len(batch) + self._rows()
        lone_timeouts = max(entry.lone_timeouts for entry in batch)
        if self._draining.kept:
            lone_timeouts = max(lone_timeouts, self._draining.tries)
        left = max(0.001, self._policy.total - max(entry.spent for entry in batch))
        allowance = self._pace.allowance(rows, lone_timeouts, left)
        pace = self._pace
        request = _Request(batch, pace.clock.monotonic(), pace.limiter.cuts, rows)

        async def act() -> Sequence[R | LawtagsError]:
            return await self._act([entry.item for entry in batch], allowance)

        task = asyncio.create_task(act())
        # Not when its outcome is taken: until then, time may have passed that the server did not need.
        task.add_done_callback(self._finish)
        self._running[task] = request
        for running in self._running.values():
            running.company = max(running.company, len(self._running))
        self._tell()

    # What became of it

    def _finish(self, task: asyncio.Task[Sequence[R | LawtagsError]]) -> None:
        request = self._running.pop(task, None)
        if request is None:
            return
        try:
            found = task.result()
        except LawtagsError as error:
            self._fail(request, error)
        except BaseException as fault:
            self._fault = fault
            return
        else:
            self._outage.answered()
            kept = self._draining.kept
            if self._draining.answered(request.begun):
                self._pace.free_again(request.begun, request.rows, kept=kept)
            else:
                self._pace.good(request.begun, len(request.entries), request.rows)
            for entry, value in zip(request.entries, found, strict=True):
                if isinstance(value, LawtagsError):
                    self._lose(entry, value)
                else:
                    self._answered += 1
                    self._done.append(Outcome(entry.row, value=value))
        self._tell()

    def _fail(self, request: _Request[T], error: LawtagsError) -> None:
        entries = request.entries
        if not is_passing(error):
            for entry in entries:
                self._lose(entry, error)
            return
        took = self._pace.clock.monotonic() - request.begun
        slow = is_slow(error, took)
        excused = self._draining.excuses and (slow or is_busy(error))
        counted = not excused and counts(error, slow=slow, company=request.company, rows=len(entries))
        working = slow and leaves_work(error, took)
        waited = working and self._draining.is_probe(request.begun)
        self._give_up_on(request, error, slow=slow, working=working)
        self._slow_down(request, error, slow=slow, excused=excused, counted=counted)
        if counted:
            self._outage.failed(request.begun)
        again = self._used(request, error, took, working=working, counted=counted)
        if waited:
            # Another row next, and not its neighbor: this one may be at fault itself.
            self._again.extend(again)
            self._again.rotate(-(len(self._again) // 3))
        else:
            self._again.extendleft(reversed(again))
        settings = self._pace.settings
        if waited and self._draining.hopeless(settings.max_retries):
            self._outage.over = error

    def _give_up_on(self, request: _Request[T], error: LawtagsError, *, slow: bool, working: bool) -> None:
        silent = not self._running and self._outage.is_silent(request.begun)
        if slow or (silent and is_refusal(error)):
            self._draining.gave_up(request.begun, len(request.entries) if working else 0)

    def _slow_down(
        self, request: _Request[T], error: LawtagsError, *, slow: bool, excused: bool, counted: bool
    ) -> None:
        """Ask for less, and not before the server may be ready for it."""
        entries, pace, draining = request.entries, self._pace, self._draining
        request.pause = pause = self._pause(request, error) if counted or not slow else 0.0
        if draining.is_probe(request.begun):
            pause = max(pause, draining.rest)
        if excused:
            pace.limiter.rest(pause)
        elif slow:
            sizes = [len(other.entries) for other in self._running.values()]
            largest = max([len(entries), *sizes])
            cut = not isinstance(error, DeadlineExceededError)
            pace.slow(request.begun, request.cuts, request.company, largest, pause, cut=cut)
        else:
            pace.limiter.bad(request.begun, pause, overloaded=error.status in (429, 503))
            if is_busy(error) and request.company == 1:
                pace.too_many_rows(len(entries))

    def _used(
        self, request: _Request[T], error: LawtagsError, took: float, *, working: bool, counted: bool
    ) -> list[_Entry[T]]:
        """Those of a request's rows that are asked for again; the others are lost."""
        entries, pause, retries, again = request.entries, request.pause, self._outage.retries, []
        for entry in entries:
            if counted:
                entry.failures, entry.spent = entry.failures + 1, entry.spent + took
                entry.lone_timeouts += working
            too_late = entry.spent + _APART * pause >= self._policy.total
            used_up = entry.failures > retries or too_late
            final = used_up and (counted or too_late)
            if final and (len(entries) == 1 or isinstance(error, ConnectionFailedError) or too_late):
                self._lose(entry, error)
                self._outage.lost(error, slow=working)
                continue
            if not is_refusal(error) or (is_busy(error) and request.company == 1):
                # Each by itself in the end, since one of them may be the reason.
                entry.most = 1 if used_up else max(1, len(entries) // 2)
            entry.spent += _APART * pause if counted else 0.0
            again.append(entry)
        return again

    def _pause(self, request: _Request[T], error: LawtagsError) -> float:
        """Seconds before anything is sent again."""
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        failure = Failure(error, passing=True, retry_after=asked)
        before = max(entry.failures for entry in request.entries)
        return self._policy.delay(before, failure, self._pace.clock.random())

    def _lose(self, entry: _Entry[T], error: LawtagsError) -> None:
        self._failed += 1
        self._done.append(Outcome(entry.row, error=error))

    def _give_up_some(self, error: LawtagsError) -> None:
        """Some of what is left, since the source may be endless."""
        for _ in range(_AT_ONCE):
            entry = self._again.popleft() if self._again else self._fresh()
            if entry is None:
                return
            self._lose(entry, error)

    def _rows(self) -> int:
        return sum(len(request.entries) for request in self._running.values())

    def _tell(self) -> None:
        tell, pace = self._pace.on_load, self._pace
        if tell is not None:
            limit, size = pace.limiter.limit, pace.batch_size
            tell(Load(self._rows(), len(self._running), limit, size, self._answered, self._failed))
