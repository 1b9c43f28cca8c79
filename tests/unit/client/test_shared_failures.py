"""Servers that fail on requests of several rows, in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest
from simulated_asking import ask
from simulated_time import Queueing

ROWS = 300


class Narrow(httpx.AsyncBaseTransport):
    """Fails at once on what it cannot take in one request.

    Args:
        most: rows in a request that it answers.
        places: requests that it works on side by side.
        seconds: for a row.
        status: of a failure.
        poor: rows on which it fails always.
    """

    def __init__(
        self, most: int, places: int, seconds: float, *, status: int = 500, poor: frozenset[str] = frozenset()
    ) -> None:
        self.most, self.status, self.poor = most, status, poor
        self.server = Queueing(places, seconds)
        self.requests: Counter[int] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        prompts = json.loads(await request.aread())["prompt"]
        prompts = prompts if isinstance(prompts, list) else [prompts]
        self.requests[len(prompts)] += 1
        if len(prompts) > self.most or not self.poor.isdisjoint(prompts):
            return httpx.Response(self.status, json={"detail": "index out of range"})
        await self.server.serve([1.0] * len(prompts))
        choices = [{"index": place, "text": prompt} for place, prompt in enumerate(prompts)]
        return httpx.Response(200, json={"choices": choices})


@pytest.mark.parametrize("batch_size", [8, 32])
@pytest.mark.parametrize(
    ("most", "places", "seconds"), [(1, 1, 0.045), (1, 8, 0.3), (2, 1, 0.1), (3, 4, 0.02)]
)
def test_a_limit_on_rows_per_request_costs_little_time(
    most: int, places: int, seconds: float, batch_size: int, tmp_path: Path
) -> None:
    server = Narrow(most, places, seconds)
    told = ask(server, tmp_path, rows=ROWS, options={"batch_size": batch_size})
    assert told.lost == 0
    # The first salvo is split before anything is known of the server, with a pause each time.
    assert told.seconds <= 1.05 * ROWS * seconds / places + 4
    # Larger requests are tried again, and ever more seldom.
    assert sum(server.requests[size] for size in server.requests if size > most) <= 0.2 * ROWS


def test_a_server_that_takes_larger_requests_again_gets_them(tmp_path: Path) -> None:
    server = Narrow(1, 4, 0.05)

    async def grow(request: httpx.Request) -> httpx.Response:
        if asyncio.get_running_loop().time() > 5:
            server.most = 8
        return await server.handle_async_request(request)

    told = ask(httpx.MockTransport(grow), tmp_path, rows=2500, options={"batch_size": 8})
    assert told.lost == 0 and told.loads[-1].batch_size == 8


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("poor", [1, 40])
def test_rows_that_always_fail_do_not_delay_others(poor: int, batch_size: int, tmp_path: Path) -> None:
    rows = frozenset(f"p{3 + 7 * place}" for place in range(poor))
    server = Narrow(8, 4, 0.05, poor=rows)
    told = ask(server, tmp_path, rows=ROWS, options={"batch_size": batch_size})
    assert told.lost == poor
    # One of them takes 7.5 seconds for its attempts, and nobody waits for 40 of them in turn.
    assert told.seconds <= ROWS * 0.05 / 4 + 20
    assert server.requests[1] <= ROWS + 5 * poor


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(("begin", "end"), [(0.0, 3.0), (2.0, 5.0), (2.0, 9.0)])
def test_a_server_that_fails_for_a_while_loses_nothing_and_is_left_alone(
    begin: float, end: float, batch_size: int, tmp_path: Path
) -> None:
    server, failures = Narrow(8, 4, 0.05), [0]

    async def fail(request: httpx.Request) -> httpx.Response:
        if begin <= asyncio.get_running_loop().time() < end:
            failures[0] += 1
            return httpx.Response(500)
        return await server.handle_async_request(request)

    told = ask(httpx.MockTransport(fail), tmp_path, rows=ROWS, options={"batch_size": batch_size})
    assert told.lost == 0
    assert told.seconds <= ROWS * 0.05 / 4 + 2 * (end - begin) + 6
    assert failures[0] <= 120


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("answered", [0, 50])
def test_permanent_failure_ends_after_few_requests(answered: int, batch_size: int, tmp_path: Path) -> None:
    server, asked = Narrow(32, 4, 0.05), [0]

    async def fail(request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        return await server.handle_async_request(request) if asked[0] <= answered else httpx.Response(500)

    told = ask(httpx.MockTransport(fail), tmp_path, rows=5000, options={"batch_size": batch_size})
    assert told.lost >= 5000 - 32 * answered
    assert told.seconds < 400 and asked[0] <= answered + 400


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(("places", "seconds"), [(2, 0.05), (4, 0.5)])
def test_a_server_that_fails_on_too_many_requests_at_once_gets_fewer(
    places: int, seconds: float, batch_size: int, tmp_path: Path
) -> None:
    server, busy = Narrow(8, places, seconds), [0]

    async def fail(request: httpx.Request) -> httpx.Response:
        if busy[0] >= places:
            return httpx.Response(500)
        busy[0] += 1
        try:
            return await server.handle_async_request(request)
        finally:
            busy[0] -= 1

    told = ask(httpx.MockTransport(fail), tmp_path, options={"batch_size": batch_size})
    assert told.lost == 0
    assert told.seconds <= 134 * seconds / places + 6


class Crowded(Narrow):
    """Fails on every request that comes while it works on as many as it has places for."""

    def __init__(self, places: int, seconds: float, poor: frozenset[str] = frozenset()) -> None:
        super().__init__(1000, places, seconds, poor=poor)
        self.places, self.under_way = places, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.under_way >= self.places:
            return httpx.Response(500, json={"detail": "out of memory"})
        self.under_way += 1
        try:
            return await super().handle_async_request(request)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("seconds", [0.02, 0.5])
@pytest.mark.parametrize("places", [1, 2])
@pytest.mark.parametrize("rows", [7, 60, ROWS])
def test_a_server_that_fails_on_concurrent_requests_loses_no_row(
    rows: int, places: int, seconds: float, batch_size: int, tmp_path: Path
) -> None:
    told = ask(Crowded(places, seconds), tmp_path, rows=rows, options={"batch_size": batch_size})
    assert told.lost == 0
    assert told.seconds <= 3 * rows * seconds + 60


def test_rows_that_always_fail_are_lost_alone_even_so(tmp_path: Path) -> None:
    poor = frozenset(f"p{row}" for row in range(3, 60, 9))
    told = ask(Crowded(1, 0.1, poor), tmp_path, rows=60, options={"batch_size": 8})
    assert told.lost == len(poor)


class Hanging(Narrow):
    """Never answers some rows, and drops what nobody waits for."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        prompts = json.loads(await request.aread())["prompt"]
        if not self.poor.isdisjoint([prompts] if isinstance(prompts, str) else prompts):
            await asyncio.get_running_loop().create_future()
        return await super().handle_async_request(request)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("hanging", [range(7, 40, 10), range(0, 40, 5), range(34, 40), [39]], ids=str)
def test_rows_that_hang_do_not_fail_others(hanging: range, batch_size: int, tmp_path: Path) -> None:
    poor = frozenset(f"p{row}" for row in hanging)
    server = Hanging(1000, 16, 0.02, poor=poor)
    told = ask(server, tmp_path, rows=40, options={"batch_size": batch_size}, read_timeout=1.0)
    assert told.lost == len(poor)
