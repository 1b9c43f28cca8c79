"""Whether, when and how often a request is tried again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lawtags_client.errors import (
    APIError,
    ConnectionFailedError,
    LawtagsError,
    TransportError,
)
from lawtags_client.transport.clock import Clock

# 501 and the like are decided answers; these may be different a moment later.
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(slots=True)
class Failure:
    """One attempt that failed.

    Args:
        error: what will be raised if it is the last.
        passing: it may go away by itself.
        processed: the server may have acted on the request.
        retry_after: seconds the server asked for.
        told: the server's own word on a retry, from ``x-should-retry``.
    """

    error: LawtagsError
    passing: bool
    processed: bool = True
    retry_after: float | None = None
    told: bool | None = None


class AttemptFailed(Exception):
    """Carries a failure out of an attempt; never leaves this room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.error))
        self.failure = failure


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient one call is.

    Args:
        max_retries: attempts beyond the first.
        base: seconds before the first retry; doubled each time.
        longest: no delay of our own is longer.
        total: seconds for the whole call, delays included.
    """

    max_retries: int = 4
    base: float = 0.5
    longest: float = 8.0
    total: float = 300.0

    def delay(self, retry: int, failure: Failure, chance: float) -> float:
        """Seconds before a retry: backoff with jitter, never sooner than the server asked.

        Args:
            retry: its number, from zero.
            failure: the attempt before it.
            chance: from 0 up to 1.
        """
        # Beyond 2**30 the exponent only costs time: the result is capped anyway.
        backoff = min(self.base * 2.0 ** min(retry, 30), self.longest) * (0.5 + 0.5 * chance)
        if failure.retry_after is None or failure.retry_after <= 0:
            return backoff
        return failure.retry_after + backoff * 0.5


class RetryBudget:
    """Tokens that retries cost and successes earn back, so that an outage does not become a storm.

    Args:
        capacity: tokens at the start, and the most there can be.
        cost: of a retry.
    """

    def __init__(self, capacity: float = 100.0, cost: float = 5.0) -> None:
        self.capacity = capacity
        self.cost = cost
        self.tokens = capacity

    def take(self) -> bool:
        """Pay for a retry; False if there is not enough left."""
        if self.tokens < self.cost:
            return False
        self.tokens -= self.cost
        return True

    def earn(self, retried: bool) -> None:
        """Book a success: a retry that helped is paid back whole."""
        self.tokens = min(self.capacity, self.tokens + (self.cost if retried else 1.0))


def _may_retry(failure: Failure, *, repeatable: bool) -> bool:
    """Whether another attempt is right, given that there is time and budget for one.

    Args:
        failure: the attempt before.
        repeatable: doing it twice is the same as doing it once.
    """
    if not repeatable:
        # Only where it is certain that nothing happened: no connection, or the server said "not now".
        return not failure.processed and failure.passing and failure.told is not False
    if failure.told is not None:
        return failure.told
    return failure.passing


def status_may_pass(status: int) -> bool:
    """Whether an error status may be gone a moment later."""
    return status in _PASSING_STATUS


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` as a number or a date.

    Returns:
        None where there is none or it makes no sense; zero where its moment has passed.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (TypeError, ValueError, LookupError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Attempts:
    """The attempts of one call: how long each may take, and whether there is another.

    Args:
        policy: how patient.
        budget: shared by all calls of a client.
        clock: time, sleep and chance.
        repeatable: doing it twice is the same as doing it once.
    """

    def __init__(self, policy: RetryPolicy, budget: RetryBudget, clock: Clock, *, repeatable: bool) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._repeatable = repeatable
        self._deadline = clock.monotonic() + policy.total
        self.retries = 0

    @property
    def left(self) -> float:
        """Seconds left for the whole call."""
        return self._deadline - self._clock.monotonic()

    def succeeded(self) -> None:
        """Book a success."""
        self._budget.earn(retried=self.retries > 0)

    async def failed(self, failure: Failure, cause: BaseException | None) -> None:
        """Wait until the next attempt is due.

        Args:
            failure: the attempt before it.
            cause: what it was made of.

        Raises:
            LawtagsError: the failure's, where trying again is wrong, or the time, the retries or the budget
                are used up.
        """
        if not _may_retry(failure, repeatable=self._repeatable):
            raise failure.error from cause
        delay = self._policy.delay(self.retries, failure, self._clock.random())
        if self.retries >= self._policy.max_retries or delay >= self.left or not self._budget.take():
            raise failure.error from cause
        self.retries += 1
        await self._clock.sleep(delay)


def is_passing(error: LawtagsError) -> bool:
    """Whether an error may be gone later, for loops that outlive single calls."""
    if isinstance(error, APIError):
        return error.status is not None and status_may_pass(error.status)
    if isinstance(error, ConnectionFailedError):
        return error.passing
    return isinstance(error, TransportError)
