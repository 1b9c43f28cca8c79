"""Servers that only show HTML pages, and what is left of a client or an iteration that was closed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from client_kit import PLATFORM, client
from simulated_asking import ask

from lawtags_client import sync
from lawtags_client.asking.tags import tag_many
from lawtags_client.client import NeMo
from lawtags_client.errors import ClientClosedError, ProtocolError
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.tagging.question import Question

PAGE = "<!doctype html><html><head><title>Please sign in</title></head></html>"


@pytest.mark.parametrize("batch_size", [1, 8, 32])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_pages_in_place_of_every_answer_count_as_an_unreachable_server(
    seconds: float, batch_size: int, tmp_path: Path
) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(seconds)
        return httpx.Response(200, html=PAGE)

    told = ask(httpx.MockTransport(answer), tmp_path, rows=3000, options={"batch_size": batch_size})
    assert told.lost == 3000 and told.seconds < 40
    error = told.errors[0]
    assert isinstance(error, ProtocolError)
    assert "Please sign in" in error.message and "Check the address" in (error.hint or "")


@pytest.mark.parametrize("batch_size", [1, 8])
def test_pages_that_a_gateway_shows_for_a_while_lose_nothing(batch_size: int, tmp_path: Path) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        import json

        await asyncio.sleep(0.1)
        if asyncio.get_running_loop().time() < 2:
            return httpx.Response(200, html=PAGE)
        found = json.loads(await request.aread())["prompt"]
        prompts = found if isinstance(found, list) else [found]
        choices = [{"index": place, "text": prompt} for place, prompt in enumerate(prompts)]
        return httpx.Response(200, json={"choices": choices})

    assert ask(httpx.MockTransport(answer), tmp_path, rows=200, options={"batch_size": batch_size}).lost == 0


@pytest.mark.parametrize("chat", [False, True])
async def test_tagging_that_is_left_early_leaves_no_request_under_way(chat: bool, tmp_path: Path) -> None:
    under_way, first = [0], [True]

    async def answer(request: httpx.Request) -> httpx.Response:
        under_way[0] += 1
        try:
            if first[0]:
                first[0] = False
                choice = {"index": 0, "text": "tax", "message": {"role": "assistant", "content": "tax"}}
                return httpx.Response(200, json={"choices": [choice]})
            await asyncio.get_running_loop().create_future()
        finally:
            under_way[0] -= 1
        raise AssertionError("it is never answered")

    questions = [Question(id=str(row), title=f"Question {row}?", body=None, tags=()) for row in range(50)]
    settings, intents = Settings(platform_url=PLATFORM), SqliteIntents(tmp_path / "intents.sqlite")
    async with NeMo(settings, intents=intents, handler=httpx.MockTransport(answer)) as nemo:
        tagged = tag_many(nemo, questions, model="m", chat=chat, ordered=False)
        assert (await anext(tagged)).tags == ("tax",)
        await tagged.aclose()  # type: ignore[attr-defined]
        assert under_way == [0]


async def test_a_closed_client_makes_no_request(tmp_path: Path) -> None:
    asked = [0]

    def answer(request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        return httpx.Response(200, json={"object": "list", "data": []})

    nemo = client(answer, tmp_path)
    async with nemo:
        await nemo.inference.models()
    for used in (nemo, nemo.with_options(timeout=5)):
        with pytest.raises(ClientClosedError, match="closed"):
            await used.inference.models()
    assert asked == [1]


def test_a_closed_blocking_client_makes_no_request(tmp_path: Path) -> None:
    with sync.NeMo.of(client(lambda _: httpx.Response(200, json={"data": []}), tmp_path)) as nemo:
        nemo.inference.models()
    with pytest.raises(ClientClosedError, match="closed"):
        nemo.inference.models()
