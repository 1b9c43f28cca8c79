"""Several calls of one client that ask the same server at the same time, in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM
from simulated_pools import Full, Pools, together
from simulated_time import simulate, simulated_clock

from lawtags_client.client import NeMo
from lawtags_client.errors import APIError
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage


class Served(httpx.AsyncBaseTransport):
    """A simulated server behind HTTP."""

    def __init__(self, server: Full) -> None:
        self.server = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        chat = "messages" in body
        found = body["messages"][0]["content"] if chat else body["prompt"]
        prompts = found if isinstance(found, list) else [found]
        try:
            await self.server.answer(prompts)
        except APIError as error:
            return httpx.Response(error.status or 500)
        texts = [{"message": {"role": "assistant", "content": p}} if chat else {"text": p} for p in prompts]
        return httpx.Response(200, json={"choices": [{"index": n, **text} for n, text in enumerate(texts)]})


def calls_of_a_client(
    server: httpx.AsyncBaseTransport, folder: Path, calls: Callable[[NeMo], Sequence[Awaitable[int]]]
) -> tuple[list[int], float]:
    """Rows that each call has lost, and the seconds until all have ended."""

    async def work() -> tuple[list[int], float]:
        intents = SqliteIntents(folder / "intents.sqlite")
        async with NeMo(
            Settings(platform_url=PLATFORM), intents=intents, clock=simulated_clock(), handler=server
        ) as nemo:
            lost = await asyncio.gather(*calls(nemo))
            return lost, asyncio.get_running_loop().time()

    return simulate(work)


async def complete(nemo: NeMo, name: str, rows: int, model: str = "m", **options: Any) -> int:
    lost = 0
    prompts = (f"{name}{row}" for row in range(rows))
    async for outcome in nemo.inference.complete_each(prompts, model=model, **options):
        lost += outcome.error is not None
    return lost


async def chat(nemo: NeMo, name: str, rows: int, **options: Any) -> int:
    async def asked() -> AsyncIterator[ChatCompletionRequest]:
        for row in range(rows):
            await asyncio.sleep(0)
            message = ChatMessage(role="user", content=f"{name}{row}")
            yield ChatCompletionRequest(model="m", messages=[message])

    return len([o async for o in nemo.inference.chat_each(asked(), **options) if o.error is not None])


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("places", "pools", "refusing"), [(1, 2, 0.0), (3, 2, 0.0), (2, 5, 0.0), (4, 2, 1.0), (1, 2, 0.7)]
)
def test_a_server_that_is_full_of_another_call_s_requests_loses_no_row(
    places: int, pools: int, refusing: float, status: int
) -> None:
    server, rows = Full(places, status, refusing=refusing), 40
    lost, seconds = together(server.answer, lambda pool: [pool.lost(f"{n}-", rows) for n in range(pools)])
    assert lost == [0] * pools
    assert seconds <= 1.5 * rows * pools * 0.5 / places + 2


@pytest.mark.parametrize(
    ("places", "share", "status", "seed"),
    [
        (1, 0.3, 500, 0),
        (1, 0.3, 500, 1),
        (1, 0.1, 500, 2),
        (3, 0.5, 500, 0),
        (3, 0.3, 503, 1),
        (1, 0.3, 429, 0),
    ],
)
def test_a_full_server_that_fails_at_random_too_loses_no_row(
    places: int, share: float, status: int, seed: int
) -> None:
    server = Full(places, status, share=share, seed=seed)
    lost, seconds = together(server.answer, lambda pool: [pool.lost(name, 200) for name in "ab"])
    assert lost == [0, 0]
    assert seconds <= 1.6 * 400 * 0.5 / places
    # Failures by chance, and a few attempts to send more.
    assert server.refused <= 400


@pytest.mark.parametrize("places", [2, 3])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_rows_that_always_fail_are_lost_alone_at_a_full_server(share: float, places: int) -> None:
    poor = frozenset(f"a{3 + 7 * row}" for row in range(40))
    server = Full(places, 500, 0.1, share=share, poor=poor)
    lost, seconds = together(server.answer, lambda pool: [pool.lost("a", 300)])
    assert lost == [40]
    assert seconds <= 40


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("kinds", ["completions and chats", "two sizes", "two numbers", "chats"])
def test_calls_of_different_kinds_cost_each_other_no_row(kinds: str, status: int, tmp_path: Path) -> None:
    def calls(nemo: NeMo) -> Sequence[Awaitable[int]]:
        if kinds == "completions and chats":
            return [complete(nemo, "a", 40, batch_size=1), chat(nemo, "b", 40)]
        if kinds == "two sizes":
            return [complete(nemo, "a", 40, batch_size=1), complete(nemo, "b", 40, batch_size=8)]
        if kinds == "two numbers":
            return [complete(nemo, name, 40, batch_size=1, concurrency=len(name)) for name in ("a", "bbbb")]
        return [chat(nemo, "a", 40), chat(nemo, "b", 40)]

    lost, _ = calls_of_a_client(Served(Full(2, status, seconds=0.2)), tmp_path, calls)
    assert lost == [0, 0]


def test_places_go_to_all_calls_in_turn() -> None:
    server = Full(1000, seconds=1.0)
    together(server.answer, lambda pool: [pool.lost(name, 120) for name in "abcd"])
    half = sorted(server.ended, key=server.ended.__getitem__)[:240]
    assert all(45 <= count <= 75 for count in Counter(row[0] for row in half).values())
    assert server.most <= Settings(platform_url=PLATFORM).max_connections


def test_a_call_whose_caller_has_stopped_keeps_no_other_waiting() -> None:
    async def stopped(pool: Pools) -> int:
        async with aclosing(pool.open("s", 200)) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(1000.0)
        return 0

    server = Full(1000, seconds=1.0)
    together(server.answer, lambda pool: [stopped(pool), pool.lost("a", 200)])
    assert max(at for row, at in server.ended.items() if row[0] == "a") < 30


def test_a_call_that_is_left_early_gives_its_places_back() -> None:
    async def left(pool: Pools) -> int:
        async with aclosing(pool.open("s", 10_000)) as outcomes:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.5):
                    async for _ in outcomes:
                        pass
        return 0

    server = Full(1000, seconds=1.0)
    lost, seconds = together(server.answer, lambda pool: [left(pool), pool.lost("a", 300)])
    assert lost == [0, 0] and seconds < 20


def test_a_row_that_is_asked_for_alone_waits_for_no_call_to_end() -> None:
    server, ended = Full(1000, seconds=2.0, poor=frozenset({"b3"})), dict[str, float]()

    async def timed(pool: Pools, name: str, rows: int) -> int:
        lost = await pool.lost(name, rows)
        ended[name] = asyncio.get_running_loop().time()
        return lost

    lost, _ = together(server.answer, lambda pool: [timed(pool, "a", 900), timed(pool, "b", 20)])
    assert lost == [0, 1]
    assert ended["b"] < ended["a"] - 5


def test_a_call_after_one_that_was_given_up_starts_fresh(tmp_path: Path) -> None:
    server, up = Served(Full(1000, seconds=0.1)), [False]

    async def answer(request: httpx.Request) -> httpx.Response:
        if not up[0]:
            raise httpx.ConnectError("refused")
        return await server.handle_async_request(request)

    async def calls(nemo: NeMo) -> int:
        async def given_up() -> AsyncIterator[int]:
            async for outcome in nemo.inference.complete_each((f"a{n}" for n in range(3000)), model="m"):
                yield outcome.error is not None

        first = given_up()
        assert await anext(first) == 1
        up[0] = True
        second = await complete(nemo, "b", 50)
        assert sum([lost async for lost in first]) > 2000
        return second

    lost, _ = calls_of_a_client(httpx.MockTransport(answer), tmp_path, lambda nemo: [calls(nemo)])
    assert lost == [0]


def test_models_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    server = Served(Full(1000, seconds=0.1))

    async def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(await request.aread())["model"] == "broken":
            return httpx.Response(429, headers={"retry-after": "20"})
        return await server.handle_async_request(request)

    async def timed(nemo: NeMo) -> int:
        lost = await complete(nemo, "a", 100)
        assert asyncio.get_running_loop().time() < 5
        return lost

    lost, _ = calls_of_a_client(
        httpx.MockTransport(answer), tmp_path, lambda nemo: [complete(nemo, "b", 10, "broken"), timed(nemo)]
    )
    assert lost == [10, 0]
