"""Tells a server that fails at random from one that is overloaded.

Behind one address there may be many replicas, some of which are busy or broken. Their failures say nothing
about the other replicas: the failed request waits for its own retry, and all others continue. A server is
overloaded if it answers nothing between many failures, and has accepted nothing that is still under way. It
has too many requests if it refuses only those that were sent beside more than it recently answered.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

# At a server that fails on every other request, one in 1,024 runs of failures is as long.
_RUN = 10
# Answers that are remembered, and attempts after the first.
_RECENT, _RETRIES = 32, 32
# As many failures beside more requests than were answered are no chance: fewer requests must be sent.
_CROWDED = 3
_MOSTLY = 0.75
# Retries help if they fail less often than this; so many of them have to be known.
_OFTEN, _KNOWN = 0.75, 4
# A row is retried until it would fail by chance with this probability.
_CHANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was sent.

    Args:
        begun: when.
        beside: requests under way then, with itself.
        rows: how many it has.
        again: whether its rows failed in a request of the same size.
    """

    begun: float
    beside: int
    rows: int
    again: bool


class Flakiness:
    """What recent requests tell about a server's failures."""

    def __init__(self) -> None:
        self._answers: deque[Sent] = deque(maxlen=_RECENT)
        self._retries: deque[bool] = deque(maxlen=_RETRIES)
        self._failures: deque[Sent] = deque(maxlen=_RECENT)
        self._run = 0
        # Failures since the last answer that take the place of further requests.
        self.held = 0
        self._ever = False

    def answered(self, sent: Sent, running: Iterable[Sent]) -> int | None:
        """A request was answered.

        Args:
            sent: the request.
            running: the others that are under way.

        Returns:
            How many requests at once the server takes, if it refuses all that are sent beside as many.
        """
        self._run, self.held, self._ever = 0, 0, True
        self._answers.append(sent)
        if sent.again:
            self._retries.append(True)
        if len(self._failures) < _CROWDED:
            return None
        last = self._failures[-1].begun
        taken = [*self._answers, *(other for other in running if other.begun <= last)]
        most = max(other.beside for other in taken)
        above = sum(failure.beside > most for failure in self._failures)
        if above < max(_CROWDED, _MOSTLY * len(self._failures)):
            return None
        self._failures.clear()
        return most

    def failed(self, sent: Sent, running: Iterable[Sent]) -> bool:
        """A request failed.

        Args:
            sent: the request.
            running: the others that are under way.

        Returns:
            Whether the server still takes other requests, so that the failure says nothing about them.
        """
        self._run += 1
        if sent.again:
            self._retries.append(False)
        accepted = [other for other in running if other.begun <= sent.begun]
        if sent.rows == 1 or self.takes(sent.rows):
            self._failures.append(sent)
            self.held += 1
        if self._run <= len(accepted):
            return True
        return self._ever and self._run < _RUN

    def takes(self, rows: int) -> bool:
        """Whether a request of so many rows was answered recently."""
        return any(sent.rows >= rows for sent in self._answers)

    @property
    def retries(self) -> int:
        """After how many retries a row is at fault itself, if retries of other rows help."""
        failing = self._retries.count(False) / max(1, len(self._retries))
        return math.ceil(math.log(_CHANCE) / math.log(failing)) if 0 < failing < 1 else 0

    @property
    def retries_help(self) -> bool:
        """Whether rows that failed are often answered when they are sent again."""
        known = len(self._retries)
        return known >= _KNOWN and self._retries.count(False) < _OFTEN * known
