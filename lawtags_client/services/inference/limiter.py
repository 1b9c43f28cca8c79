"""Finding out how many requests a server likes to have under way at once.

Time goes in rounds of about as many answers as requests may be under way. What a number of requests
brings in answers a second follows from how long the answers take (Little's law). While more requests
bring as many more answers, their number is doubled; once they bring less, it is set to what so many
answers a second need without a queue, and a little above. From then on half as many again are tried, time
after time as long as they bring something, as they do at a server that answers all of them together and a
little slower for each. Fewer are tried where answers have become slow. What did not help is tried ever
more seldom, and a refusal cuts the number at once.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Literal

from lawtags_client.transport.clock import Clock

_START, _SMALL_ROUND = 16, 16
_GROWTH = 2.0
# What growing must bring of the most it could bring: to go on growing, and to keep what was only tried.
_SCALES, _HELPS = 0.8, 0.12
# Fewer requests are as good if they bring this part of the answers.
_AS_GOOD = 0.93
_QUEUE_AT_START, _QUEUE = 1.2, 1.4
_ROOM, _STEP, _CUT = 1.2, 1.6, 0.7
_SOON, _SELDOM = 1, 64
_INSTANT = 1e-6
_LONG_PAUSE = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Round:
    limit: float
    rate: float
    latency: float


class Limiter:
    """How many requests may be under way.

    Args:
        clock: for pauses that the server asked for, and to measure.
        start: at the beginning.
        most: never more.
        fixed: stay at ``start``, or come back to it after a cut.
    """

    def __init__(self, clock: Clock, *, start: int = _START, most: int = 100, fixed: bool = False) -> None:
        self._clock = clock
        self._fixed = fixed
        self._most = float(start if fixed else most)
        self._limit = float(min(start, self._most))
        self._phase: Literal["grow", "hold", "more", "fewer"] = "grow"
        self._before: _Round | None = None
        self._base = self._fastest = math.inf
        self._quiet = 0
        self._until_more, self._until_fewer = _SOON, 1
        self._resume, self._cut_at = 0.0, -math.inf
        self._first = not fixed
        self._settling = 0
        self._new_round()

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        if self._first:
            # One salvo: what followed the first answers of a small server would wait behind all of it.
            return max(1, int(self._limit) - self._all)
        return max(1, int(self._limit))

    @property
    def pause(self) -> float:
        """Seconds in which nobody should ask."""
        return max(0.0, self._resume - self._clock.monotonic())

    async def admitted(self) -> None:
        """Wait out a pause that the server asked for."""
        while (left := self.pause) > 0:
            # A little apart, so that all do not come back in the same moment.
            await self._clock.sleep(left * (1 + 0.1 * self._clock.random()))

    def good(self, begun: float) -> None:
        """A request went well.

        Args:
            begun: when it was sent. Those sent before the round tell about another number.
        """
        if self._fixed:
            self._limit = min(self._most, self._limit + 1.0 / self._limit)
            return
        now = self._clock.monotonic()
        self._all += 1
        if self._settling:
            self._settling -= 1
            if not self._settling:
                self._new_round()
            return
        if begun < self._round_began:
            return
        took = max(now - begun, _INSTANT)
        self._fastest = min(self._fastest, took)
        self._answers += 1
        self._seconds += took
        if self._enough():
            latency, before, self._first = self._seconds / self._answers, self._limit, False
            self._judge(_Round(before, int(before) / latency, latency))
            self._limit = max(1.0, min(self._limit, self._most))
            self._new_round()
            if self._phase != "grow" and self._limit != before:
                # Queues of the number before have to drain, or those of this one to build up.
                self._settling = self.limit

    def _enough(self) -> bool:
        if self._phase == "grow":
            added = self._limit - (self._before.limit if self._before else 0.0)
            return self._answers >= int(added) and self._all >= self.limit
        return self._answers >= max(self.limit, _SMALL_ROUND)

    def bad(self, begun: float, pause: float, *, overloaded: bool = False) -> None:
        """A request met an overloaded or failing server.

        Args:
            begun: when it was sent. Those sent before the last cut tell nothing new.
            pause: seconds in which nobody should ask.
            overloaded: the server said that there were too many, rather than failed.
        """
        now = self._clock.monotonic()
        self._resume = max(self._resume, now + pause)
        if begun <= self._cut_at:
            return
        self._cut_at = now
        if pause >= _LONG_PAUSE:
            logger.warning("the server asks to be left alone for %.0f s", pause)
        if self._phase == "more" and self._before is not None:
            self._limit, self._until_more = self._before.limit, min(self._until_more * 2, _SELDOM)
        else:
            self._limit = max(1.0, self._limit * _CUT)
        # A server that failed may take as many as before once it is back; one that refused will not.
        self._phase, self._before, self._quiet = "hold" if overloaded else "grow", None, 0
        self._first = False
        self._new_round()

    def _new_round(self) -> None:
        self._round_began = self._clock.monotonic()
        self._answers, self._all, self._seconds = 0, 0, 0.0
        self._settling = 0

    def _judge(self, now: _Round) -> None:
        if self._phase == "grow":
            self._grown(now)
        elif self._phase == "hold":
            self._held(now)
        else:
            self._tried(now)

    def _grown(self, now: _Round) -> None:
        before, self._before = self._before, now
        # The first answers may have waited for connections to be made.
        self._base = min(self._base, now.latency)
        if before is None:
            if now.latency > _QUEUE_AT_START * self._fastest:
                # These few may be waiting for one another; or some answers just take longer. All were sent at
                # once, so that the first of them found the server idle: what they brought is counted.
                passed = max(self._clock.monotonic() - self._round_began, _INSTANT)
                self._before, self._base = replace(now, rate=self._all / passed), self._fastest
                self._phase, self._limit = "fewer", now.rate * self._fastest * _ROOM
                return
        elif _worth(before, now) < _SCALES:
            self._hold(max(before.limit, now.rate * self._base * _ROOM))
            return
        if self._limit >= self._most:
            self._hold(self._most)
            return
        self._limit *= _GROWTH

    def _hold(self, limit: float) -> None:
        self._limit, self._phase, self._before, self._quiet = limit, "hold", None, 0

    def _held(self, now: _Round) -> None:
        self._base = min(self._base, now.latency)
        self._quiet += 1
        if now.latency > _QUEUE * self._base and self._quiet >= self._until_fewer and now.limit > 1:
            self._before, self._phase = now, "fewer"
            self._limit = max(now.rate * self._base * _ROOM, now.limit / 2)
        elif self._quiet >= self._until_more and now.limit < self._most:
            self._try_more(now)

    def _try_more(self, now: _Round) -> None:
        self._before, self._phase = now, "more"
        self._limit = max(now.limit + 1, now.limit * _STEP)

    def _tried(self, now: _Round) -> None:
        assert self._before is not None
        if self._phase == "more":
            kept = _worth(self._before, now) > _HELPS
            self._until_more = 1 if kept else min(self._until_more * 2, _SELDOM)
            if kept and now.limit < self._most:
                self._try_more(now)
                return
        else:
            kept = now.rate >= _AS_GOOD * self._before.rate
            self._until_fewer = 1 if kept else min(self._until_fewer * 2, _SELDOM)
        self._hold(now.limit if kept else self._before.limit)


def _worth(before: _Round, now: _Round) -> float:
    """What a greater number brought: 1 for as much more as it is greater itself, 0 for nothing."""
    return (now.rate / before.rate - 1) / (now.limit / before.limit - 1)
