"""Work that a server may still be doing although its client no longer waits for it.

Many servers do not notice that a client hung up. What was given up still takes their time, and every further
request waits behind it and adds to it. So after a timeout one row at a time is asked for, less and less often
while nothing is answered, until an answer shows that the server is free again.
"""

from __future__ import annotations

import logging

from lawtags_client.transport.clock import Clock

# A row by itself is expected to take at most this part of the time limit, so that waiting ends at some point.
_SHARE = 0.75
# After an attempt in vain the server is left alone for this part of the time that it has been busy.
_REST = 0.25
# However much was given up: a server silent for so many times `total_timeout` will not answer any more.
_MOST = 6
# Before a server is given up, so many rows were asked for in vain: some may be at fault themselves.
_TRIES = 5

logger = logging.getLogger(__name__)


class Draining:
    """Whether a server may still be busy with what was given up.

    Args:
        clock: to measure.
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
        """Whether one row at a time is asked for."""
        return self._since is not None

    @property
    def excuses(self) -> bool:
        """Whether the server may be busy with what was given up, so that no answer says nothing of a row."""
        return self.alone and self._lasting < self._longest

    @property
    def kept(self) -> bool:
        """Whether the server was seen not to drop what was given up."""
        return self.alone and self._rows > 0 and self.tries > 0

    @property
    def rest(self) -> float:
        """Seconds for which the server is left alone."""
        if not self.kept:
            return 0.0
        # The last attempt ends about when what was given up should be done.
        left = self._longest - self._patience - self._lasting
        return max(0.0, min(_REST * self._lasting, left))

    @property
    def _lasting(self) -> float:
        return self._clock.monotonic() - self._since if self._since is not None else 0.0

    @property
    def _longest(self) -> float:
        return min(_SHARE * self._rows * self._patience, _MOST * self._total)

    def hopeless(self, retries: int, *, untried: bool) -> bool:
        """Whether everything that was given up should be done by now, and still nothing is answered.

        Args:
            retries: attempts beyond the first for each row.
            untried: whether there are rows that were not yet asked for alone.
        """
        late = self._lasting - self._longest
        tried = self.tries > (_TRIES if untried else min(self._rows, _TRIES))
        return self.alone and tried and late >= 0 and (self.tries > retries or late >= self._total)

    def is_probe(self, begun: float) -> bool:
        """Whether a request sent at this moment was sent to see whether the server is free again."""
        return self.alone and begun >= self._first

    def gave_up(self, begun: float, rows: int) -> None:
        """A request was given up, or refused.

        Args:
            begun: when it was sent.
            rows: how many rows the server may still work on; none if it was refused.
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
        """Whether the answer to a request sent at this moment shows that the server is free again."""
        if not self.alone or begun < self._last:
            return False
        self._since = None
        return True
