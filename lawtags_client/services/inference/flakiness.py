"""Tells failures by chance from those of too many requests, and from an outage.

Behind one address there may be many replicas, some of which are busy or broken. Their failures say nothing
about the other replicas: the failed request waits for its own retry, and all others continue. A server may
also refuse, or fail on, all that it gets beside as many requests as it has places for, or be down.

Likelihood decides. A request's *level* is the number of accepted requests under way when it was sent, with
itself. Requests at levels that the server accepts tell how often it fails by chance. If that chance hardly
explains that everything above these levels failed, fewer requests must be sent; if it hardly explains that
everything failed since the last answer, the server is down.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain

# Failures less likely than this are no chance.
_UNLIKELY = 1e-3
# A server that is not down may fail on every other request, however reliable it has been.
_EVERY_OTHER = 0.5
# Requests that are remembered, and attempts after the first.
_RECENT, _RETRIES = 64, 32
# Retries help if they fail less often than this; so many of them have to be known.
_OFTEN, _KNOWN = 0.75, 4
# A row is retried until it would fail by chance with this probability.
_CHANCE = 1e-6


@dataclass(slots=True, eq=False)
class Sent:
    """A request that was sent.

    Args:
        number: its place among all requests to the server.
        begun: when.
        level: accepted requests under way then, with itself; those of which nothing is known count.
        rows: how many it has.
        again: whether its rows failed in a request of the same size.
        failed: whether it failed.
        crowded: whether it failed at a higher level than the server is known to accept.
    """

    number: int
    begun: float
    level: int
    rows: int
    again: bool
    failed: bool = False
    crowded: bool = False


class Flakiness:
    """What recent requests tell about a server's failures."""

    def __init__(self) -> None:
        self._recent: deque[Sent] = deque(maxlen=_RECENT)
        self._retries: deque[bool] = deque(maxlen=_RETRIES)
        self._number = self._run = 0
        # Failures since the last answer; they take the place of new rows.
        self.unanswered = 0
        self._ever = False
        # How often a request failed by chance before the last answer.
        self._chance = _EVERY_OTHER

    def sent(self, begun: float, rows: int, running: int, *, again: bool) -> Sent:
        """A request is sent.

        Args:
            begun: when.
            rows: how many it has.
            running: how many others are under way.
            again: whether its rows failed in a request of the same size.
        """
        self._number += 1
        return Sent(self._number, begun, running + 1, rows, again)

    def answered(self, sent: Sent) -> None:
        """A request was answered."""
        self._run, self.unanswered, self._ever = 0, 0, True
        self._recent.append(sent)
        if sent.again:
            self._retries.append(True)

    def failed(self, sent: Sent, running: Collection[Sent]) -> bool:
        """A request failed.

        Args:
            sent: the request.
            running: the others that are under way.

        Returns:
            Whether the server still takes other requests, so that the failure says nothing about them.
        """
        sent.failed = True
        for other in chain(running, self._recent):
            other.level -= other.number > sent.number
        if sent.rows == 1 or self.takes(sent.rows):
            self._recent.append(sent)
            self.unanswered += 1
            sent.crowded = self._ever and sent.level > self._accepted(running)
        if not sent.crowded:
            self._run += 1
            if sent.again:
                self._retries.append(False)
        if self._run <= sum(other.begun <= sent.begun for other in running):
            return True
        return self._ever and max(_EVERY_OTHER, self._chance) ** self._run >= _UNLIKELY

    def places(self, running: Collection[Sent]) -> int | None:
        """How many requests at once the server takes, if it refuses all that are sent beside as many.

        Args:
            running: the requests that are under way.
        """
        if not self._ever:
            return None
        most = self._accepted(running)
        below = [other.failed for other in self._recent if other.level <= most]
        above = len(self._recent) - len(below)
        chance = (1 + sum(below)) / (2 + len(below))
        if not self._run:
            self._chance = chance
        if chance**above >= _UNLIKELY:
            return None
        self._recent = deque((other for other in self._recent if other.level <= most), _RECENT)
        return most

    def _accepted(self, running: Iterable[Sent]) -> int:
        """The highest level at which a request was accepted recently."""
        failed = max((other.begun for other in self._recent if other.failed), default=-math.inf)
        answered = (other.level for other in self._recent if not other.failed)
        # What was sent before a failure and did not fail was accepted.
        return max(chain(answered, (other.level for other in running if other.begun <= failed)), default=1)

    def takes(self, rows: int) -> bool:
        """Whether a request of so many rows was answered recently."""
        return any(sent.rows >= rows and not sent.failed for sent in self._recent)

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
