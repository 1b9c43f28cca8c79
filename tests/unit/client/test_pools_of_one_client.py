"""Several calls of one client that ask the same server at the same time, in simulated time."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM
from simulated_time import simulate, simulated_clock

from lawtags_client.client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage


@dataclass
class Full(httpx.AsyncBaseTransport):
    """Refuses what comes while all of its places are taken.

    Args:
        places: requests that it works on side by side.
        status: of a refusal.
        seconds: for an answer.
        refusing: seconds for a refusal.
        share: of the requests it takes that fail at random with a 500.
        seed: of these.
    """

    places: int
    status: int = 503
    seconds: float = 0.5
    refusing: float = 0.0
    share: float = 0.0
    seed: int = 0
    busy: int = 0
    most: int = 0
    refused: int = 0
    ended: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        chat = "messages" in body
        found = body["messages"][0]["content"] if chat else body["prompt"]
        prompts = found if isinstance(found, list) else [found]
        if self.busy >= self.places:
            self.refused += 1
            await asyncio.sleep(self.refusing)
            return httpx.Response(self.status)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            if self.chance.random() < self.share:
                await asyncio.sleep(0.005)
                return httpx.Response(500)
            await asyncio.sleep(self.seconds)
        finally:
            self.busy -= 1
        self.ended.update(dict.fromkeys(prompts, asyncio.get_running_loop().time()))
        texts = [{"message": {"role": "assistant", "content": p}} if chat else {"text": p} for p in prompts]
        return httpx.Response(200, json={"choices": [{"index": n, **text} for n, text in enumerate(texts)]})


def together(
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
    ("places", "pools", "refusing"), [(1, 2, 0.0), (3, 2, 0.0), (2, 5, 0.0), (4, 2, 1.0)]
)
def test_a_server_that_is_full_of_another_call_s_requests_loses_no_row(
    places: int, pools: int, refusing: float, status: int, tmp_path: Path
) -> None:
    server = Full(places, status, refusing=refusing)
    lost, seconds = together(
        server, tmp_path, lambda nemo: [complete(nemo, f"{n}-", 40, batch_size=1) for n in range(pools)]
    )
    assert lost == [0] * pools
    assert seconds <= 2 * 40 * pools * 0.5 / places + 2


def test_a_full_server_that_fails_at_random_too_loses_hardly_a_row(tmp_path: Path) -> None:
    server = Full(1, 500, share=0.3)
    lost, _ = together(
        server, tmp_path, lambda nemo: [complete(nemo, name, 100, batch_size=1) for name in "ab"]
    )
    # Five attempts with nothing beside them fail with a probability of 0.002.
    assert sum(lost) <= 2


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

    lost, _ = together(Full(2, status, seconds=0.2), tmp_path, calls)
    assert lost == [0, 0]


def test_places_go_to_all_calls_in_turn(tmp_path: Path) -> None:
    server = Full(1000, seconds=1.0)
    names = "abcd"
    together(server, tmp_path, lambda nemo: [complete(nemo, name, 120, batch_size=1) for name in names])
    half = sorted(server.ended, key=server.ended.__getitem__)[:240]
    assert all(45 <= count <= 75 for count in Counter(prompt[0] for prompt in half).values())
    assert server.most <= Settings(platform_url=PLATFORM).max_connections


def test_a_call_whose_caller_has_stopped_keeps_no_other_waiting(tmp_path: Path) -> None:
    async def stopped(nemo: NeMo) -> int:
        prompts = (f"s{row}" for row in range(200))
        async for _ in nemo.inference.complete_each(prompts, model="m", batch_size=1):
            await asyncio.sleep(1000.0)
            break
        return 0

    server = Full(1000, seconds=1.0)
    together(server, tmp_path, lambda nemo: [stopped(nemo), complete(nemo, "a", 200, batch_size=1)])
    assert max(at for prompt, at in server.ended.items() if prompt[0] == "a") < 30


def test_a_call_that_is_left_early_gives_its_places_back(tmp_path: Path) -> None:
    async def left(nemo: NeMo) -> int:
        async with asyncio.timeout(2.5):
            await complete(nemo, "s", 10_000, batch_size=1)
        return 0

    async def work(nemo: NeMo) -> int:
        with pytest.raises(TimeoutError):
            await left(nemo)
        return 0

    server = Full(1000, seconds=1.0)
    lost, seconds = together(
        server, tmp_path, lambda nemo: [work(nemo), complete(nemo, "a", 300, batch_size=1)]
    )
    assert lost == [0, 0] and seconds < 20


def test_a_row_that_is_asked_for_alone_waits_for_no_call_to_end(tmp_path: Path) -> None:
    inner, ended = Full(1000, seconds=2.0), dict[str, float]()

    async def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(await request.aread())["prompt"] == "b3":
            return httpx.Response(500)
        return await inner.handle_async_request(request)

    async def timed(nemo: NeMo, name: str, rows: int) -> int:
        lost = await complete(nemo, name, rows, batch_size=1)
        ended[name] = asyncio.get_running_loop().time()
        return lost

    lost, _ = together(
        httpx.MockTransport(answer), tmp_path, lambda nemo: [timed(nemo, "a", 900), timed(nemo, "b", 20)]
    )
    assert lost == [0, 1]
    assert ended["b"] < ended["a"] - 5


def test_a_call_after_one_that_was_given_up_begins_anew(tmp_path: Path) -> None:
    server, up = Full(1000, seconds=0.1), [False]

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

    lost, _ = together(httpx.MockTransport(answer), tmp_path, lambda nemo: [calls(nemo)])
    assert lost == [0]


def test_models_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    server = Full(1000, seconds=0.1)

    async def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(await request.aread())["model"] == "broken":
            return httpx.Response(429, headers={"retry-after": "20"})
        return await server.handle_async_request(request)

    async def timed(nemo: NeMo) -> int:
        lost = await complete(nemo, "a", 100)
        assert asyncio.get_running_loop().time() < 5
        return lost

    lost, _ = together(
        httpx.MockTransport(answer), tmp_path, lambda nemo: [complete(nemo, "b", 10, "broken"), timed(nemo)]
    )
    assert lost == [10, 0]
