"""Sends many rows concurrently, at the rate that the server can take; no row is lost because of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from lawtags_client.errors import DeadlineExceededError, LawtagsError, RateLimitedError
from lawtags_client.services.inference.entries import Entry, Outcome, Request, note_split
from lawtags_client.services.inference.giving_up import (
    counts,
    is_busy,
    is_quick,
    is_refusal,
    is_slow,
    is_the_rows_own,
    leaves_work,
    may_be_chance,
)
from lawtags_client.services.inference.lanes import Lane
from lawtags_client.services.inference.outcomes import Outcomes
from lawtags_client.services.inference.pace import Allowance, Load
from lawtags_client.services.inference.source import Items
from lawtags_client.services.inference.waiting import Waiting
from lawtags_client.transport.retry import Failure, RetryPolicy, is_passing

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 1000
# Factor by which ``Limiter.admitted`` may extend a pause.
_APART = 1.1

Act = Callable[[list[T], Allowance], Awaitable[Sequence[R | LawtagsError]]]


async def each(
    items: Items[T],
    act: Act[T, R],
    *,
    lane: Lane,
    on_load: Callable[[Load], None] | None = None,
    ordered: bool = False,
) -> AsyncGenerator[Outcome[R], None]:
    """Act on each item; an item that fails permanently becomes an outcome with its error.

    A request with a retryable error is repeated: its items go to the head of the queue, and are sent as soon
    as the limit allows, possibly in smaller requests. Failures from overload, or from waiting behind
    abandoned work, do not count against an item. If a server fails at random, only the failed items wait;
    if it is overloaded, all requests wait.

    Args:
        items: read on demand; an ``AsyncIterable`` is read slightly ahead.
        act: sends one request for some items, and returns the result or the error of each.
        lane: items per request, concurrency, and timeouts.
        on_load: called with the current load whenever it changes.
        ordered: yield outcomes in the order of the items instead of as they arrive.
    """
    pool = _Pool(items, act, lane, on_load, ordered)
    try:
        while True:
            for outcome in pool.outcomes.ready():
                yield outcome
            if not await pool.advance():
                break
        for outcome in pool.outcomes.ready():
            yield outcome
    finally:
        await pool.close()


class _Pool(Generic[T, R]):
    def __init__(
        self,
        items: Items[T],
        act: Act[T, R],
        lane: Lane,
        on_load: Callable[[Load], None] | None,
        ordered: bool,
    ) -> None:
        self._act, self._on_load = act, on_load
        self._lane, self._server = lane, lane.server
        self._pace = pace = lane.pace
        self.outcomes: Outcomes[R] = Outcomes(ordered=ordered)
        self._running: dict[asyncio.Task[Sequence[R | LawtagsError]], Request[T]] = {}
        self._waiting = Waiting(items, self, lane, self.outcomes, self._running)
        self._fault: BaseException | None = None
        settings = pace.settings
        self._draining, self._outage = lane.draining, lane.outage
        self._policy = RetryPolicy(settings.max_retries, total=settings.total_timeout)
        self._flakiness = lane.server.flakiness

    async def advance(self) -> bool:
        """Send what the limit allows, then wait for a change; returns False at the end."""
        if self._fault is not None:
            raise self._fault
        self._fill()
        if not self.outcomes and (self._running or self._is_left()):
            await self._change()
            return True
        self._lane.leave(self)
        return bool(self.outcomes)

    async def _change(self) -> None:
        """Wait until another request can be sent or an outcome has arrived."""
        limiter = self._pace.limiter
        others = [asyncio.create_task(limiter.admitted())] if limiter.pause else self._waiting.changes()
        try:
            with self._server.sleeping(self) as changed:
                await asyncio.wait([changed, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in others:
                other.cancel()
        if self.outcomes:
            self._lane.leave(self)

    def _is_left(self) -> bool:
        """Whether any row is left to send, now or later."""
        if self._outage.over is not None:
            self._give_up_some(self._outage.over)
            return False
        return self._waiting.are_left()

    async def close(self) -> None:
        """Cancel the requests that are under way."""
        running = list(self._running)
        self._running.clear()
        for task in running:
            self._lane.end(task)
            task.cancel()
        self._lane.leave(self)
        self._server.wake()
        await asyncio.gather(*running, return_exceptions=True)
        await self._waiting.source.close()

    def _fill(self) -> None:
        lane = self._lane
        while not self._pace.limiter.pause:
            if not lane.has_room(self):
                lane.queue(self)
                return
            if self._outage.over is not None:
                self._give_up_some(self._outage.over)
                break
            if not (batch := self._waiting.batch()):
                break
            self._send(batch)
            lane.pass_on(self)
        lane.pass_on(self)

    def _send(self, batch: list[Entry[T]]) -> None:
        pace, rows = self._pace, len(batch) + self._server.rows
        lone_timeouts = max(entry.lone_timeouts for entry in batch)
        if self._draining.kept:
            lone_timeouts = max(lone_timeouts, self._draining.tries)
        left = max(0.001, self._policy.total - max(entry.spent for entry in batch))
        allowance = pace.allowance(rows, lone_timeouts, left)
        begun, again = pace.clock.monotonic(), all(entry.shared == len(batch) for entry in batch)
        sent = self._flakiness.sent(begun, len(batch), len(self._server.running), again=again)
        request = Request(batch, begun, pace.limiter.cuts, rows, sent)
        for entry in batch:
            entry.shared = len(batch)

        async def act() -> Sequence[R | LawtagsError]:
            return await self._act([entry.item for entry in batch], allowance)

        task = asyncio.create_task(act())
        # Measured here, because the caller may take the outcome much later.
        task.add_done_callback(self._finish)
        self._running[task] = request
        self._lane.send(task, request)
        self._tell()

    def _finish(self, task: asyncio.Task[Sequence[R | LawtagsError]]) -> None:
        request = self._running.pop(task, None)
        if request is None:
            return
        self._lane.end(task)
        try:
            self._settle(request, task)
            self._tell()
        except BaseException as fault:
            # Otherwise asyncio would only log it, and rows would go missing.
            self._fault = fault
        self._server.wake()

    def _settle(self, request: Request[T], task: asyncio.Task[Sequence[R | LawtagsError]]) -> None:
        try:
            found = task.result()
        except LawtagsError as error:
            self._fail(request, error)
            return
        self._outage.answered()
        self._flakiness.answered(request.sent)
        self._keep_to_places()
        kept = self._draining.kept
        if self._draining.answered(request.begun):
            self._pace.free_again(request.begun, request.rows, kept=kept)
        else:
            self._pace.good(request.begun, len(request.entries), request.rows)
        for entry, value in zip(request.entries, found, strict=True):
            if isinstance(value, LawtagsError):
                self.outcomes.lose(entry, value)
            else:
                self.outcomes.answer(entry, value)
                for split in entry.splits:
                    if split.answered() and not self._flakiness.takes(split.rows):
                        self._pace.too_many_rows(split.rows, always=True)

    def _fail(self, request: Request[T], error: LawtagsError) -> None:
        entries, waiting = request.entries, self._waiting
        if not is_passing(error):
            for entry in entries:
                self.outcomes.lose(entry, error)
            return
        took = self._pace.clock.monotonic() - request.begun
        request.isolated = self._is_isolated(request, error, took)
        slow = is_slow(error, took) and not request.isolated
        excused = self._draining.excuses and (slow or is_busy(error))
        unreachable = self._outage.is_unreachable(error)
        own = (is_the_rows_own(error) or is_quick(error, took)) and not (slow or unreachable)
        own = own and not (request.isolated and request.sent.crowded)
        request.own, uncounted = own, excused or (request.isolated and not own)
        alone = len(entries) == 1 or unreachable
        counted = not uncounted and counts(error, slow=slow, company=request.company, alone=alone)
        working = slow and leaves_work(error, took)
        waited = working and self._draining.is_probe(request.begun)
        if not request.isolated:
            self._give_up_on(request, error, slow=slow, working=working)
        go_on = own and self._others_go_on(request)
        if request.isolated or go_on:
            # Smaller requests are sent at once; single rows and rejected requests after a pause.
            request.pause = self._pause(request, error) if counted or not own else 0.0
            if counted and request.company > 1 and not request.isolated:
                # There may have been too many concurrent requests.
                self._pace.limiter.bad(request.begun, 0.0)
        else:
            self._slow_down(request, error, slow=slow, excused=excused, counted=counted)
        if counted:
            self._outage.failed(request.begun)
        again = self._used(request, error, took, working=working, counted=counted)
        if own and counted:
            waiting.apart.add([[entry] for entry in again if not entry.alone], request.pause)
            waiting.lone.extend(entry for entry in again if entry.alone)
        elif request.isolated and not own:
            waiting.apart.add([again] if again else [], request.pause)
        elif waited:
            # Next a different row, and not its neighbor: this row may be at fault.
            waiting.again.extend(again)
            waiting.again.rotate(-(len(waiting.again) // 3))
        else:
            waiting.again.extendleft(reversed(again))
        untried = not waiting.source.exhausted or any(not entry.lone_timeouts for entry in waiting.again)
        if (
            waited
            and self._is_silent()
            and self._draining.hopeless(self._pace.settings.max_retries, untried=untried)
        ):
            self._outage.over = error

    def _is_isolated(self, request: Request[T], error: LawtagsError, took: float) -> bool:
        """Whether a failure says nothing about other requests, because the server still accepts them."""
        chance = may_be_chance(error, took, answering=not self._outage.is_silent(request.begun - took))
        if self._draining.alone or self._outage.is_unreachable(error) or not chance:
            return False
        isolated = self._flakiness.failed(request.sent, self._server.others())
        if isolated:
            self._keep_to_places()
        return isolated

    def _keep_to_places(self) -> None:
        """Limit concurrency to what the server accepts."""
        if (places := self._flakiness.places(self._server.others())) is not None:
            self._pace.limiter.crowded(places)

    def _is_silent(self) -> bool:
        """Whether nothing was answered within the total timeout; before that, it may just fail often."""
        return self._outage.is_silent(self._pace.clock.monotonic() - self._pace.settings.total_timeout)

    def _others_go_on(self, request: Request[T]) -> bool:
        """Whether other requests can continue: the server still answers them, or there are none."""
        waiting = self._waiting
        note_split(request.entries)
        answering = self._outage.goes_on(request.begun, self._pace.limiter.limit)
        last = len(request.entries) == 1 and waiting.source.exhausted and not waiting.again
        return (answering or last) and not self._draining.alone

    def _give_up_on(self, request: Request[T], error: LawtagsError, *, slow: bool, working: bool) -> None:
        silent = not self._server.running and self._outage.is_silent(request.begun)
        if slow or (silent and is_refusal(error)):
            self._draining.gave_up(request.begun, len(request.entries) if working else 0)

    def _slow_down(
        self, request: Request[T], error: LawtagsError, *, slow: bool, excused: bool, counted: bool
    ) -> None:
        """Reduce the load, and pause until the server may be ready again."""
        entries, pace, draining = request.entries, self._pace, self._draining
        request.pause = pause = self._pause(request, error) if counted or not slow else 0.0
        if draining.is_probe(request.begun):
            pause = max(pause, draining.rest)
        if excused:
            pace.limiter.rest(pause)
        elif slow:
            sizes = [len(other.entries) for other in self._lane.running.values()]
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
        """The rows of a failed request that are retried; the others are lost."""
        entries, pause, again = request.entries, request.pause, list[Entry[T]]()
        retries = self._outage.retries
        chances = max(retries, self._flakiness.retries)
        fails_often = self._draining.alone and error.status == 502 and not self._is_silent()
        by_chance = retries > 0 and (request.isolated or fails_often) and self._flakiness.retries_help
        fits = request.isolated and self._flakiness.takes(len(entries))
        for entry in entries:
            if counted:
                entry.chances += by_chance
                entry.failures, entry.spent = entry.failures + (not by_chance), entry.spent + took
                entry.lone_timeouts += working
            too_late = entry.spent + _APART * pause >= self._policy.total
            failed_often = entry.chances > chances if by_chance else entry.failures > retries
            used_up = failed_often or too_late
            final = used_up and (counted or too_late)
            if final and not too_late and len(entries) == 1 and request.company > 1 and request.own:
                # Once more with nothing else under way, in case the server fails on concurrent requests.
                entry.alone = True
                if self._flakiness.retries_help:
                    # If rows fail by chance, one attempt says little.
                    entry.failures = entry.chances = 0
                again.append(entry)
                continue
            if final and (len(entries) == 1 or self._outage.is_unreachable(error) or too_late):
                self.outcomes.lose(entry, error)
                if request.own or not request.isolated:
                    self._outage.lost(error, slow=working)
                continue
            refused = is_refusal(error) or (request.isolated and request.sent.crowded)
            if not refused or (is_busy(error) and request.company == 1 and not fits):
                # In the end one row per request, because one of them may be the cause.
                entry.most = 1 if used_up else max(1, len(entries) // 2)
            entry.spent += _APART * pause if counted else 0.0
            again.append(entry)
        return again

    def _pause(self, request: Request[T], error: LawtagsError) -> float:
        """Seconds before the next attempt."""
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        failure = Failure(error, passing=True, retry_after=asked)
        if request.isolated and (not request.own or self._flakiness.retries_help):
            # Other answers show that the server is ready.
            return self._policy.delay(0, failure, self._pace.clock.random())
        rounds = self._outage.rounds if len(request.entries) == 1 else 0
        before = max(rounds, *(entry.failures for entry in request.entries))
        return self._policy.delay(before, failure, self._pace.clock.random())

    def _give_up_some(self, error: LawtagsError) -> None:
        """Give up part of what is left, because the source may be endless."""
        for _ in range(_AT_ONCE):
            if not (found := self._waiting.take()):
                return
            for entry in found:
                self.outcomes.lose(entry, error)

    def _tell(self) -> None:
        tell, pace, done = self._on_load, self._pace, self.outcomes
        if tell is not None:
            rows = sum(len(request.entries) for request in self._running.values())
            limit, size = pace.limiter.limit, pace.batch_size
            tell(Load(rows, len(self._running), limit, size, done.answered, done.failed))
