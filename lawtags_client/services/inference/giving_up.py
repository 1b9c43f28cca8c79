"""Which failures are a row's own, and when it is given up."""

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

# A server that says that it failed, and took so many seconds for it, had too much to do.
_SLOW = 5.0
# A connection that breaks, or a gateway that complains, sooner than this has kept no server busy.
_AT_WORK = 1.0
# Where so many rows were lost and nothing was answered since, for as long as a call may take, the others are
# not asked for any more; nor are they where the first is refused for good and nothing was ever answered.
_ROWS = 5
# A server that still answers may fail so often, or as often as requests are under way, between two answers.
_IN_A_ROW = 16


def is_slow(error: LawtagsError, took: float) -> bool:
    """Whether a request failed since it took too long, for the server or for something on the way.

    Args:
        error: why it failed; one that may pass.
        took: seconds until it did.
    """
    if isinstance(error, ConnectionFailedError | ProtocolError | RateLimitedError):
        return False
    # A connection that breaks may have been cut by a proxy, after whatever time that allows.
    return error.status in (None, 408, 502, 504) or took >= _SLOW


def is_quick(error: LawtagsError, took: float) -> bool:
    """Whether a gateway complained, or a connection broke, before the server can have been at work.

    Args:
        error: why it failed.
        took: seconds until it did.
    """
    broke = error.status in (None, 502, 504) and not isinstance(error, ConnectionFailedError | ProtocolError)
    return broke and not leaves_work(error, took)


def may_be_chance(error: LawtagsError, took: float, *, answering: bool) -> bool:
    """Whether one of several replicas may fail so, while the others answer.

    Args:
        error: why a request failed; one that may pass.
        took: seconds until it did.
        answering: whether others were answered in the last twice as many seconds.
    """
    if isinstance(error, ConnectionFailedError):
        return False
    # A gateway may take long to tell that one replica is broken.
    broken = answering and error.status == 502
    return broken or is_quick(error, took) or not is_slow(error, took)


def leaves_work(error: LawtagsError, took: float) -> bool:
    """Whether the server may still be at work on a request that failed since it took too long.

    Args:
        error: why it failed.
        took: seconds until it did.
    """
    return isinstance(error, DeadlineExceededError) or took >= _AT_WORK


def is_refusal(error: LawtagsError) -> bool:
    """Whether the server did not take the request at all, whatever was in it."""
    return isinstance(error, ConnectionFailedError) or is_busy(error)


def is_busy(error: LawtagsError) -> bool:
    """Whether the server said that it has too much to do."""
    return isinstance(error, RateLimitedError) or error.status == 503


def is_the_rows_own(error: LawtagsError) -> bool:
    """Whether a failure says nothing about other rows."""
    return isinstance(error, ProtocolError) or error.status == 500


def is_foreign(error: LawtagsError) -> bool:
    """Whether something other than the service answered, such as the page of a login or a proxy."""
    return isinstance(error, ProtocolError) and error.status is not None


def counts(error: LawtagsError, *, slow: bool, company: int, alone: bool) -> bool:
    """Whether a failure is one of the rows' own, rather than of too much at once.

    Args:
        error: why the request failed; one that may pass.
        slow: it took too long.
        company: how many requests were under way at the same time, this one included.
        alone: it had one row, or no row can be the reason.
    """
    if slow or is_busy(error):
        return company == 1 and alone
    # Of several rows, any one may be the reason.
    return alone


class Outage:
    """How patient to be with a server that answers nothing any more.

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
        """Attempts beyond the first for a row that fails now: none once a server was given time enough."""
        return 0 if self._unreachable or self._lasting >= self._total else self._retries

    @property
    def rounds(self) -> int:
        """How often in a row everybody waited in vain for a server that fails."""
        return max(0, self._rounds - 1)

    @property
    def _lasting(self) -> float:
        return self._clock.monotonic() - self._since if self._since is not None else 0.0

    def answered(self) -> None:
        """The server answers."""
        self._last_answer, self._since = self._clock.monotonic(), None
        self._lost = self._lost_alone = self._in_a_row = self._rounds = 0

    def is_unreachable(self, error: LawtagsError) -> bool:
        """Whether a failure says that the service itself was not reached."""
        never = self._last_answer is None
        return isinstance(error, ConnectionFailedError) or (never and is_foreign(error))

    def is_silent(self, begun: float) -> bool:
        """Whether nothing was answered since this moment."""
        return self._last_answer is None or self._last_answer < begun

    def failed(self, begun: float) -> None:
        """A request failed that was sent at this moment."""
        self._since = begun if self._since is None else self._since

    def goes_on(self, begun: float, limit: int) -> bool:
        """Whether the server still answers other requests than one that failed now.

        Args:
            begun: when that was sent.
            limit: how many are sent at once.
        """
        self._in_a_row += 1
        if self._last_answer is not None and self._in_a_row <= max(limit, _IN_A_ROW):
            return True
        if begun > self._round_ended:
            self._rounds, self._round_ended = self._rounds + 1, self._clock.monotonic()
        return False

    def lost(self, error: LawtagsError, *, slow: bool) -> None:
        """A row was given up.

        Args:
            error: why.
            slow: the server took too long, for which the row itself may be the reason.
        """
        own = is_the_rows_own(error)
        self._lost, self._lost_alone = self._lost + (not own), self._lost_alone + own
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        # A server that says that it is not ready may be starting; one that cannot be reached says nothing.
        refused = not own and not slow and error.status is None
        never = self._last_answer is None and (refused or is_foreign(error))
        self._unreachable |= never
        for_long = self._lost + self._lost_alone >= _ROWS and self._lasting > self._total
        if never or for_long or (asked or 0.0) > self._total:
            self.over = error
