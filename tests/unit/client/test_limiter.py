"""How many requests are kept under way, against simulated servers in simulated time."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from client_kit import StillTime

from lawtags_client.services.inference.limiter import Limiter


@dataclass
class Server:
    """Answers a number of requests at once, each after the same time, and queues or refuses the others."""

    places: int
    latency: float = 0.5
    spread: float = 0.0
    queue: int = 1_000_000
    retry_after: float = 0.0
    time: StillTime = field(default_factory=StillTime)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def serve(self, limiter: Limiter, rows: int) -> tuple[float, list[float], int]:
        """Rows a second, the seconds of each, and how many requests were refused."""
        events: list[tuple[float, int, str, float]] = []
        waiting: deque[float] = deque()
        busy = running = sent = refused = order = 0
        took: list[float] = []

        def later(seconds: float, kind: str, begun: float) -> None:
            nonlocal order
            order += 1
            heapq.heappush(events, (self.time.seconds + seconds, order, kind, begun))

        def work(begun: float) -> None:
            longer = self.chance.lognormvariate(-(self.spread**2) / 2, self.spread) if self.spread else 1.0
            later(self.latency * longer * (0.9 + 0.2 * self.chance.random()), "answer", begun)

        begin = self.time.seconds
        while len(took) < rows:
            while sent < rows and running < limiter.limit:
                running, sent = running + 1, sent + 1
                later(max(0.0, limiter.pause), "arrive", 0.0)
            self.time.seconds, _, kind, begun = heapq.heappop(events)
            now = self.time.seconds
            if kind == "arrive" and limiter.pause > 0:
                later(limiter.pause, "arrive", 0.0)
            elif kind == "arrive" and busy < self.places:
                busy += 1
                work(now)
            elif kind == "arrive" and len(waiting) < self.queue:
                waiting.append(now)
            elif kind == "arrive":
                refused += 1
                limiter.bad(now, self.retry_after, overloaded=True)
                later(self.retry_after, "arrive", 0.0)
            else:
                running, busy = running - 1, busy - 1
                took.append(now - begun)
                limiter.good(begun)
                if waiting:
                    busy += 1
                    work(waiting.popleft())
        return rows / (self.time.seconds - begin), sorted(took), refused


@dataclass
class BatchingServer:
    """Writes all answers together, a word of each at a time; with each request more a word takes longer."""

    word: float
    more: float
    words: int = 10
    time: StillTime = field(default_factory=StillTime)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def serve(self, limiter: Limiter, rows: int) -> float:
        """Rows a second."""
        begin, sent, done = self.time.seconds, 0, 0
        running: list[tuple[float, int]] = []
        while done < rows:
            while sent < rows and len(running) < limiter.limit:
                running.append((self.time.seconds, round(self.words * self.chance.uniform(0.9, 1.1))))
                sent += 1
            self.time.seconds += self.word + self.more * len(running)
            running = [(begun, left - 1) for begun, left in running]
            for begun, left in running:
                if not left:
                    done += 1
                    limiter.good(begun)
            running = [(begun, left) for begun, left in running if left]
        return rows / (self.time.seconds - begin)


@pytest.mark.parametrize(("more", "share"), [(0.0002, 0.84), (0.001, 0.92), (0.0025, 0.92), (0.02, 0.95)])
def test_server_that_batches_is_filled_as_long_as_that_brings_something(more: float, share: float) -> None:
    # The first is a server that all hundred requests hardly slow down: what is missing is the way up to them.
    def rate(number: int | None) -> float:
        server = BatchingServer(0.02, more)
        clock = server.time.clock()
        limiter = Limiter(clock, start=number, fixed=True) if number else Limiter(clock)
        return server.serve(limiter, 2000)

    assert rate(None) >= share * max(rate(number) for number in (8, 16, 32, 64, 100))


@pytest.mark.parametrize("places", [1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64])
@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_finds_what_a_server_serves_best(places: int, latency: float) -> None:
    server = Server(places, latency)
    best, usual, _ = server.serve(Limiter(server.time.clock(), start=places, fixed=True), 2000)
    rate, took, _ = server.serve(Limiter(server.time.clock()), 2000)
    assert rate >= 0.95 * best
    assert took[1979] <= 2.35 * usual[1979]


@pytest.mark.parametrize(("places", "share"), [(1, 0.98), (4, 0.9), (16, 0.9), (32, 0.85), (64, 0.75)])
def test_answers_of_different_lengths_are_not_taken_for_a_queue(places: int, share: float) -> None:
    for seed in range(3):
        server = Server(places, spread=0.3, chance=random.Random(seed))
        best, _, _ = server.serve(Limiter(server.time.clock(), start=places, fixed=True), 2000)
        rate, _, _ = server.serve(Limiter(server.time.clock()), 2000)
        assert rate >= share * best


def test_large_server_is_filled_in_the_long_run() -> None:
    server = Server(90)
    limiter = Limiter(server.time.clock())
    server.serve(limiter, 1000)
    rate, _, _ = server.serve(limiter, 2000)
    assert rate >= 0.95 * 90 / server.latency


def test_server_that_shrinks_and_grows_is_followed() -> None:
    server = Server(32)
    limiter = Limiter(server.time.clock())
    server.serve(limiter, 1000)
    server.places = 8
    server.serve(limiter, 500)
    assert limiter.limit <= 14
    server.places = 32
    server.serve(limiter, 2000)
    assert limiter.limit >= 28


def test_refusals_become_rare() -> None:
    server = Server(16, queue=0, retry_after=1.0)
    limiter = Limiter(server.time.clock())
    _, _, refused = server.serve(limiter, 4000)
    assert refused < 80
    assert 12 <= limiter.limit <= 18


def test_crowd_of_failures_cuts_once() -> None:
    time = StillTime(seconds=10.0)
    limiter = Limiter(time.clock(), start=10, fixed=True)
    for _ in range(5):
        limiter.bad(begun=9.0, pause=0.0)
    assert limiter.limit == 7
    time.seconds = 11.0
    limiter.bad(begun=10.5, pause=0.0)
    assert limiter.limit == 4
    for _ in range(60):
        limiter.good(begun=10.5)
    assert limiter.limit == 10


async def test_pause_that_was_asked_for_is_kept() -> None:
    time = StillTime()
    limiter = Limiter(time.clock())
    limiter.bad(begun=0.0, pause=30.0, overloaded=True)
    await limiter.admitted()
    assert time.seconds >= 30.0
