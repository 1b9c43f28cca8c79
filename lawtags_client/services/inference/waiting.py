"""The rows of a pool that wait to be asked for."""

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

# Rows that wait to be asked for with nothing beside them; so many make the others wait.
_MOST_LONE = 16


class Waiting(Generic[T]):
    """Rows in the order in which they are asked for.

    Args:
        items: read as they are needed.
        pool: that asks for them.
        lane: where it sends its requests.
        outcomes: what has become of earlier rows.
        asked: the requests of the pool that are under way.
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
        """Whether there is something to ask for, now or later."""
        if not self.again and not self.apart:
            self.again.extend(self._next_batch())
        return bool(self.again or self.apart or self.lone or self.source.waiting)

    def changes(self) -> list[asyncio.Task[None]]:
        """What ends when there is another row to ask for."""
        found = [asyncio.create_task(self.source.changed())] if self.source.waiting else []
        if self.apart and self._lane.has_room(self._pool) and len(self.lone) < _MOST_LONE:
            found.append(asyncio.create_task(self.apart.is_due()))
        return found

    def take(self) -> list[Entry[T]]:
        """Some that are not asked for any more."""
        if waiting := self.again or self.lone:
            return [waiting.popleft()]
        if found := self.apart.take():
            return found
        return [entry] if (entry := self.fresh()) is not None else []

    def batch(self) -> list[Entry[T]]:
        """The items of the next request: of those to be repeated, or else new ones."""
        if self._server.sole is self._pool:
            self._server.sole = None
        if len(self.lone) >= _MOST_LONE:
            return self._next_lone()
        # Every other time another row while nothing is answered, in case these are at fault themselves.
        if self._lane.outage.rounds % 2 == 0 and (batch := self._due()):
            return batch
        batch = self._next_batch() or self._due()
        return batch or ([] if self.apart or self.source.waiting else self._next_lone())

    def _due(self) -> list[Entry[T]]:
        """Rows whose pause has ended, and that shared a request before."""
        batch = self.apart.due() or []
        room = 1 if self._lane.draining.alone else self._lane.pace.batch_size
        self.again.extendleft(reversed(batch[room:]))
        return batch[:room]

    def _next_lone(self) -> list[Entry[T]]:
        """A row to be asked for with nothing beside it, as soon as nothing is."""
        if self.lone and self._server.running:
            self._server.sole = self._pool
        return [self.lone.popleft()] if self.lone and not self._server.running else []

    def _next_batch(self) -> list[Entry[T]]:
        room, batch = 1 if self._lane.draining.alone else self._lane.pace.batch_size, list[Entry[T]]()
        # Every other time a row that was never asked for, in case the others are at fault themselves.
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
        # When order is kept, one slow item must not let finished ones pile up without end.
        pace = self._lane.pace
        many = (4 * pace.limiter.limit + 16) * pace.batch_size
        # What failed is sent again before more is sent in its place.
        held = len(self._lane.running) + self._server.flakiness.held
        failing = len(self._asked) > 0 and held >= pace.limiter.limit
        if self._outcomes.held >= many or failing:
            return None
        return Entry(*found, most=pace.most_rows) if (found := self.source.take()) is not None else None
