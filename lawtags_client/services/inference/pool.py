"""Many rows asked for at once, as many as the server likes, none of them at another's cost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

from lawtags_client.errors import ConnectionFailedError, DeadlineExceededError, LawtagsError, RateLimitedError
from lawtags_client.services.inference.apart import Apart
from lawtags_client.services.inference.draining import Draining
from lawtags_client.services.inference.entries import Entry, Outcome, Request, Split
from lawtags_client.services.inference.giving_up import (
    Outage,
    counts,
    is_busy,
    is_refusal,
    is_slow,
    is_the_rows_own,
    leaves_work,
)
from lawtags_client.services.inference.pace import Allowance, Load, Pace
from lawtags_client.services.inference.source import Items, Source
from lawtags_client.transport.retry import Failure, RetryPolicy, is_passing

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 1000
# Rows that wait to be asked for with nothing beside them; so many make the others wait.
_MOST_LONE = 16
# What ``Limiter.admitted`` may add to a pause.
_APART = 1.1

Act = Callable[[list[T], Allowance], Awaitable[Sequence[R | LawtagsError]]]


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
        self._again: deque[Entry[T]] = deque()
        self._apart: Apart[Entry[T]] = Apart(pace.clock)
        self._lone: deque[Entry[T]] = deque()
        self._running: dict[asyncio.Task[Sequence[R | LawtagsError]], Request[T]] = {}
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
        if not self._running and not self._is_left():
            return bool(self._done)
        others = [asyncio.create_task(limiter.admitted())] if limiter.pause else []
        if self._source.waiting and not limiter.pause:
            others.append(asyncio.create_task(self._source.changed()))
        if self._apart and not limiter.pause and self._has_room():
            others.append(asyncio.create_task(self._apart.is_due()))
        try:
            await asyncio.wait([*self._running, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in others:
                other.cancel()
        return True

    def _is_left(self) -> bool:
        """Whether there is something to ask for, now or later."""
        if self._outage.over is not None:
            self._give_up_some(self._outage.over)
            return False
        if not self._again and not self._apart:
            self._again.extend(self._next_batch())
        return bool(self._again or self._apart or self._lone or self._source.waiting)

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
        if any(request.entries[0].alone for request in self._running.values()):
            return False
        if self._draining.alone:
            return not any(self._draining.is_probe(request.begun) for request in self._running.values())
        return len(self._running) < self._pace.limiter.limit

    def _batch(self) -> list[Entry[T]]:
        """The items of the next request: of those to be repeated, or else new ones."""
        if self._outage.over is not None:
            self._give_up_some(self._outage.over)
            return []
        if len(self._lone) >= _MOST_LONE:
            return self._next_lone()
        # Every other time another row while nothing is answered, in case these are at fault themselves.
        if self._outage.rounds % 2 == 0 and (entry := self._apart.due()) is not None:
            return [entry]
        batch = self._next_batch() or list(filter(None, [self._apart.due()]))
        return batch or ([] if self._apart or self._source.waiting else self._next_lone())

    def _next_lone(self) -> list[Entry[T]]:
        """A row to be asked for with nothing beside it, as soon as nothing is."""
        return [self._lone.popleft()] if self._lone and not self._running else []

    def _next_batch(self) -> list[Entry[T]]:
        room, batch = 1 if self._draining.alone else self._pace.batch_size, list[Entry[T]]()
        # Every other time a row that was never asked for, in case the others are at fault themselves.
        if self._draining.kept and self._draining.tries % 2 and (entry := self._fresh()) is not None:
            return [entry]
        if self._draining.alone and (probe := self._untried()) is not None:
            return [probe]
        if self._again:
            while self._again and len(batch) < min(room, self._again[0].most):
                room = min(room, self._again[0].most)
                batch.append(self._again.popleft())
            return batch
        while len(batch) < room and (entry := self._fresh()) is not None:
            batch.append(entry)
        return batch

    def _untried(self) -> Entry[T] | None:
        """The first row that has not failed alone: the others may be at fault themselves."""
        for place, entry in enumerate(self._again):
            if not entry.lone_timeouts:
                del self._again[place]
                return entry
        return None

    def _fresh(self) -> Entry[T] | None:
        # When order is kept, one slow item must not let finished ones pile up without end.
        pace = self._pace
        many = (4 * pace.limiter.limit + 16) * pace.batch_size
        if len(self._held) >= many:
            return None
        found = self._source.take()
        return Entry(*found, most=pace.most_rows) if found is not None else None

    def _send(self, batch: list[Entry[T]]) -> None:
        rows = len(batch) + self._rows()
        lone_timeouts = max(entry.lone_timeouts for entry in batch)
        if self._draining.kept:
            lone_timeouts = max(lone_timeouts, self._draining.tries)
        left = max(0.001, self._policy.total - max(entry.spent for entry in batch))
        allowance = self._pace.allowance(rows, lone_timeouts, left)
        pace = self._pace
        request = Request(batch, pace.clock.monotonic(), pace.limiter.cuts, rows)

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
                    for split in entry.splits:
                        if split.answered():
                            self._pace.too_many_rows(split.rows, always=True)
        self._tell()

    def _fail(self, request: Request[T], error: LawtagsError) -> None:
        entries = request.entries
        if not is_passing(error):
            for entry in entries:
                self._lose(entry, error)
            return
        took = self._pace.clock.monotonic() - request.begun
        slow = is_slow(error, took)
        excused = self._draining.excuses and (slow or is_busy(error))
        own = is_the_rows_own(error) and not slow
        counted = not excused and counts(error, slow=slow, company=request.company, rows=len(entries))
        working = slow and leaves_work(error, took)
        waited = working and self._draining.is_probe(request.begun)
        self._give_up_on(request, error, slow=slow, working=working)
        if own and self._others_go_on(request):
            # Smaller requests are sent at once, and a row by itself after its pause.
            request.pause = self._pause(request, error) if counted else 0.0
            if counted and request.company > 1:
                # Perhaps there were too many requests at once.
                self._pace.limiter.bad(request.begun, 0.0)
        else:
            self._slow_down(request, error, slow=slow, excused=excused, counted=counted)
        if counted:
            self._outage.failed(request.begun)
        again = self._used(request, error, took, working=working, counted=counted)
        if own and counted:
            self._apart.add([entry for entry in again if not entry.alone], request.pause)
            self._lone.extend(entry for entry in again if entry.alone)
        elif waited:
            # Another row next, and not its neighbor: this one may be at fault itself.
            self._again.extend(again)
            self._again.rotate(-(len(self._again) // 3))
        else:
            self._again.extendleft(reversed(again))
        settings = self._pace.settings
        untried = not self._source.exhausted or any(not entry.lone_timeouts for entry in self._again)
        if waited and self._draining.hopeless(settings.max_retries, untried=untried):
            self._outage.over = error

    def _others_go_on(self, request: Request[T]) -> bool:
        """Whether a failure is none of other requests: the server still answers them, or there are none."""
        if len(request.entries) > 1:
            split = Split(len(request.entries))
            for entry in request.entries:
                entry.splits += (split,)
        answering = self._outage.goes_on(request.begun, self._pace.limiter.limit)
        last = len(request.entries) == 1 and self._source.exhausted and not self._again
        return (answering or last) and not self._draining.alone

    def _give_up_on(self, request: Request[T], error: LawtagsError, *, slow: bool, working: bool) -> None:
        silent = not self._running and self._outage.is_silent(request.begun)
        if slow or (silent and is_refusal(error)):
            self._draining.gave_up(request.begun, len(request.entries) if working else 0)

    def _slow_down(
        self, request: Request[T], error: LawtagsError, *, slow: bool, excused: bool, counted: bool
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
        self, request: Request[T], error: LawtagsError, took: float, *, working: bool, counted: bool
    ) -> list[Entry[T]]:
        """Those of a request's rows that are asked for again; the others are lost."""
        entries, pause, retries, again = request.entries, request.pause, self._outage.retries, []
        for entry in entries:
            if counted:
                entry.failures, entry.spent = entry.failures + 1, entry.spent + took
                entry.lone_timeouts += working
            too_late = entry.spent + _APART * pause >= self._policy.total
            used_up = entry.failures > retries or too_late
            final = used_up and (counted or too_late)
            if (
                final
                and not too_late
                and len(entries) == 1
                and request.company > 1
                and is_the_rows_own(error)
            ):
                # Once more with nothing beside it, in case the server fails on several requests at once.
                entry.alone = True
                again.append(entry)
                continue
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

    def _pause(self, request: Request[T], error: LawtagsError) -> float:
        """Seconds before anything is sent again."""
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        failure = Failure(error, passing=True, retry_after=asked)
        rounds = self._outage.rounds if len(request.entries) == 1 else 0
        before = max(rounds, *(entry.failures for entry in request.entries))
        return self._policy.delay(before, failure, self._pace.clock.random())

    def _lose(self, entry: Entry[T], error: LawtagsError) -> None:
        self._failed += 1
        self._done.append(Outcome(entry.row, error=error))

    def _give_up_some(self, error: LawtagsError) -> None:
        """Some of what is left, since the source may be endless."""
        for _ in range(_AT_ONCE):
            waiting = self._again or self._lone
            entry = waiting.popleft() if waiting else self._apart.take() or self._fresh()
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
