"""Rows that failed alone and wait for their next attempt while others continue."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Generic, TypeVar

from lawtags_client.transport.clock import Clock

T = TypeVar("T")


class Apart(Generic[T]):
    """Rows with the time of their next attempt.

    Args:
        clock: measures time, and waits.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: list[tuple[float, int, T]] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, rows: Iterable[T], pause: float) -> None:
        """Hold rows back for some seconds."""
        for row in rows:
            self._number += 1
            heapq.heappush(self._rows, (self._clock.monotonic() + pause, self._number, row))

    def due(self) -> T | None:
        """Take a row whose pause has ended."""
        return self.take() if self._rows and self._rows[0][0] <= self._clock.monotonic() else None

    def take(self) -> T | None:
        """Take the next row, even if its pause has not ended."""
        return heapq.heappop(self._rows)[2] if self._rows else None

    async def is_due(self) -> None:
        """Wait until the pause of a row has ended."""
        while self._rows and (left := self._rows[0][0] - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
