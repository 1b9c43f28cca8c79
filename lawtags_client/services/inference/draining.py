"""Tracks abandoned work that a server may still be doing.

Many servers do not notice that a client has disconnected. They keep working on abandoned requests, and each
further request waits behind them. After a timeout, the pool therefore sends one row at a time, less and less
often while nothing is answered, until an answer shows that the server is free again.
"""

from __future__ import annotations

import logging

from lawtags_client.transport.clock import Clock

# Expected time of a single row as a share of the timeout; it bounds the wait.
_SHARE = 0.75
# Pause after a failed probe, as a share of the time for which the server has been busy.
_REST = 0.25
# A server that is silent for this many times `total_timeout` is given up, however much was abandoned.
_MOST = 6
# Rows to try before a server is given up, because some may be at fault.
_TRIES = 5

logger = logging.getLogger(__name__)


class Draining:
    """Whether a server may still be busy with abandoned work.

    Args:
        clock: measures time.
        total: seconds that a call may take.
    """

    def __init__(self, clock: Clock, total: float) -> None:
        self._clock, self._total = clock, total
        self._since: float | None = None
        self._first = self._last = self._patience = 0.0
        self._rows = 0
        self.tries = 0

    @property
    def alone(self) -> bool:
        """Whether one row is sent at a time."""
        return self._since is not None

    @property
    def excuses(self) -> bool:
        """Whether the server may be busy with abandoned work, so that a timeout says nothing about a row."""
        return self.alone and self._lasting < self._longest

    @property
    def kept(self) -> bool:
        """Whether the server evidently keeps working on abandoned requests."""
        return self.alone and self._rows > 0 and self.tries > 0

    @property
    def rest(self) -> float:
        """Seconds for which nothing is sent."""
        if not self.kept:
            return 0.0
        # The last probe ends about when the abandoned work should be done.
        left = self._longest - self._patience - self._lasting
        return max(0.0, min(_REST * self._lasting, left))

    @property
    def _lasting(self) -> float:
        return self._clock.monotonic() - self._since if self._since is not None else 0.0

    @property
    def _longest(self) -> float:
        return min(_SHARE * self._rows * self._patience, _MOST * self._total)

    def hopeless(self, retries: int, *, untried: bool) -> bool:
        """Whether all abandoned work should be done by now, and still nothing is answered.

        Args:
            retries: attempts beyond the first for each row.
            untried: whether there are rows that were not yet sent alone.
        """
        late = self._lasting - self._longest
        tried = self.tries > (_TRIES if untried else min(self._rows, _TRIES))
        return self.alone and tried and late >= 0 and (self.tries > retries or late >= self._total)

    def is_probe(self, begun: float) -> bool:
        """Whether a request sent at this time was a probe."""
        return self.alone and begun >= self._first

    def gave_up(self, begun: float, rows: int) -> None:
        """Record an abandoned or rejected request.

        Args:
            begun: when it was sent.
            rows: rows that the server may still be working on; zero if it was rejected.
        """
        now = self._clock.monotonic()
        self._last = now
        if self.is_probe(begun):
            self.tries += 1
            if self.tries == 1 and self.excuses:
                logger.warning(
                    "no answer for %.0f s; the server may still be busy with %d rows that timed out. "
                    "Waiting for up to %.0f s more",
                    self._lasting, self._rows, self._longest - self._lasting,
                )  # fmt: skip
            return
        if self._since is None:
            self._since, self._first, self._patience, self._rows, self.tries = begun, now, 0.0, 0, 0
        self._since = min(self._since, begun)
        self._patience = max(self._patience, now - begun)
        self._rows += rows

    def answered(self, begun: float) -> bool:
        """Whether the answer to a request sent at this time shows that the server is free again."""
        if not self.alone or begun < self._last:
            return False
        self._since = None
        return True
