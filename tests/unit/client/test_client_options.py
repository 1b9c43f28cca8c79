"""Options of a client and of its light copies: limits, headers, and what the copies share."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM, Script, StillTime, client

from lawtags_client import NeMo, Settings, sync
from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.setting_options import SettingOptions
from lawtags_client.types.customizer import CustomizationJobRequest

JOB = httpx.Response(200, json={"id": "cust-1", "status": "running"})
REQUEST = CustomizationJobRequest.model_validate(
    {"config": "a/b@v1", "dataset": "law/tags", "hyperparameters": {"finetuning_type": "lora"}}
)


def made(script: Any, **options: Any) -> NeMo:
    return NeMo(base_url=PLATFORM, handler=httpx.MockTransport(script), clock=StillTime().clock(), **options)


async def test_client_is_made_of_an_address_a_token_and_limits() -> None:
    script = Script([JOB])
    nemo = made(script, token="secret-token", timeout=7, max_retries=1)
    assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
    (request,) = script.requests
    assert str(request.url) == f"{PLATFORM}/v1/customization/jobs/cust-1"
    assert request.headers["authorization"] == "Bearer secret-token"
    assert request.extensions["timeout"]["read"] == 7
    assert (nemo.settings.total_timeout, nemo.settings.max_retries) == (7, 1)
    assert nemo.settings.is_chosen("read_timeout") and nemo.settings.is_chosen("total_timeout")
    assert "secret-token" not in repr(nemo)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"token": "secret-token"},
        {"settings": Settings(platform_url=PLATFORM), "base_url": PLATFORM},
        {"settings": Settings(platform_url=PLATFORM), "token": "secret-token"},
        {"settings": PLATFORM},
        {"base_url": "nemo.test"},
        {"base_url": PLATFORM, "timeout": 0},
        {"base_url": PLATFORM, "timeout": float("nan")},
        {"base_url": PLATFORM, "max_retries": -1},
        {"base_url": PLATFORM, "headers": {"host": "elsewhere.test"}},
        {"base_url": PLATFORM, "headers": {"x-team": "secret-token\r\nx-more: 1"}},
        {"base_url": PLATFORM, "headers": {"x team": "a"}},
        {"base_url": PLATFORM, "headers": {"content-length": "5"}},
        {"base_url": PLATFORM, "event_hooks": {"answer": []}},
        {"base_url": PLATFORM, "event_hooks": {"request": [1]}},
    ],
    ids=repr,
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NeMo(**options)
    assert caught.value.hint or "max_retries" in caught.value.message
    assert "secret-token" not in f"{caught.value} {caught.value!r} {caught.value.as_dict()}"


def test_single_settings_have_the_names_of_the_settings() -> None:
    names = {item.name for item in fields(Settings)} - {"sources", "reload", "profile"}
    assert set(SettingOptions.__annotations__) == names


async def test_copy_has_other_limits_on_the_same_connections(tmp_path: Path) -> None:
    script = Script([httpx.Response(503)])
    urls = {"customizer_url": "http://customizer.test", "inference_url": "http://nim.test"}
    nemo = client(script, tmp_path, **urls)
    quick = nemo.with_options(timeout=2.5, max_retries=1)
    with pytest.raises(LawtagsError):
        await quick.customizer.jobs.get("cust-1")
    assert len(script.requests) == 2
    assert {request.url.host for request in script.requests} == {"customizer.test"}
    assert script.requests[0].extensions["timeout"] == {"connect": 5, "read": 2.5, "write": 2.5, "pool": 2.5}
    with pytest.raises(LawtagsError):
        await nemo.customizer.jobs.get("cust-1")
    assert len(script.requests) == 2 + 5
    assert script.requests[-1].extensions["timeout"]["read"] == 60
    assert quick.intents is nemo.intents
    assert quick.settings.has_address("inference")


async def test_copies_share_the_budget_of_retries(tmp_path: Path) -> None:
    script = Script([httpx.Response(503)])
    nemo = client(script, tmp_path)
    for _ in range(60):
        with pytest.raises(LawtagsError):
            await nemo.with_options(max_retries=2).customizer.jobs.get("cust-1")
    # Sixty calls, and the twenty retries that the budget of one client pays for.
    assert len(script.requests) == 60 + 20


async def test_token_that_a_copy_has_renewed_is_known_to_its_original(tmp_path: Path) -> None:
    given = iter(["old", "new", "newer"])
    tokens = []

    def server(request: httpx.Request) -> httpx.Response:
        tokens.append(request.headers["authorization"])
        return JOB if tokens[-1] == "Bearer new" else httpx.Response(401)

    nemo = client(server, tmp_path, token=lambda: next(given))
    await nemo.with_options(timeout=5).customizer.jobs.get("cust-1")
    await nemo.customizer.jobs.get("cust-1")
    assert tokens == ["Bearer old", "Bearer new", "Bearer new"]


async def test_headers_are_added_and_replaced_by_name(tmp_path: Path) -> None:
    script = Script([JOB])
    nemo = client(script, tmp_path).with_options(headers={"X-Team": "law", "X-Zone": "a"})
    await nemo.with_options(headers={"x-team": "tax"}).customizer.jobs.get("cust-1")
    await nemo.customizer.jobs.get("cust-1")
    await nemo.customizer.jobs.create(REQUEST, extra_headers={"X-TEAM": "one"})
    teams = [request.headers.get_list("x-team") for request in script.requests]
    assert teams == [["tax"], ["law"], ["one"]]
    assert [request.headers["x-zone"] for request in script.requests] == ["a", "a", "a"]


async def test_authorization_of_the_caller_takes_the_place_of_the_token(tmp_path: Path) -> None:
    script = Script([httpx.Response(401), JOB])
    nemo = client(script, tmp_path, token=lambda: "of-the-settings")
    with pytest.raises(LawtagsError):
        await nemo.with_options(headers={"Authorization": "Basic own"}).customizer.jobs.get("cust-1")
    await nemo.customizer.jobs.create(REQUEST, extra_headers={"authorization": "Basic once"})
    # A refusal of it is no reason to send the token instead.
    assert [request.headers["authorization"] for request in script.requests] == ["Basic own", "Basic once"]


async def test_headers_are_not_sent_to_other_servers(tmp_path: Path) -> None:
    away = httpx.Response(307, headers={"location": "http://elsewhere.test/v1/x"})
    script = Script([away, JOB])
    nemo = client(script, tmp_path).with_options(headers={"x-api-key": "canary-key"})
    await nemo.customizer.jobs.get("cust-1")
    assert ["x-api-key" in request.headers for request in script.requests] == [True, False]


async def test_closing_a_copy_leaves_the_original_open(tmp_path: Path) -> None:
    closed = []

    class Handler(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append(self)

    nemo = NeMo(base_url=PLATFORM, handler=Handler(Script([JOB])))
    async with nemo.with_options(timeout=5) as quick:
        await quick.customizer.jobs.get("cust-1")
    assert closed == []
    await nemo.close()
    assert closed
    closed.clear()
    # Nobody else could close what belongs to a client that no longer exists.
    async with NeMo(base_url=PLATFORM, handler=Handler(Script([JOB]))).with_options(timeout=5) as only:
        gc.collect()
        await only.customizer.jobs.get("cust-1")
    assert closed


async def test_a_call_of_a_copy_in_flight_outlives_the_close_of_another(tmp_path: Path) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def server(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await go.wait()
        return JOB

    async with NeMo(base_url=PLATFORM, handler=httpx.MockTransport(server)) as nemo:
        under_way = asyncio.create_task(nemo.customizer.jobs.get("cust-1"))
        await arrived.wait()
        async with nemo.with_options(max_retries=0):
            pass
        go.set()
        assert (await under_way).id == "cust-1"


async def test_a_copy_looks_at_a_known_server_no_more(tmp_path: Path) -> None:
    paths = []

    def server(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if request.url.path == "/v1/version":
            return httpx.Response(200, json={"release": "2.0.1"})
        if request.url.path.endswith("completions"):
            choice = {"index": 0, "text": "law", "finish_reason": "stop"}
            return httpx.Response(200, json={"id": "c", "model": "m", "choices": [choice]})
        return httpx.Response(404)

    nemo = client(server, tmp_path)
    for _ in range(3):
        copied = nemo.with_options(timeout=20)
        await copied.inference.complete_many(["x"], model="m", guided={"guided_choice": ["law"]})
    assert paths.count("/v1/version") == 1
    routed = nemo.with_options(headers={"x-route": "b"})
    await routed.inference.complete_many(["x"], model="m", guided={"guided_choice": ["law"]})
    assert paths.count("/v1/version") == 2


def test_blocking_client_takes_and_copies_what_the_async_one_does() -> None:
    script = Script([JOB])
    with sync.NeMo(base_url=PLATFORM, token="t-0", timeout=7, handler=httpx.MockTransport(script)) as nemo:
        quick = nemo.with_options(timeout=3, headers={"x-team": "law"})
        assert isinstance(quick, sync.NeMo)
        assert quick.customizer.job("cust-1").id == "cust-1"
        assert nemo.customizer.job("cust-1").id == "cust-1"
    first, second = script.requests
    assert (first.extensions["timeout"]["read"], second.extensions["timeout"]["read"]) == (3, 7)
    assert first.headers["x-team"] == "law" and "x-team" not in second.headers
