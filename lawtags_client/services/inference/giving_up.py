"""Decides which failures count against a row, and when to give up."""

from __future__ import annotations

import math

from lawtags_client.errors import (
    ConnectionFailedError,
    DeadlineExceededError,
    LawtagsError,
    ProtocolError,
    RateLimitedError,
)
from lawtags_client.transport.clock import Clock

# An error that took this many seconds means that the server was overloaded.
_SLOW = 5.0
# A broken connection or a gateway error sooner than this has left no work at the server.
_AT_WORK = 1.0
# The other rows are given up if this many rows were lost and nothing was answered within the total timeout,
# or if nothing was ever answered and the first row was rejected for good.
_ROWS = 5
# Failures between two answers, beyond which a server counts as not answering, if the limit is not higher.
_IN_A_ROW = 16


def is_slow(error: LawtagsError, took: float) -> bool:
    """Whether a request failed because it took too long, at the server or on the way.

    Args:
        error: the retryable error.
        took: seconds until the failure.
    """
    if isinstance(error, ConnectionFailedError | ProtocolError | RateLimitedError):
        return False
    # A proxy with any timeout may have cut the connection.
    return error.status in (None, 408, 502, 504) or took >= _SLOW


def is_quick(error: LawtagsError, took: float) -> bool:
    """Whether a gateway failed or a connection broke before the server can have started.

    Args:
        error: why it failed.
        took: seconds until it did.
    """
    broke = error.status in (None, 502, 504) and not isinstance(error, ConnectionFailedError | ProtocolError)
    return broke and not leaves_work(error, took)


def may_be_chance(error: LawtagsError, took: float, *, answering: bool) -> bool:
    """Whether a single replica may have failed while the others answer.

    Args:
        error: the retryable error.
        took: seconds until the failure.
        answering: whether others were answered within twice that time.
    """
    if isinstance(error, ConnectionFailedError):
        return False
    # A gateway may take long to report a broken replica.
    broken = answering and error.status == 502
    return broken or is_quick(error, took) or not is_slow(error, took)


def leaves_work(error: LawtagsError, took: float) -> bool:
    """Whether the server may still be working on a request that timed out.

    Args:
        error: why it failed.
        took: seconds until it did.
    """
    return isinstance(error, DeadlineExceededError) or took >= _AT_WORK


def is_refusal(error: LawtagsError) -> bool:
    """Whether the server did not accept the request, regardless of its content."""
    return isinstance(error, ConnectionFailedError) or is_busy(error)


def is_busy(error: LawtagsError) -> bool:
    """Whether the server reported that it is overloaded."""
    return isinstance(error, RateLimitedError) or error.status == 503


def is_the_rows_own(error: LawtagsError) -> bool:
    """Whether a failure says nothing about other rows."""
    return isinstance(error, ProtocolError) or error.status == 500


def is_foreign(error: LawtagsError) -> bool:
    """Whether something else answered, such as a login page or a proxy."""
    return isinstance(error, ProtocolError) and error.status is not None


def counts(error: LawtagsError, *, slow: bool, company: int, alone: bool) -> bool:
    """Whether a failure counts against its rows, instead of being caused by load.

    Args:
        error: the retryable error.
        slow: whether it took too long.
        company: concurrent requests, including this one.
        alone: whether it had one row, or no row can be the cause.
    """
    if slow or is_busy(error):
        return company == 1 and alone
    # Any one of several rows may be the cause.
    return alone


class Outage:
    """Decides how long to wait for a server that has stopped answering.

    Args:
        retries: attempts beyond the first for each row.
        total: seconds that a call may take.
        clock: to measure.
    """

    def __init__(self, retries: int, total: float, clock: Clock) -> None:
        self._retries, self._total, self._clock = retries, total, clock
        self._last_answer: float | None = None
        self._since: float | None = None
        self._lost = self._lost_alone = self._in_a_row = self._rounds = 0
        self._round_ended = -math.inf
        self._unreachable = False
        self.over: LawtagsError | None = None

    @property
    def retries(self) -> int:
        """Retries for a row that fails now: none once the server has had enough time."""
        return 0 if self._unreachable or self._lasting >= self._total else self._retries

    @property
    def rounds(self) -> int:
        """Consecutive waits for a failing server without an answer."""
        return max(0, self._rounds - 1)

    @property
    def _lasting(self) -> float:
        return self._clock.monotonic() - self._since if self._since is not None else 0.0

    def answered(self) -> None:
        """Record an answer."""
        self._last_answer, self._since = self._clock.monotonic(), None
        self._lost = self._lost_alone = self._in_a_row = self._rounds = 0

    def is_unreachable(self, error: LawtagsError) -> bool:
        """Whether the request did not reach the service."""
        never = self._last_answer is None
        return isinstance(error, ConnectionFailedError) or (never and is_foreign(error))

    def is_silent(self, begun: float) -> bool:
        """Whether nothing was answered since this time."""
        return self._last_answer is None or self._last_answer < begun

    def failed(self, begun: float) -> None:
        """Record the failure of a request that was sent at this time."""
        self._since = begun if self._since is None else self._since

    def goes_on(self, begun: float, limit: int) -> bool:
        """Whether the server still answers requests other than one that has just failed.

        Args:
            begun: when the failed request was sent.
            limit: current concurrency.
        """
        self._in_a_row += 1
        if self._last_answer is not None and self._in_a_row <= max(limit, _IN_A_ROW):
            return True
        if begun > self._round_ended:
            self._rounds, self._round_ended = self._rounds + 1, self._clock.monotonic()
        return False

    def lost(self, error: LawtagsError, *, slow: bool) -> None:
        """Record a lost row.

        Args:
            error: the reason.
            slow: whether the server took too long, which the row itself may have caused.
        """
        own = is_the_rows_own(error)
        self._lost, self._lost_alone = self._lost + (not own), self._lost_alone + own
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        # A server that reports itself not ready may be starting; an unreachable one reports nothing.
        refused = not own and not slow and error.status is None
        never = self._last_answer is None and (refused or is_foreign(error))
        self._unreachable |= never
        for_long = self._lost + self._lost_alone >= _ROWS and self._lasting > self._total
        if never or for_long or (asked or 0.0) > self._total:
            self.over = error
