"""Rows that failed by themselves and wait for their next attempt while others go on."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Generic, TypeVar

from lawtags_client.transport.clock import Clock

T = TypeVar("T")


class Apart(Generic[T]):
    """Rows with the time of their next attempt.

    Args:
        clock: to measure, and to wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: list[tuple[float, int, T]] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, rows: Iterable[T], pause: float) -> None:
        """Keep rows for some seconds."""
        for row in rows:
            self._number += 1
            heapq.heappush(self._rows, (self._clock.monotonic() + pause, self._number, row))

    def due(self) -> T | None:
        """Take one whose time has come."""
        return self.take() if self._rows and self._rows[0][0] <= self._clock.monotonic() else None

    def take(self) -> T | None:
        """Take the next one, whether its time has come or not."""
        return heapq.heappop(self._rows)[2] if self._rows else None

    async def is_due(self) -> None:
        """Wait until there is a row whose time has come."""
        while self._rows and (left := self._rows[0][0] - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
