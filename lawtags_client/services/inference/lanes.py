"""What pools share that send to the same server, so that none loses rows because of another."""

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
    """Requests of all pools to the server of one model."""

    def __init__(self) -> None:
        self.flakiness = Flakiness()
        self.running: Running = {}
        self.lanes: WeakValueDictionary[tuple[int, int], Lane] = WeakValueDictionary()
        # The pool that waits until no request is under way.
        self.sole: object | None = None
        self._sleeping: dict[object, asyncio.Future[None]] = {}

    @contextmanager
    def sleeping(self, pool: object) -> Iterator[asyncio.Future[None]]:
        """A future that completes at the next change."""
        self._sleeping[pool] = changed = asyncio.get_running_loop().create_future()
        try:
            yield changed
        finally:
            del self._sleeping[pool]

    def wake(self, pool: object | None = None) -> None:
        """Wake a pool, or all of them."""
        found = list(self._sleeping.values()) if pool is None else [self._sleeping.get(pool)]
        for changed in found:
            if changed is not None and not changed.done():
                changed.set_result(None)

    def others(self) -> list[Sent]:
        """The requests under way."""
        return [request.sent for request in self.running.values()]

    @property
    def rows(self) -> int:
        """Rows under way."""
        return sum(len(request.entries) for request in self.running.values())


class Lane:
    """Requests of one size with the same limits to one server; pools take turns.

    Args:
        server: the server.
        pace: concurrency and request size.
    """

    def __init__(self, server: ServerLoad, pace: Pace) -> None:
        settings = pace.settings
        self.server, self.pace = server, pace
        self.draining = Draining(pace.clock, settings.total_timeout)
        self.outage = Outage(settings.max_retries, settings.total_timeout, pace.clock)
        self.running: Running = {}
        self._queue: dict[object, None] = {}

    def has_room(self, pool: object) -> bool:
        """Whether a pool may send a request now."""
        sole, draining = self.server.sole, self.draining
        if sole is not pool and (sole is not None or next(iter(self._queue), pool) is not pool):
            return False
        if any(request.entries[0].alone for request in self.server.running.values()):
            return False
        if draining.alone:
            return not any(draining.is_probe(request.begun) for request in self.running.values())
        return len(self.running) < self.pace.limiter.limit

    def queue(self, pool: object) -> None:
        """Put a pool into the queue."""
        self._queue.setdefault(pool)

    def pass_on(self, pool: object) -> None:
        """Remove a pool from the queue, and wake the next one."""
        self._queue.pop(pool, None)
        # Even if the pool was not queued: the next one has no timer, so nothing else would wake it.
        if self._queue:
            self.server.wake(next(iter(self._queue)))

    def leave(self, pool: object) -> None:
        """Give up the turn of a pool that sends nothing for now."""
        self.pass_on(pool)
        if self.server.sole is pool:
            self.server.sole = None
            self.server.wake()

    def send(self, task: asyncio.Task[Any], request: Request[Any]) -> None:
        """Add a request."""
        self.running[task] = self.server.running[task] = request
        beside = len(self.server.running)
        for other in self.server.running.values():
            other.company = max(other.company, beside)

    def end(self, task: asyncio.Task[Any]) -> None:
        """Remove a request."""
        self.running.pop(task, None)
        self.server.running.pop(task, None)


class Lanes:
    """The lanes of a client, each kept as long as a pool uses it."""

    def __init__(self) -> None:
        self._servers: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], ServerLoad] = (
            WeakValueDictionary()
        )

    def lane(self, model: str, pace: Pace) -> Lane:
        """The lane of a pool.

        Args:
            model: the model's id.
            pace: used if there is no lane for such requests yet.
        """
        place = asyncio.get_running_loop(), model
        server = self._servers.get(place)
        if server is None:
            self._servers[place] = server = ServerLoad()
        if pace.limiter.fixed:
            # The caller chose the concurrency.
            return Lane(server, pace)
        kind = id(pace.settings), pace.most_rows
        lane = server.lanes.get(kind)
        if lane is None or lane.outage.over is not None:
            server.lanes[kind] = lane = Lane(server, pace)
        return lane
