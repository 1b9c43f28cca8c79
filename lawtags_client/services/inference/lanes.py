"""What pools that ask the same server share, so that none of them loses rows to another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from lawtags_client.services.inference.draining import Draining
from lawtags_client.services.inference.entries import Request
from lawtags_client.services.inference.flakiness import Flakiness, Sent
from lawtags_client.services.inference.giving_up import Outage
from lawtags_client.services.inference.pace import Pace

Running: TypeAlias = dict[asyncio.Task[Any], Request[Any]]


class ServerLoad:
    """The server of one model."""

    def __init__(self) -> None:
        self.flakiness = Flakiness()
        self.running: Running = {}
        self.lanes: WeakValueDictionary[tuple[int, int], Lane] = WeakValueDictionary()
        # The pool that waits until nothing is under way.
        self.sole: object | None = None
        self._sleeping: dict[object, asyncio.Future[None]] = {}

    @contextmanager
    def sleeping(self, pool: object) -> Iterator[asyncio.Future[None]]:
        """A future that is done as soon as something has changed."""
        self._sleeping[pool] = changed = asyncio.get_running_loop().create_future()
        try:
            yield changed
        finally:
            del self._sleeping[pool]

    def wake(self, pool: object | None = None) -> None:
        """Something has changed for a pool, or for all."""
        found = list(self._sleeping.values()) if pool is None else [self._sleeping.get(pool)]
        for changed in found:
            if changed is not None and not changed.done():
                changed.set_result(None)

    def others(self) -> list[Sent]:
        """What is remembered of the requests under way."""
        return [request.sent for request in self.running.values()]

    @property
    def rows(self) -> int:
        """Rows under way."""
        return sum(len(request.entries) for request in self.running.values())


class Lane:
    """Requests of one size and with the same limits to one server; its places go to the pools in turn.

    Args:
        server: where they go.
        pace: how many requests of how many rows at once.
    """

    def __init__(self, server: ServerLoad, pace: Pace) -> None:
        settings = pace.settings
        self.server, self.pace = server, pace
        self.draining = Draining(pace.clock, settings.total_timeout)
        self.outage = Outage(settings.max_retries, settings.total_timeout, pace.clock)
        self.running: Running = {}
        self._queue: dict[object, None] = {}

    def has_room(self, pool: object) -> bool:
        """Whether it is a pool's turn to send a request."""
        sole, draining = self.server.sole, self.draining
        if sole is not pool and (sole is not None or next(iter(self._queue), pool) is not pool):
            return False
        if any(request.entries[0].alone for request in self.server.running.values()):
            return False
        if draining.alone:
            return not any(draining.is_probe(request.begun) for request in self.running.values())
        return len(self.running) < self.pace.limiter.limit

    def queue(self, pool: object) -> None:
        """A pool waits for its turn."""
        self._queue.setdefault(pool)

    def pass_on(self, pool: object) -> None:
        """A pool had its turn, or does not need it."""
        self._queue.pop(pool, None)
        # Even if the pool was not queued: the first in line does not wait for time, only for its turn.
        if self._queue:
            self.server.wake(next(iter(self._queue)))

    def leave(self, pool: object) -> None:
        """A pool sends nothing for now."""
        self.pass_on(pool)
        if self.server.sole is pool:
            self.server.sole = None
            self.server.wake()

    def send(self, task: asyncio.Task[Any], request: Request[Any]) -> None:
        """A request is under way."""
        self.running[task] = self.server.running[task] = request
        beside = len(self.server.running)
        for other in self.server.running.values():
            other.company = max(other.company, beside)

    def end(self, task: asyncio.Task[Any]) -> None:
        """A request is no longer under way."""
        self.running.pop(task, None)
        self.server.running.pop(task, None)


class Lanes:
    """Of all servers that a client asks, for as long as a pool uses them."""

    def __init__(self) -> None:
        self._servers: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], ServerLoad] = (
            WeakValueDictionary()
        )

    def lane(self, model: str, pace: Pace) -> Lane:
        """Where a pool sends its requests.

        Args:
            model: asked.
            pace: its own, unless there is a lane for such requests.
        """
        place = asyncio.get_running_loop(), model
        server = self._servers.get(place)
        if server is None:
            self._servers[place] = server = ServerLoad()
        if pace.limiter.fixed:
            # The caller chose how many requests are sent at once.
            return Lane(server, pace)
        kind = id(pace.settings), pace.most_rows
        lane = server.lanes.get(kind)
        if lane is None or lane.outage.over is not None:
            server.lanes[kind] = lane = Lane(server, pace)
        return lane
