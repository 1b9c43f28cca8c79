"""Pools that send rows to one server in simulated time, without HTTP: thousands of requests per second."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from simulated_time import simulate, simulated_clock

from lawtags_client.errors import LawtagsError, RateLimitedError, ServerError
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.lanes import Lanes
from lawtags_client.services.inference.pace import Allowance, Pace
from lawtags_client.services.inference.pool import each
from lawtags_client.settings import Settings

Answer: TypeAlias = Callable[[list[str]], Awaitable[None]]


@dataclass
class Full:
    """Refuses requests while all of its places are taken.

    Args:
        places: concurrent requests that it accepts.
        status: status of a refusal.
        seconds: for an answer.
        refusing: seconds for a refusal.
        share: share of the accepted requests that fail at random with a 500.
        seed: seed of these.
        poor: rows that always fail with a 500.
    """

    places: int
    status: int = 503
    seconds: float = 0.5
    refusing: float = 0.0
    share: float = 0.0
    seed: int = 0
    poor: frozenset[str] = frozenset()
    busy: int = 0
    most: int = 0
    refused: int = 0
    ended: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def answer(self, rows: list[str]) -> None:
        """Take the time for an answer.

        Raises:
            RateLimitedError: it has no place.
            ServerError: it has no place, or fails.
        """
        if self.busy >= self.places:
            self.refused += 1
            await asyncio.sleep(self.refusing)
            raise failure(self.status)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            if self.chance.random() < self.share or not self.poor.isdisjoint(rows):
                await asyncio.sleep(0.005)
                raise failure(500)
            await asyncio.sleep(self.seconds)
        finally:
            self.busy -= 1
        self.ended.update(dict.fromkeys(rows, asyncio.get_running_loop().time()))


def failure(status: int) -> LawtagsError:
    """What the client makes of a status."""
    if status == 429:
        return RateLimitedError("too many requests", status=status, service="inference")
    return ServerError("failed", status=status, service="inference")


class Pools:
    """Opens pools that share what is known about a server, as calls of one client do."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lanes, self._settings = Lanes(), Settings(platform_url="http://nemo.test")
        self._clock = simulated_clock()

    def open(self, name: str, rows: int, *, batch_size: int = 1) -> AsyncGenerator[Outcome[str], None]:
        """Send rows ``name0``, ``name1``, ... as one call.

        Args:
            name: prefix of the rows.
            rows: how many.
            batch_size: maximum rows per request.
        """

        async def act(batch: list[str], allowance: Allowance) -> Sequence[str]:
            await allowance.within(self._answer(batch))
            return batch

        lane = self._lanes.lane("m", Pace(self._settings, self._clock, batch_size))
        return each((f"{name}{row}" for row in range(rows)), act, lane=lane)

    async def lost(self, name: str, rows: int, *, batch_size: int = 1) -> int:
        """The rows that a call loses; arguments as for ``open``."""
        return len([one async for one in self.open(name, rows, batch_size=batch_size) if one.error])


def together(answer: Answer, calls: Callable[[Pools], Sequence[Awaitable[int]]]) -> tuple[list[int], float]:
    """What each call returns, and the seconds until all have ended."""

    async def work() -> tuple[list[int], float]:
        found = await asyncio.gather(*calls(Pools(answer)))
        return found, asyncio.get_running_loop().time()

    return simulate(work)
