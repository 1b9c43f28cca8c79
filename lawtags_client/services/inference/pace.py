"""How much a server is asked for at once, and how long it may take.

A server that shares its time among all it was asked for answers nothing in time when that is too much, and
asking for the same again is as much in vain. So a request that is not answered in time halves both the
number of requests and the number of rows in each; after good answers both grow again, as long as answers
take less than half of the time that is allowed for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from lawtags_client.errors import ConfigurationError, DeadlineExceededError
from lawtags_client.services.inference.limiter import Limiter
from lawtags_client.settings import Settings
from lawtags_client.transport.clock import Clock

T = TypeVar("T")

# Answers a request may take times as long as was seen per row; the newest one counts for this part of it.
_SLOWER, _NEWEST = 3.0, 0.3
# What was learnt about the time after which requests are cut is forgotten slowly, with every answer.
_FORGETTING = 1.01
# A batch grows where its answers take less than this part of the time that is allowed.
_BRISK = 0.25
_INSTANT = 1e-6
# A size that failed is tried again after so many times as many brisk answers as before, up to a limit.
_SELDOM = 64


@dataclass(frozen=True, slots=True)
class Load:
    """What is under way at a server.

    Args:
        rows: rows that were sent and are not answered.
        requests: in which these are.
        limit: how many requests may be under way now.
        batch_size: how many rows a request may contain now.
        answered: rows that were answered.
        failed: rows that were given up.
    """

    rows: int
    requests: int
    limit: int
    batch_size: int
    answered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """The time for one request.

    Args:
        read_timeout: seconds until the answer, or the next piece of it.
        total_timeout: seconds for all of it.
    """

    read_timeout: float
    total_timeout: float

    async def within(self, asking: Awaitable[T]) -> T:
        """The answer, with whatever else the server has to be asked before it.

        Raises:
            DeadlineExceededError: ``total_timeout`` is over.
        """
        try:
            async with asyncio.timeout(self.total_timeout):
                return await asking
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"no complete answer within {self.total_timeout:.3g} s",
                hint="Raise total_timeout.",
                service="inference",
            ) from error


class Pace:
    """How many requests of how many rows may be under way, and for how long.

    Args:
        settings: the time limits, retries and connections.
        clock: to measure.
        batch_size: most rows in a request.
        concurrency: maximum concurrency; adaptive by default.

    Raises:
        ConfigurationError: ``concurrency`` or ``batch_size`` is not a positive integer.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        batch_size: int = 1,
        concurrency: int | None = None,
    ) -> None:
        _check_positive("batch_size", batch_size)
        if concurrency is not None:
            _check_positive("concurrency", concurrency)
        self.settings = settings
        self.clock = clock
        self._longest = longest = min(settings.read_timeout, settings.total_timeout)
        if concurrency is not None:
            self.limiter = Limiter(clock, start=concurrency, fixed=True, patience=longest)
        else:
            self.limiter = Limiter(clock, most=settings.max_connections, patience=longest)
        self._most_rows = self._rows = max(1, batch_size)
        self._a_row = 0.0
        self._brisk = 0
        self._until_more = 1
        self._cut = False

    @property
    def most_rows(self) -> int:
        """The largest number of rows in a request."""
        return self._most_rows

    @property
    def batch_size(self) -> int:
        """How many rows a request may contain now."""
        return self._rows

    def one_row_each(self) -> None:
        """The server takes no more than a row in a request."""
        self._most_rows = 1
        self._resize(1)

    def allowance(self, rows: int, lone_timeouts: int, left: float) -> Allowance:
        """The time for the next request.

        What the user chose is never exceeded. Otherwise it is what was seen, three times over, where that is
        more than the default; and all that is left to a row that got no answer even by itself.

        Args:
            rows: those under way, with the request's own.
            lone_timeouts: how often its row was not answered in time though nothing else was asked for.
            left: seconds of ``total_timeout`` that are left to the row.
        """
        settings = self.settings
        if settings.is_chosen("read_timeout"):
            return Allowance(settings.read_timeout, left)
        allowed = max(settings.read_timeout, _SLOWER * self._a_row * rows, left if lone_timeouts else 0.0)
        if settings.is_chosen("total_timeout"):
            return Allowance(min(allowed, left), left)
        return Allowance(allowed, max(left, allowed))

    def good(self, begun: float, rows: int, under_way: int) -> None:
        """A request was answered.

        Args:
            begun: when it was sent.
            rows: how many it had.
            under_way: how many rows were under way when it was sent, with its own.
        """
        took, limiter = self.clock.monotonic() - begun, self.limiter
        self._learn(took, under_way)
        limiter.good(begun)
        if self._rows == self._most_rows or rows < self._rows:
            return
        self._brisk = self._brisk + 1 if took < _BRISK * limiter.patience else 0
        if self._brisk >= 2 * limiter.limit * self._until_more and limiter.settled:
            self._resize(min(self._most_rows, 2 * self._rows))

    def free_again(self, begun: float, under_way: int, *, kept: bool) -> None:
        """A row by itself was answered, after others were not.

        Args:
            begun: when it was sent.
            under_way: how many rows were under way when it was sent, with its own.
            kept: whether the server goes on with what was given up, so that every further timeout costs it as
                much as an answer.
        """
        took, limiter = self.clock.monotonic() - begun, self.limiter
        self._learn(took, under_way)
        limiter.resized()
        if kept:
            many = max(1, int(limiter.patience / 2 / max(took, _INSTANT)))
            self._resize(max(1, min(self._rows, many // limiter.limit)))
            limiter.at_most(max(1, many // self._rows))

    def _learn(self, took: float, under_way: int) -> None:
        seen, limiter = took / under_way, self.limiter
        self._a_row = seen if not self._a_row else self._a_row + _NEWEST * (seen - self._a_row)
        if not self.settings.is_chosen("read_timeout"):
            # From now on requests are allowed what they should need, so that more can be tried without harm.
            self._longest = max(self._longest, self.settings.total_timeout)
        patience = self._longest if took > limiter.patience else limiter.patience * _FORGETTING
        limiter.patience = min(self._longest, patience if self._cut else self._longest)

    def too_many_rows(self, rows: int, *, always: bool = False) -> None:
        """A server does not take so many rows in one request.

        Args:
            rows: how many.
            always: not only now, since it took all of them in smaller ones; they are tried ever more seldom.
        """
        if rows // 2 < self._rows:
            self._until_more = min(2 * self._until_more, _SELDOM) if always else self._until_more
            self._resize(max(1, rows // 2))

    def slow(self, begun: float, cuts: int, running: int, largest: int, pause: float, *, cut: bool) -> None:
        """A request was not answered in time.

        Args:
            begun: when it was sent.
            cuts: how often the number of requests had been cut then.
            running: how many requests were under way, this one included.
            largest: the rows of the largest of them.
            pause: seconds in which nothing should be sent.
            cut: not we gave it up, but the server, or a proxy, which may allow less time than we do.
        """
        self.limiter.rest(pause)
        if cut:
            self._cut = True
            self.limiter.patience = min(self.limiter.patience, self.clock.monotonic() - begun)
        if self.limiter.slow(cuts, running):
            self._resize(max(1, min(self._rows, largest) // 2))

    def _resize(self, rows: int) -> None:
        self._brisk = 0
        if rows != self._rows:
            self._rows = rows
            self.limiter.resized()


def _check_positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"{name} must be a positive integer, not {value!r}", hint="Leave it out for the default."
        )
