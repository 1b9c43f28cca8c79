"""The rows of a pool that wait to be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sized
from typing import Any, Generic, TypeVar

from lawtags_client.services.inference.apart import Apart
from lawtags_client.services.inference.entries import Entry, take_untried
from lawtags_client.services.inference.lanes import Lane
from lawtags_client.services.inference.outcomes import Outcomes
from lawtags_client.services.inference.source import Items, Source

T = TypeVar("T")

# Rows that wait to be sent with nothing else under way; with this many, other rows wait for them.
_MOST_LONE = 16


class Waiting(Generic[T]):
    """Rows in the order in which they are sent.

    Args:
        items: read on demand.
        pool: the pool that sends them.
        lane: the lane of its requests.
        outcomes: outcomes of earlier rows.
        asked: requests of the pool that are under way.
    """

    def __init__(
        self, items: Items[T], pool: object, lane: Lane, outcomes: Outcomes[Any], asked: Sized
    ) -> None:
        self.source = Source(items)
        self.again: deque[Entry[T]] = deque()
        self.apart: Apart[list[Entry[T]]] = Apart(lane.pace.clock)
        self.lone: deque[Entry[T]] = deque()
        self._pool, self._lane, self._server = pool, lane, lane.server
        self._outcomes, self._asked = outcomes, asked

    def are_left(self) -> bool:
        """Whether any row is left to send, now or later."""
        if not self.again and not self.apart:
            self.again.extend(self._next_batch())
        return bool(self.again or self.apart or self.lone or self.source.waiting)

    def changes(self) -> list[asyncio.Task[None]]:
        """Tasks that end when another row can be sent."""
        found = [asyncio.create_task(self.source.changed())] if self.source.waiting else []
        if self.apart and self._lane.has_room(self._pool) and len(self.lone) < _MOST_LONE:
            found.append(asyncio.create_task(self.apart.is_due()))
        return found

    def take(self) -> list[Entry[T]]:
        """Rows that will not be sent any more."""
        if waiting := self.again or self.lone:
            return [waiting.popleft()]
        if found := self.apart.take():
            return found
        return [entry] if (entry := self.fresh()) is not None else []

    def batch(self) -> list[Entry[T]]:
        """The rows of the next request: retries first, then new rows."""
        if self._server.sole is self._pool:
            self._server.sole = None
        # While nothing is answered, every other request is for different rows: these may be at fault.
        many_lone = len(self.lone) >= _MOST_LONE
        if many_lone and self._server.flakiness.unanswered % 2 == 0:
            return self._next_lone()
        if self._lane.outage.rounds % 2 == 0 and (batch := self._due()):
            return batch
        batch = self._next_batch() or self._due()
        wait = not many_lone and (self.apart or self.source.waiting)
        return batch or ([] if wait else self._next_lone())

    def _due(self) -> list[Entry[T]]:
        """Rows that shared a failed request and whose pause has ended."""
        batch = self.apart.due() or []
        room = 1 if self._lane.draining.alone else self._lane.pace.batch_size
        self.again.extendleft(reversed(batch[room:]))
        return batch[:room]

    def _next_lone(self) -> list[Entry[T]]:
        """A row to send with nothing else under way, once that is the case."""
        if self.lone and self._server.running:
            self._server.sole = self._pool
        return [self.lone.popleft()] if self.lone and not self._server.running else []

    def _next_batch(self) -> list[Entry[T]]:
        room, batch = 1 if self._lane.draining.alone else self._lane.pace.batch_size, list[Entry[T]]()
        # Every other request is for a new row: the others may be at fault.
        if self._lane.draining.kept and self._lane.draining.tries % 2 and (entry := self.fresh()) is not None:
            return [entry]
        if self._lane.draining.alone and (probe := take_untried(self.again)) is not None:
            return [probe]
        if self.again:
            while self.again and len(batch) < min(room, self.again[0].most):
                room = min(room, self.again[0].most)
                batch.append(self.again.popleft())
            return batch
        while len(batch) < room and (entry := self.fresh()) is not None:
            batch.append(entry)
        return batch

    def fresh(self) -> Entry[T] | None:
        # In ordered mode, finished rows must not pile up behind one slow row.
        pace = self._lane.pace
        many = (4 * pace.limiter.limit + 16) * pace.batch_size
        # Rows that failed are retried before new ones take their place.
        occupied = len(self._lane.running) + self._server.flakiness.unanswered
        failing = len(self._asked) > 0 and occupied >= pace.limiter.limit
        if self._outcomes.waiting >= many or failing:
            return None
        return Entry(*found, most=pace.most_rows) if (found := self.source.take()) is not None else None
