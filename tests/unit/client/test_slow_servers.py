"""Many rows asked of servers that are slower than the first requests expect, in simulated time."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM, client
from simulated_asking import ask
from simulated_time import Batching, Queueing, Sharing, SimulatedNim, simulate, simulated_clock

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    ConnectionFailedError,
    DeadlineExceededError,
    RateLimitedError,
)
from lawtags_client.intents import SqliteIntents
from lawtags_client.services.inference import Load
from lawtags_client.settings import Settings

ROWS = 134
# So many rows are sent at once at first, in requests of eight.
SALVO = 128


@pytest.mark.parametrize("ends", ["timeout", "cut"])
@pytest.mark.parametrize(
    ("slower", "batch_size"), [(1.1, 8), (4, 1), (4, 8), (4, 32), (16, 8), (64, 8), (120, 1), (120, 32)]
)
def test_a_time_sharing_server_answers_all_rows_in_twice_its_own_time(
    slower: float, batch_size: int, ends: str, tmp_path: Path
) -> None:
    patience = 60.0 if ends == "timeout" else 7.0
    server = Sharing(SALVO / patience / slower)
    nim = SimulatedNim(server.serve, cut=patience if ends == "cut" else None)
    told = ask(nim, tmp_path, options={"batch_size": batch_size}, read_timeout=60.0)
    assert told.lost == 0
    assert told.seconds <= 2 * ROWS / server.rate


@pytest.mark.parametrize("slower", [2, 32])
@pytest.mark.parametrize("how", ["concurrency of one's own", "chats", "ordered", "no time limit chosen"])
def test_nothing_is_lost_however_the_rows_are_asked_for(slower: float, how: str, tmp_path: Path) -> None:
    server = Sharing(SALVO / 60 / slower)
    options: dict[str, Any] = {"concurrency of one's own": {"concurrency": 24}, "ordered": {"ordered": True}}
    chosen = {} if how == "no time limit chosen" else {"read_timeout": 60.0}
    told = ask(
        SimulatedNim(server.serve),
        tmp_path,
        chat=how == "chats",
        options=options.get(how),
        **chosen,
    )
    assert told.lost == 0
    assert told.seconds <= 2 * ROWS / server.rate
    assert how != "ordered" or told.rows == list(range(ROWS))


def _unlike(prompt: str) -> float:
    return min(random.Random(prompt).lognormvariate(-0.25, 0.7), 6.0)


@pytest.mark.parametrize("slower", [4, 16])
def test_rows_of_all_lengths_are_answered(slower: float, tmp_path: Path) -> None:
    server = Sharing(SALVO / 60 / slower)
    told = ask(SimulatedNim(server.serve, size=_unlike), tmp_path, read_timeout=60.0)
    assert told.lost == 0
    assert told.seconds <= 2 * sum(_unlike(f"p{row}") for row in range(ROWS)) / server.rate


@pytest.mark.parametrize("ends", ["timeout", "cut"])
@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("slower", [1.5, 4, 16, 64])
def test_a_server_that_ignores_disconnects_loses_no_row(
    slower: float, shares: bool, ends: str, tmp_path: Path
) -> None:
    patience = 60.0 if ends == "timeout" else 7.0
    seconds = slower * patience / SALVO
    serve = Sharing(1 / seconds, drops=False).serve if shares else Queueing(1, seconds, drops=False).serve
    nim = SimulatedNim(serve, cut=patience if ends == "cut" else None)
    # Its first work is done after six times as long as a call may take, or the server would be given up.
    told = ask(nim, tmp_path, read_timeout=60.0, total_timeout=max(300.0, SALVO * seconds / 4))
    assert told.lost == 0
    # It does the first requests in vain, and is found free again a little late.
    assert told.seconds <= 1.5 * (SALVO + ROWS) * seconds


@pytest.mark.parametrize("how", ["concurrency of one's own", "chats", "no time limit chosen", "few places"])
def test_work_that_goes_on_costs_no_row_however_the_rows_are_asked_for(how: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"concurrency of one's own": {"concurrency": 24, "batch_size": 4}}
    chosen = {} if how == "no time limit chosen" else {"read_timeout": 60.0}
    server = Queueing(4, 30.0, drops=False) if how == "few places" else Sharing(SALVO / 60 / 16, drops=False)
    told = ask(SimulatedNim(server.serve), tmp_path, chat=how == "chats", options=options.get(how), **chosen)
    assert told.lost == 0


def test_a_server_busy_with_abandoned_requests_loses_no_row(
    tmp_path: Path,
) -> None:
    server, busy = Queueing(1, 30.0, drops=False), [0]

    async def work() -> None:
        busy[0] += 1
        await server.serve([1.0])
        busy[0] -= 1

    async def answer(request: httpx.Request) -> httpx.Response:
        if busy[0] >= 16:
            return httpx.Response(503)
        prompt = json.loads(await request.aread())["messages"][0]["content"]
        try:
            async with asyncio.timeout(60.0):
                await asyncio.shield(asyncio.create_task(work()))
        except TimeoutError:
            raise httpx.ReadTimeout("slow") from None
        choice = {"index": 0, "message": {"role": "assistant", "content": prompt}}
        return httpx.Response(200, json={"choices": [choice]})

    told = ask(httpx.MockTransport(answer), tmp_path, rows=30, chat=True, read_timeout=60.0)
    assert told.lost == 0


@pytest.mark.parametrize(("places", "seconds"), [(1, 2.0), (1, 50.0), (4, 5.0), (16, 20.0)])
def test_a_server_with_places_and_a_queue_answers_all_rows(
    places: int, seconds: float, tmp_path: Path
) -> None:
    told = ask(SimulatedNim(Queueing(places, seconds).serve), tmp_path, read_timeout=60.0)
    assert told.lost == 0
    assert told.seconds <= 4 * seconds * ROWS / places


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize(("word", "more", "best"), [(0.2, 0.05, 16), (1.0, 0.1, 4), (1.0, 0.3, 1)])
def test_a_server_that_batches_is_asked_for_more_again_where_that_brings_something(
    word: float, more: float, best: int, chosen: bool, tmp_path: Path
) -> None:
    settings = {"read_timeout": 60.0} if chosen else {}
    told = ask(SimulatedNim(Batching(word, more, words=40).serve), tmp_path, **settings)
    assert told.lost == 0
    # The most rows at a time that are answered within the limit.
    assert told.seconds <= 1.6 * ROWS / best * 40 * (word + more * best)


def test_requests_are_fewer_and_smaller_after_a_timeout(tmp_path: Path) -> None:
    nim = SimulatedNim(Sharing(SALVO / 60 / 16).serve)
    ask(nim, tmp_path, read_timeout=60.0)
    salvos = {
        round(begun, 3): [size for at, size in nim.requests if at == begun] for begun, _ in nim.requests
    }
    # Before each a row by itself, which shows that the server is free.
    assert list(salvos.values())[:5] == [[8] * 16, [1], [4] * 8, [1], [2] * 4]


def test_both_grow_again_when_a_server_has_recovered(tmp_path: Path) -> None:
    server = Sharing(SALVO / 60 / 8)
    told_off = [False]

    async def serve(sizes: list[float]) -> None:
        if asyncio.get_running_loop().time() > 100 and not told_off[0]:
            told_off[0], server.rate = True, 1e6
        await asyncio.gather(server.serve(sizes), asyncio.sleep(0.5))

    told = ask(SimulatedNim(serve), tmp_path, rows=2000, read_timeout=60.0)
    assert told.lost == 0
    assert told.loads[-1].batch_size == 8 and told.loads[-1].limit >= 16


def test_what_is_under_way_is_told(tmp_path: Path) -> None:
    told = ask(SimulatedNim(Sharing(100.0).serve), tmp_path)
    assert max(load.rows for load in told.loads) == SALVO
    assert max(load.requests for load in told.loads) == 16
    assert (told.loads[-1].rows, told.loads[-1].answered, told.loads[-1].failed) == (0, ROWS, 0)


def test_time_that_the_caller_takes_is_not_the_server_s(tmp_path: Path) -> None:
    loads: list[Load] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        prompts = json.loads(await request.aread())["prompt"]
        prompts = prompts if isinstance(prompts, list) else [prompts]
        if "p150" in prompts:
            return httpx.Response(500)
        return httpx.Response(200, json={"choices": [{"index": n, "text": p} for n, p in enumerate(prompts)]})

    async def work() -> int:
        nemo = NeMo(
            Settings(platform_url=PLATFORM),
            intents=SqliteIntents(tmp_path / "intents.sqlite"),
            clock=simulated_clock(),
            handler=httpx.MockTransport(answer),
        )
        prompts = (f"p{row}" for row in range(300))
        failed = 0
        async for outcome in nemo.inference.complete_each(prompts, model="m", on_load=loads.append):
            failed += outcome.error is not None
            await asyncio.sleep(40.0)
        return failed

    assert simulate(work) == 1
    # Otherwise a failure that came at once would look as if the server had been too slow.
    assert {load.batch_size for load in loads} == {8}


@pytest.mark.parametrize("fault", [RuntimeError("ours"), RecursionError()])
async def test_a_fault_of_the_program_is_told_and_leaves_nothing_running(
    fault: Exception, tmp_path: Path
) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits for this")

    def prompts() -> Iterator[str]:
        yield from ["x"] * 5
        raise fault

    before = asyncio.all_tasks()
    with pytest.raises(type(fault)):
        await client(answer, tmp_path).inference.complete_many(prompts(), model="m")  # type: ignore[arg-type]
    assert asyncio.all_tasks() == before


# Rows that are given up


@pytest.mark.parametrize(("retries", "total"), [(0, 5.0), (2, 5.0), (4, 300.0), (1000, 5.0)])
@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadError("reset")], ids=str)
def test_an_unreachable_server_costs_no_more_time_than_one_row(
    failure: Exception, retries: int, total: float, tmp_path: Path
) -> None:
    server = Failing(failure)
    told = ask(server, tmp_path, rows=1500, max_retries=retries, total_timeout=total)
    assert told.lost == 1500
    assert told.seconds <= total
    # The first requests, and then one at a time.
    assert server.asked <= 16 + min(retries, 16) + 1
    assert {type(error) for error in told.errors} == {type(told.errors[0])}


@pytest.mark.parametrize(("retries", "total"), [(0, 5.0), (2, 5.0), (4, 300.0), (1000, 5.0)])
@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(503),
        httpx.Response(503, headers={"retry-after": "1"}),
        httpx.Response(429),
        httpx.Response(502),
        httpx.Response(504),
    ],
    ids=lambda failure: f"{failure.status_code} {failure.headers.get('retry-after', '')}",
)
def test_a_server_that_is_never_ready_ends_the_call_at_its_timeout(
    failure: httpx.Response, retries: int, total: float, tmp_path: Path
) -> None:
    server = Failing(failure)
    told = ask(server, tmp_path, rows=1500, max_retries=retries, total_timeout=total)
    assert told.lost == 1500
    assert told.seconds <= total + 12
    assert server.asked <= 24 + 4 * total
    assert {type(error) for error in told.errors} == {type(told.errors[0])}


def _completed(prompts: list[str]) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"index": n, "text": p} for n, p in enumerate(prompts)]})


async def _prompts(request: httpx.Request) -> list[str]:
    found: list[str] | str = json.loads(await request.aread())["prompt"]
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize(
    ("down", "begins_down", "most"),
    [(2.0, True, 10), (2.0, False, 0), (4.0, True, 10), (4.0, False, 10), (30.0, False, 50)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_not_ready_at_times_costs_only_the_rows_whose_attempts_are_used_up(
    status: int, down: float, begins_down: bool, most: int, tmp_path: Path
) -> None:
    server = Sharing(50.0)

    async def answer(request: httpx.Request) -> httpx.Response:
        passed = asyncio.get_running_loop().time() % (down + 1)
        if (passed < down) if begins_down else (passed >= 1.0):
            return httpx.Response(status)
        prompts = await _prompts(request)
        await server.serve([1.0] * len(prompts))
        return _completed(prompts)

    told = ask(httpx.MockTransport(answer), tmp_path, rows=200, total_timeout=120.0)
    # A row whose attempts fall into gaps is lost, as it would be to a client that asks for one at a time.
    assert told.lost <= most


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("places", [1, 2, 4, 6])
@pytest.mark.parametrize("options", [{}, {"concurrency": 4}, {"batch_size": 32}], ids=str)
def test_a_server_that_takes_few_rows_at_a_time_loses_none(
    options: dict[str, Any], places: int, status: int, tmp_path: Path
) -> None:
    busy = [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        prompts = await _prompts(request)
        if busy[0] + len(prompts) > places:
            return httpx.Response(status)
        busy[0] += len(prompts)
        await asyncio.sleep(0.05 * len(prompts))
        busy[0] -= len(prompts)
        return _completed(prompts)

    told = ask(httpx.MockTransport(answer), tmp_path, rows=60, options=options, total_timeout=30.0)
    assert told.lost == 0


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_failures_of_shared_requests_count_against_no_row(batch_size: int, tmp_path: Path) -> None:
    chance = random.Random(5)

    async def answer(request: httpx.Request) -> httpx.Response:
        prompts = await _prompts(request)
        await asyncio.sleep(0.02)
        # Most requests of several rows fail, and then every tenth of one row.
        failing = chance.random() < (0.6 if len(prompts) > 1 else 0.1)
        return httpx.Response(500) if failing else _completed(prompts)

    told = ask(httpx.MockTransport(answer), tmp_path, rows=200, options={"batch_size": batch_size})
    # Five attempts of a row by itself fail with a probability of 0.00001.
    assert told.lost == 0


def test_an_outage_in_the_middle_costs_no_row_that_can_still_be_asked_for(tmp_path: Path) -> None:
    server = Sharing(20.0)

    async def serve(sizes: list[float]) -> None:
        if 10 < asyncio.get_running_loop().time() < 13:
            raise httpx.ConnectError("restarting")
        await server.serve(sizes)

    told = ask(SimulatedNim(serve), tmp_path, rows=600)
    assert told.lost == 0


def _endless(row: int) -> Callable[[str], float]:
    return lambda prompt: 1e9 if prompt == f"p{row}" else 1.0


@pytest.mark.parametrize("row", [0, 70, 133])
def test_a_row_that_is_never_answered_fails_alone_with_the_reason(row: int, tmp_path: Path) -> None:
    nim = SimulatedNim(Sharing(50.0).serve, size=_endless(row))
    told = ask(nim, tmp_path, read_timeout=5.0, max_retries=2)
    assert told.lost == 1
    assert isinstance(told.errors[0], DeadlineExceededError)
    assert told.rows.index(row) >= 0


@pytest.mark.parametrize("retries", [0, 2, 4])
@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout])
def test_an_unreachable_server_gets_the_configured_number_of_attempts(
    kind: type[httpx.TransportError], retries: int, tmp_path: Path
) -> None:
    server = Failing(kind("refused"))
    told = ask(server, tmp_path, rows=1, max_retries=retries)
    assert isinstance(told.errors[0], ConnectionFailedError)
    assert server.asked == 1 + retries
    # The first rows are tried again, and what comes after them once.
    server = Failing(kind("refused"))
    told = ask(server, tmp_path, rows=1_000, max_retries=retries)
    assert told.lost == 1_000
    assert told.seconds < 400


class Failing(httpx.AsyncBaseTransport):
    """Never answers, or with an error."""

    def __init__(self, failure: Exception | httpx.Response | None) -> None:
        self.failure, self.asked, self.patience = failure, 0, list[float]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.patience.append(request.extensions["timeout"]["read"])
        if self.failure is None:
            await asyncio.sleep(self.patience[-1])
            raise httpx.ReadTimeout("slow")
        if isinstance(self.failure, httpx.Response):
            answer = self.failure
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        raise self.failure


@pytest.mark.parametrize("total", [2.0, 30.0])
def test_one_question_ends_within_the_call_timeout(total: float, tmp_path: Path) -> None:
    for failure in (None, httpx.ConnectError("refused"), httpx.Response(503)):
        told = ask(Failing(failure), tmp_path, rows=1, total_timeout=total, max_retries=1000)
        assert told.lost == 1
        assert told.seconds <= total + 0.01


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("places", "seconds"), [(1, 0.1), (1, 30.0), (4, 5.0)])
def test_a_server_that_rejects_requests_above_its_capacity_loses_no_row(
    places: int, seconds: float, status: int, tmp_path: Path
) -> None:
    busy = [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        if busy[0] >= places:
            return httpx.Response(status, json={"detail": "busy"})
        busy[0] += 1
        await asyncio.sleep(seconds)
        busy[0] -= 1
        prompts = json.loads(await request.aread())["prompt"]
        choices = [
            {"index": n, "text": p} for n, p in enumerate(prompts if isinstance(prompts, list) else [prompts])
        ]
        return httpx.Response(200, json={"choices": choices})

    told = ask(httpx.MockTransport(answer), tmp_path)
    assert told.lost == 0


@pytest.mark.parametrize(
    "failure", [httpx.Response(429), httpx.Response(500), httpx.Response(503), httpx.ReadError("reset"), None]
)
def test_a_silent_server_ends_the_call(failure: httpx.Response | Exception | None, tmp_path: Path) -> None:
    told = ask(Failing(failure), tmp_path, rows=1500, read_timeout=10.0)
    assert told.lost == 1500
    assert told.seconds < 1000


@pytest.mark.parametrize("total", [5.0, 60.0, 300.0])
@pytest.mark.parametrize("patience", [1.0, 30.0, 60.0])
def test_a_silent_server_is_waited_for_no_longer_than_total_timeout_allows(
    patience: float, total: float, tmp_path: Path
) -> None:
    told = ask(Failing(None), tmp_path, rows=500, read_timeout=patience, total_timeout=total)
    assert told.lost == 500
    assert told.seconds <= 8 * total + 3 * patience


def test_a_pause_longer_than_a_call_may_take_is_told_at_once(tmp_path: Path) -> None:
    server = Failing(httpx.Response(429, headers={"retry-after": "3600"}))
    told = ask(server, tmp_path, rows=1000)
    assert told.lost == 1000 and isinstance(told.errors[0], RateLimitedError)
    assert server.asked <= 16 and told.seconds < 1


# How long a request may take


def test_a_chosen_time_limit_is_never_exceeded(tmp_path: Path) -> None:
    server = Failing(None)
    ask(server, tmp_path, rows=20, read_timeout=3.0)
    assert set(server.patience) == {3.0}
    server = Failing(None)
    ask(server, tmp_path, rows=20, total_timeout=90.0)
    assert max(server.patience) <= 90.0


@pytest.mark.parametrize(("seconds", "lost"), [(100.0, False), (200.0, False), (1000.0, True)])
def test_a_limit_that_nobody_chose_grows_with_what_was_seen(
    seconds: float, lost: bool, tmp_path: Path
) -> None:
    told = ask(SimulatedNim(Sharing(1 / seconds).serve), tmp_path, rows=30)
    assert told.lost == (30 if lost else 0)
    chosen = ask(SimulatedNim(Sharing(1 / seconds).serve), tmp_path, rows=3, read_timeout=60.0)
    assert chosen.lost == 3
