"""Servers that fail on some requests at random, beside servers that are overloaded, in simulated time."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import httpx
import pytest
from simulated_asking import ask

# The first pause is half a second at most, and half of that is added to what a server asked for.
PAUSE = 0.5


class Flaky(httpx.AsyncBaseTransport):
    """Fails on a share of its requests.

    Args:
        share: of them.
        statuses: of the failures, in turn at random.
        seconds: for an answer.
        failing: seconds for a failure.
        retry_after: seconds, told with a 429 or 503.
    """

    def __init__(
        self,
        share: float,
        statuses: Sequence[int],
        seconds: float,
        *,
        failing: float = 0.005,
        retry_after: int | None = None,
        seed: int = 0,
    ) -> None:
        self.share, self.statuses, self.seconds, self.failing = share, statuses, seconds, failing
        self.retry_after, self.chance = retry_after, random.Random(seed)
        self.failures: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        found = json.loads(await request.aread())["prompt"]
        prompts = found if isinstance(found, list) else [found]
        if self.chance.random() < self.share:
            self.failures.update(prompts)
            status = self.chance.choice(self.statuses)
            await asyncio.sleep(self.failing)
            told = self.retry_after is not None and status in (429, 503)
            return httpx.Response(status, headers={"retry-after": str(self.retry_after)} if told else {})
        await asyncio.sleep(self.seconds)
        return _completed(prompts)


def _completed(prompts: list[str]) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"index": n, "text": p} for n, p in enumerate(prompts)]})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int, float], float]:
    """Seconds that rows take in requests of one size if no answer fails."""

    @cache
    def seconds_of(rows: int, batch_size: int, seconds: float) -> float:
        server, options = Flaky(0.0, (500,), seconds), {"batch_size": batch_size}
        return ask(server, tmp_path_factory.mktemp("sound"), rows=rows, options=options).seconds

    return seconds_of


@pytest.mark.parametrize(
    ("statuses", "retry_after"),
    [((429, 503), None), ((429, 503), 1), ((429, 503), 10), ((500,), None), ((429, 500, 503), 3)],
    ids=str,
)
@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.5])
@pytest.mark.parametrize(("rows", "batch_size", "seconds"), [(60, 8, 0.2), (150, 1, 0.05), (100, 1, 2.0)])
def test_random_failures_cost_no_more_pauses_than_one_row(
    rows: int,
    batch_size: int,
    seconds: float,
    share: float,
    statuses: tuple[int, ...],
    retry_after: int | None,
    sound: Callable[[int, int, float], float],
    tmp_path: Path,
) -> None:
    options = {"batch_size": batch_size}
    server = Flaky(share, statuses, seconds, retry_after=retry_after)
    told = ask(server, tmp_path, rows=rows, options=options)
    assert told.lost == 0
    # Rows wait side by side, so that the one that fails most often is waited for.
    waited = max(server.failures.values(), default=0) * ((retry_after or 0) + PAUSE)
    pauses = waited if 500 not in statuses else max(waited, 8.0)
    assert told.seconds <= 3 * sound(rows, batch_size, seconds) / (1 - share) + 2 * pauses + 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_failures_that_take_as_long_as_answers_cost_no_more(
    share: float, status: int, sound: Callable[[int, int, float], float], tmp_path: Path
) -> None:
    server = Flaky(share, (status,), 0.5, failing=0.5, seed=3)
    told = ask(server, tmp_path, rows=200, options={"batch_size": 1})
    assert told.lost == 0
    assert told.seconds <= 4 * sound(200, 1, 0.5) / (1 - share) + max(server.failures.values()) * (
        0.5 + PAUSE
    )


@pytest.mark.parametrize("concurrency", [1, 4, 32])
def test_chosen_concurrency_is_kept_where_failures_are_random(concurrency: int, tmp_path: Path) -> None:
    options = {"batch_size": 1, "concurrency": concurrency}
    told = ask(Flaky(0.3, (429, 500), 0.5), tmp_path, rows=100, options=options)
    assert told.lost == 0
    assert told.seconds <= 2 * 100 * 0.5 / concurrency / 0.7 + 8


@pytest.mark.parametrize("retry_after", [2, 20])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_server_that_rejects_everything_for_a_while_gets_few_requests(
    batch_size: int, retry_after: int, tmp_path: Path
) -> None:
    refused = list[float]()

    async def answer(request: httpx.Request) -> httpx.Response:
        found = json.loads(await request.aread())["prompt"]
        now = asyncio.get_running_loop().time()
        if 0.25 <= now < 0.25 + retry_after:
            refused.append(now)
            return httpx.Response(429, headers={"retry-after": str(retry_after)})
        await asyncio.sleep(0.1)
        return _completed(found if isinstance(found, list) else [found])

    options = {"batch_size": batch_size}
    told = ask(
        httpx.MockTransport(answer), tmp_path, rows=400 * batch_size, options=options, max_connections=16
    )
    assert told.lost == 0
    # Those that were under way, and a few more.
    assert len(refused) <= 40
    assert max(refused) < 0.75


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_limit_on_the_rate_is_met_with_few_refusals(batch_size: int, tmp_path: Path) -> None:
    used, refused = Counter[int](), Counter[int]()

    async def answer(request: httpx.Request) -> httpx.Response:
        found = json.loads(await request.aread())["prompt"]
        second = int(asyncio.get_running_loop().time())
        if used[second] >= 20:
            refused[second] += 1
            return httpx.Response(429, headers={"retry-after": "1"})
        used[second] += 1
        await asyncio.sleep(0.05)
        return _completed(found if isinstance(found, list) else [found])

    rows = 400 * batch_size
    told = ask(httpx.MockTransport(answer), tmp_path, rows=rows, options={"batch_size": batch_size})
    assert told.lost == 0
    assert told.seconds <= 2.5 * 400 / 20
    assert refused.total() <= 400


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("places", [1, 3, 12])
def test_a_server_with_few_places_is_found_out(places: int, status: int, tmp_path: Path) -> None:
    busy, refused = [0], [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        found = json.loads(await request.aread())["prompt"]
        if busy[0] >= places:
            refused[0] += 1
            return httpx.Response(status)
        busy[0] += 1
        await asyncio.sleep(0.5)
        busy[0] -= 1
        return _completed(found if isinstance(found, list) else [found])

    told = ask(httpx.MockTransport(answer), tmp_path, rows=300, options={"batch_size": 1})
    assert told.lost == 0
    assert told.seconds <= 2 * 300 * 0.5 / places
    assert refused[0] <= 240


def test_one_long_pause_loses_its_row_alone(tmp_path: Path) -> None:
    asked = [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        found = json.loads(await request.aread())["prompt"]
        asked[0] += 1
        if asked[0] == 40:
            return httpx.Response(429, headers={"retry-after": "3600"})
        await asyncio.sleep(0.1)
        return _completed(found if isinstance(found, list) else [found])

    told = ask(httpx.MockTransport(answer), tmp_path, rows=100, options={"batch_size": 1})
    assert told.lost == 1 and told.seconds < 5


@pytest.mark.parametrize("failing", [2.0, 8.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_gateway_that_takes_long_to_report_a_broken_replica_costs_no_row(
    seed: int, failing: float, tmp_path: Path
) -> None:
    server = Flaky(0.3, (502,), 1.0, failing=failing, seed=seed)
    told = ask(server, tmp_path, rows=400, options={"batch_size": 1})
    assert told.lost == 0
    assert told.seconds <= 200


@pytest.mark.parametrize("seed", [0, 2])
def test_a_gateway_that_slowly_fails_on_every_other_request_costs_no_row(seed: int, tmp_path: Path) -> None:
    server = Flaky(0.5, (502,), 1.0, failing=2.0, seed=seed)
    assert ask(server, tmp_path, rows=400, options={"batch_size": 1}).lost == 0


@pytest.mark.parametrize("poor", [["p59"], ["p3", "p30"]], ids=str)
def test_rows_on_which_a_gateway_always_fails_slowly_are_lost_alone(poor: list[str], tmp_path: Path) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        prompt = json.loads(await request.aread())["prompt"]
        if prompt in poor:
            await asyncio.sleep(2.0)
            return httpx.Response(502)
        await asyncio.sleep(0.5)
        return _completed([prompt])

    told = ask(httpx.MockTransport(answer), tmp_path, rows=60, options={"batch_size": 1})
    assert told.lost == len(poor)
    assert told.seconds <= 400
