"""Finds the best concurrency for a server.

Time is divided into rounds; a round has about as many answers as concurrent requests. Throughput follows from
concurrency and latency (Little's law).

The first round is a salvo. If its answers take about the same time, concurrency doubles as long as
throughput grows with it. If latency grows within the salvo, the server has fewer slots, or some answers
just take longer than others. A few requests without a queue then show the base latency, and with it how many
slots the salvo has found.

From then on, concurrency is a little more than the measured throughput needs at the base latency. The limiter
periodically tries 1.6 times as many requests, and keeps them if throughput grows, as with a server that
batches requests. It tries fewer if latency has grown. Changes that did not help are tried less and less,
and a rejection cuts concurrency at once.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Literal

from lawtags_client.transport.clock import Clock

_START, _SMALL_ROUND, _SMALLEST_ROUND = 16, 16, 4
_GROWTH = 2.0
# Share of the possible gain in throughput that is required: to continue growing, and to keep a trial.
_SCALES, _HELPS = 0.8, 0.12
# Fewer requests are as good if they keep this share of the throughput.
_AS_GOOD = 0.93
_QUEUE_AT_START, _QUEUE = 1.2, 1.4
# Share of a salvo that must be answered to measure the initial throughput; if at least this share ran in
# parallel, the salvo was too small to find the number of slots.
_MOST_OF, _PARALLEL, _GROWTH_AFTER = 0.75, 0.5, 1.5
_ROOM, _STEP, _CUT = 1.2, 1.6, 0.7
_SOON, _SELDOM = 1, 64
# Recovery per answer of a chosen concurrency that was cut, if one more request might time out.
_CAREFUL = 1 / 8
_INSTANT = 1e-6
_LONG_PAUSE = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Round:
    limit: float
    rate: float
    latency: float
    doubt: float  # of the latency, and so of the rate: its standard error, as a share of it


class Limiter:
    """Limits the number of concurrent requests.

    Args:
        clock: measures time, and waits for the pauses that the server requests.
        start: initial concurrency.
        most: maximum concurrency.
        fixed: stay at ``start``, or return to it after a cut.
        patience: seconds within which a request must be answered.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        start: int = _START,
        most: int = 100,
        fixed: bool = False,
        patience: float = math.inf,
    ) -> None:
        self._clock = clock
        self.fixed = fixed
        self.patience = patience
        self._most = float(start if fixed else most)
        self._limit = float(min(start, self._most))
        self._phase: Literal["grow", "alone", "hold", "more", "fewer"] = "grow"
        self._before: _Round | None = None
        self._base = self._fastest = math.inf
        self._quiet = 0
        self._until_more, self._until_fewer = _SOON, 1
        self._resume, self._cut_at = 0.0, -math.inf
        self._salvo, self._uneven = not fixed, False
        self._brisk = 0.0
        self._careful = _CAREFUL
        self.cuts = 0
        self._settling = 0
        self._new_round()

    @property
    def limit(self) -> int:
        """Concurrent requests that are allowed now."""
        if self._salvo:
            # With a small server, requests sent after the first answers would queue behind the whole salvo.
            return max(1, int(self._limit) - self._all)
        return max(1, int(self._limit))

    @property
    def pause(self) -> float:
        """Seconds for which no request should be sent."""
        return max(0.0, self._resume - self._clock.monotonic())

    async def admitted(self) -> None:
        """Wait for the end of a pause that the server requested."""
        while (left := self.pause) > 0:
            # With jitter, so that not all requests resume at the same moment.
            await self._clock.sleep(left * (1 + 0.1 * self._clock.random()))

    def good(self, begun: float) -> None:
        """Record an answer.

        Args:
            begun: when the request was sent; one sent before this round ran at another concurrency.
        """
        now = self._clock.monotonic()
        if self.fixed:
            expected = (now - begun) * (1 + 1 / self._limit)
            regained = 1.0 if expected <= self.patience / 2 else self._careful
            self._limit = min(self._most, self._limit + regained / self._limit)
            return
        self._all += 1
        if self._settling:
            self._settling -= 1
            if not self._settling:
                self._new_round()
            return
        # Until a number has lasted for a while, the answers that count are those to requests of this round.
        # Where answers differ, the quickest of them would come first; there, rounds begin when that is past.
        if self._phase == "grow" and not self._uneven and begun < self._round_began:
            return
        took = max(now - begun, _INSTANT)
        self._fastest = min(self._fastest, took)
        self._answers += 1
        self._seconds += took
        self._squares += took * took
        if self._salvo and self._phase == "grow" and self._answers == math.ceil(_MOST_OF * int(self._limit)):
            self._brisk = self._answers / max(now - self._round_began, _INSTANT)
        if self._enough():
            before, self._salvo = self._limit, False
            self._judge(self._round())
            self._limit = max(1.0, min(self._limit, self._most))
            self._new_round()
            lasting = self._phase in ("hold", "more", "fewer") or (self._phase == "grow" and self._uneven)
            if lasting and self._limit != before:
                # Queues of the number before have to drain, or those of this one to build up.
                self._settling = max(int(before), self.limit)

    def _round(self) -> _Round:
        latency = self._seconds / self._answers
        spread = max(0.0, self._squares / self._answers / latency**2 - 1)
        return _Round(self._limit, int(self._limit) / latency, latency, math.sqrt(spread / self._answers))

    def _enough(self) -> bool:
        if self._phase == "alone":
            return self._answers >= int(self._limit)
        if self._phase == "grow" and not self._uneven:
            added = self._limit - (self._before.limit if self._before else 0.0)
            return self._answers >= int(added) and self._all >= self.limit
        return self._answers >= max(self.limit, min(_SMALL_ROUND, _SMALLEST_ROUND * self.limit))

    def bad(self, begun: float, pause: float, *, overloaded: bool = False) -> None:
        """Record that the server is overloaded or failing.

        Args:
            begun: when the request was sent; one sent before the last cut adds no information.
            pause: seconds for which no request should be sent.
            overloaded: the server rejected the request as one too many, instead of failing.
        """
        self.rest(pause)
        if begun <= self._cut_at:
            return
        self._cut()
        if pause >= _LONG_PAUSE:
            logger.warning("the server asked for a pause of %.0f s", pause)
        if self._phase == "more" and self._before is not None:
            self._limit, self._until_more = self._before.limit, min(self._until_more * 2, _SELDOM)
        else:
            self._limit = max(1.0, self._limit * _CUT)
        # A server that failed may accept as many as before once it is back; one that was overloaded will not.
        self._phase, self._before, self._quiet = "hold" if overloaded else "grow", None, 0
        self._salvo = False
        self._new_round()

    def rest(self, pause: float) -> None:
        """Send nothing for some seconds."""
        self._resume = max(self._resume, self._clock.monotonic() + pause)

    def slow(self, cuts: int, running: int) -> bool:
        """Record a timeout.

        Args:
            cuts: value of ``cuts`` when the request was sent.
            running: concurrent requests, including this one.

        Returns:
            Whether the limit was cut; a request sent before the last cut adds no information.
        """
        if cuts < self.cuts:
            return False
        self._cut()
        self._careful /= 2
        if self._phase == "more" and self._before is not None:
            self._until_more = min(self._until_more * 2, _SELDOM)
            self._hold(min(self._before.limit, float(running)))
        else:
            self._hold(max(1.0, min(self._limit, float(running)) / 2))
            if not self.fixed:
                # As at the beginning, with a smaller salvo.
                self._phase, self._salvo, self._uneven, self._brisk = "grow", True, False, 0.0
        self._base = self._fastest = math.inf
        self._new_round()
        return True

    def at_most(self, limit: int) -> None:
        """Allow no more than this for now."""
        self._limit = min(self._limit, float(limit))

    def crowded(self, most: int) -> None:
        """Record that the server accepts this many concurrent requests and rejects any more."""
        if most >= self._limit:
            return
        self._cut()
        if self._phase == "more":
            self._until_more = min(self._until_more * 2, _SELDOM)
        self._hold(float(most))
        self._salvo = False
        self._new_round()

    def _cut(self) -> None:
        self._cut_at = self._clock.monotonic()
        self.cuts += 1

    def resized(self) -> None:
        """Requests have another size from now on, so earlier latencies do not compare."""
        if self._phase in ("alone", "more", "fewer"):
            self._hold(self._limit)
        self._base = self._fastest = math.inf
        self._before, self._quiet = None, 0
        self._new_round()

    @property
    def settled(self) -> bool:
        """Whether the limit is stable for now."""
        return self.fixed or self._phase == "hold"

    def _new_round(self) -> None:
        self._round_began = self._clock.monotonic()
        self._answers, self._all, self._seconds, self._squares = 0, 0, 0.0, 0.0
        self._settling = 0

    def _judge(self, now: _Round) -> None:
        if self._phase == "alone":
            self._timed(now)
        elif self._phase == "grow":
            self._grown(now)
        elif self._phase == "hold":
            self._check_hold(now)
        else:
            self._tried(now)

    def _grown(self, now: _Round) -> None:
        before, self._before = self._before, now
        # The first answers may have waited for connections to be made.
        self._base = min(self._base, now.latency)
        if before is None:
            if now.latency > _QUEUE_AT_START * self._fastest and self._brisk:
                # These may be waiting for one another; or some answers just take longer.
                self._phase, self._salvo = "alone", True
                self._limit = max(1.0, min(self._brisk * self._fastest * _ROOM, now.limit))
                return
        elif _worth(before, now) < _SCALES:
            self._hold(max(before.limit, now.rate * self._base * _ROOM))
            return
        if self._limit >= self._most:
            self._hold(self._most)
            return
        if now.latency * _GROWTH > self.patience / 2:
            self._hold(now.limit)
            return
        self._limit *= _GROWTH

    def _timed(self, now: _Round) -> None:
        """Use the latency of a few requests that ran without a queue."""
        assert self._before is not None
        salvo, places = self._before.limit, self._brisk * now.latency
        self._base = now.latency
        if places < _PARALLEL * salvo:
            self._hold(max(1.0, places * _ROOM))
            return
        self._uneven = True
        self._before = replace(now, limit=salvo, rate=salvo / now.latency)
        self._phase, self._limit = "grow", salvo * _GROWTH_AFTER

    def _hold(self, limit: float) -> None:
        self._limit, self._phase, self._before, self._quiet = limit, "hold", None, 0

    def _check_hold(self, now: _Round) -> None:
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
            gained = now.rate / self._before.rate - 1 > math.hypot(now.doubt, self._before.doubt)
            kept = gained and _worth(self._before, now) > _HELPS
            self._until_more = 1 if kept else min(self._until_more * 2, _SELDOM)
            if kept and now.limit < self._most:
                self._try_more(now)
                return
        else:
            kept = now.rate >= _AS_GOOD * self._before.rate
            self._until_fewer = 1 if kept else min(self._until_fewer * 2, _SELDOM)
        self._hold(now.limit if kept else self._before.limit)


def _worth(before: _Round, now: _Round) -> float:
    """Gain in throughput relative to the gain in concurrency: 1 if proportional, 0 if none."""
    return (now.rate / before.rate - 1) / (now.limit / before.limit - 1)
