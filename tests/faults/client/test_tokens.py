"""Tokens that expire or rotate while something is waited for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from client_kit import PLATFORM, StillTime, client

from lawtags_client.client import NeMo
from lawtags_client.errors import AuthenticationError, ConfigurationError
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters

REQUEST = CustomizationJobRequest(
    config="a/b@v1", dataset="law/tags", hyperparameters=Hyperparameters(finetuning_type="lora")
)


class Guarded:
    """A service that lets one token in."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.tokens: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        if self.tokens[-1] != self.token:
            return httpx.Response(401, json={"detail": f"{self.tokens[-1]} has expired"})
        status = "completed" if len(self.tokens) > 3 else "running"
        return httpx.Response(200, json={"id": "cust-1", "status": status})


async def test_token_file_is_read_again_when_its_token_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")
    server = Guarded("first-token")
    nemo = client(server, tmp_path, token_file=file)
    job = await nemo.customizer.job("cust-1")
    server.token = "second-token"
    file.write_text("second-token\n")
    assert (await job.wait()).status == "completed"
    assert server.tokens[:3] == ["first-token", "first-token", "second-token"]
    assert set(server.tokens[3:]) == {"second-token"}


async def test_token_function_is_called_once_more_and_then_the_rejection_is_raised(tmp_path: Path) -> None:
    given = iter(["canary-one", "canary-two", "canary-three", "canary-four"])
    server = Guarded("another")
    nemo = client(server, tmp_path, token=lambda: next(given))
    with pytest.raises(AuthenticationError) as caught:
        await nemo.customizer.jobs.get("cust-1")
    assert server.tokens == ["canary-one", "canary-two"]
    assert "LAWTAGS_TOKEN_FILE" in (caught.value.hint or "")
    assert "canary" not in f"{caught.value} {caught.value.as_dict()} {nemo!r}"


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"LAWTAGS_TOKEN": "canary-wrong"}, "The token was refused; it comes from token (environment LAW"),
        ({}, "Set LAWTAGS_TOKEN"),
    ],
    ids=["wrong", "none"],
)
async def test_a_refused_token_is_told_from_a_missing_one(
    environ: dict[str, str], names: str, tmp_path: Path
) -> None:
    settings = Settings.load(environ=environ, folder=tmp_path, platform_url=PLATFORM)
    nemo = NeMo(settings, handler=httpx.MockTransport(Guarded("another")), clock=StillTime().clock())
    with pytest.raises(AuthenticationError) as caught:
        await nemo.customizer.jobs.get("cust-1")
    assert (caught.value.hint or "").startswith(names)
    assert "canary" not in f"{caught.value}"


async def test_refused_create_goes_out_again_with_the_new_token_only(tmp_path: Path) -> None:
    given = iter(["old", "new"])
    server = Guarded("new")
    job = await client(server, tmp_path, token=lambda: next(given)).customizer.jobs.create(REQUEST)
    assert (job.id, server.tokens) == ("cust-1", ["old", "new"])


async def test_token_that_stays_the_same_is_not_sent_twice(tmp_path: Path) -> None:
    server = Guarded("another")
    with pytest.raises(AuthenticationError):
        await client(server, tmp_path, token="only-token").customizer.jobs.get("cust-1")
    assert server.tokens == ["only-token"]


async def test_many_refusals_at_once_read_the_source_once(tmp_path: Path) -> None:
    reads = 0

    def read() -> str:
        nonlocal reads
        reads += 1
        return f"token-{reads}"

    server = Guarded("token-2")
    nemo = client(server, tmp_path, token=read)
    found = await asyncio.gather(*(nemo.customizer.jobs.get("cust-1") for _ in range(20)))
    assert len(found) == 20
    assert reads <= 3


async def test_variables_and_profiles_are_looked_up_again(tmp_path: Path) -> None:
    environ = {"LAWTAGS_PLATFORM_URL": PLATFORM, "LAWTAGS_TOKEN": "first"}
    server = Guarded("second")
    settings = Settings.load(environ=environ, folder=tmp_path)
    nemo = NeMo(
        settings,
        intents=SqliteIntents(tmp_path / "i.sqlite"),
        clock=StillTime().clock(),
        handler=httpx.MockTransport(server),
    )
    environ["LAWTAGS_TOKEN"] = "second"
    assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
    assert server.tokens == ["first", "second"]
    server.token = "third"
    (tmp_path / "lawtags.toml").write_text(
        f'schema_version = 1\n[profiles.default]\nplatform_url = "{PLATFORM}"\ntoken = "third"\n'
    )
    del environ["LAWTAGS_TOKEN"]
    assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"


async def test_a_token_that_is_set_only_later_is_found(tmp_path: Path) -> None:
    environ = {"LAWTAGS_PLATFORM_URL": PLATFORM}
    server = Guarded("late")
    nemo = NeMo(
        Settings.load(environ=environ, folder=tmp_path),
        intents=SqliteIntents(tmp_path / "i.sqlite"),
        clock=StillTime().clock(),
        handler=httpx.MockTransport(server),
    )
    with pytest.raises(AuthenticationError):
        await nemo.customizer.jobs.get("cust-1")
    environ["LAWTAGS_TOKEN"] = "late"
    assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
    assert server.tokens == ["", "", "late"]


async def test_file_that_is_gone_leaves_the_refusal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "token"
    file.write_text("canary-expired")
    nemo = client(Guarded("another"), tmp_path, token_file=file)
    await asyncio.gather(nemo.customizer.jobs.get("cust-1"), return_exceptions=True)
    file.unlink()
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AuthenticationError):
        await nemo.customizer.jobs.get("cust-1")
    assert "cannot be read again" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("content", [None, "", "two words", "line\nend"])
async def test_file_without_a_usable_token_is_named_before_anything_is_sent(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    server = Guarded("x")
    with pytest.raises(ConfigurationError, match="token_file") as caught:
        await client(server, tmp_path, token_file=file).customizer.jobs.get("cust-1")
    assert server.tokens == []
    assert "two words" not in str(caught.value)


async def test_token_of_another_host_is_never_renewed_for_it(tmp_path: Path) -> None:
    server = Guarded("second")
    given = iter(["first", "second"])
    nemo = client(server, tmp_path, token=lambda: next(given), inference_url="http://models.test")
    with pytest.raises(AuthenticationError):
        await nemo.inference.models()
    assert server.tokens == [""]


@pytest.mark.parametrize("way", ["no token at all", "a call without it", "a URL elsewhere"])
async def test_a_refusal_of_a_request_without_the_token_renews_nothing(way: str, tmp_path: Path) -> None:
    reads: list[str] = []

    def token() -> str:
        reads.append("read")
        return f"token-{len(reads)}"

    server = Guarded("token-2")
    nemo = client(server, tmp_path, token=None if way == "no token at all" else token)
    service = nemo.customizer._http
    path = "http://elsewhere.test/v1/x" if way == "a URL elsewhere" else "/v1/x"
    with pytest.raises(AuthenticationError):
        await service.json(Call("GET", path, token=way != "a call without it"))
    assert server.tokens == [""] and len(reads) <= 1


async def test_a_whole_url_of_the_service_itself_gets_the_renewed_token(tmp_path: Path) -> None:
    given = iter(["old", "new"])
    server = Guarded("new")
    service = client(server, tmp_path, token=lambda: next(given)).customizer._http
    await service.json(Call("POST", f"{PLATFORM}/v1/x", json={"a": 1}))
    assert server.tokens == ["old", "new"]


async def test_a_refused_request_is_sent_again_whole_and_its_first_answer_closed(tmp_path: Path) -> None:
    given = iter(["old", "new"])
    refusal = _Body()
    seen: list[tuple[str, bytes, str | None, bool]] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first "
        yield b"second"

    async def answer(request: httpx.Request) -> httpx.Response:
        sent = await request.aread()
        seen.append((str(request.url), sent, request.headers.get("x-part"), refusal.closed))
        if request.headers["authorization"] != "Bearer new":
            return httpx.Response(401, stream=refusal)
        return httpx.Response(200, json={})

    nemo = client(answer, tmp_path, token=lambda: next(given))  # type: ignore[arg-type]
    call = Call("POST", "/v1/x", query=[("a", "b")], content=chunks, headers={"X-Part": "1"})
    await nemo.customizer._http.json(call)
    asked = (f"{PLATFORM}/v1/x?a=b", b"first second", "1")
    assert seen == [(*asked, False), (*asked, True)]


async def test_a_renewed_token_that_is_refused_as_well_stays_out_of_the_error(tmp_path: Path) -> None:
    given = iter(["canary-one", "canary-two"])

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"detail": f"refused {request.headers['authorization']}"})

    with pytest.raises(AuthenticationError) as caught:
        await client(echo, tmp_path, token=lambda: next(given)).customizer.jobs.get("cust-1")
    assert "canary" not in f"{caught.value} {caught.value.as_dict()}"


async def test_deadlines_ignore_jumps_of_the_wall_clock(tmp_path: Path) -> None:
    import time_machine

    def answer(request: httpx.Request) -> httpx.Response:
        traveller.shift(-86_400 if len(looks) % 2 else 172_800)
        looks.append(request)
        status = "completed" if len(looks) > 5 else "running"
        return httpx.Response(200, json={"id": "cust-1", "status": status, "steps_completed": len(looks)})

    async def nap(seconds: float) -> None:
        await asyncio.sleep(0)

    looks: list[httpx.Request] = []
    settings = Settings(platform_url=PLATFORM)
    with time_machine.travel(1_750_000_000, tick=True) as traveller:
        nemo = NeMo(
            settings,
            intents=SqliteIntents(tmp_path / "i.sqlite"),
            clock=Clock(sleep=nap),
            handler=httpx.MockTransport(answer),
        )
        job = await nemo.customizer.job("cust-1")
        assert (await job.wait(timeout=60, stall=30)).status == "completed"


class _Body(httpx.AsyncByteStream):
    """An answer's body that notes whether it was closed."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def aclose(self) -> None:
        self.closed = True


async def test_a_call_cancelled_during_token_lookup_returns_its_connection(
    tmp_path: Path,
) -> None:
    body, asked, go_on = _Body(), threading.Event(), threading.Event()

    def token() -> str:
        if body_sent:
            asked.set()
            go_on.wait(30)
        return "canary-token"

    body_sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        body_sent.append(True)
        return httpx.Response(401, stream=body)

    nemo = client(answer, tmp_path, token=token)
    call = asyncio.create_task(nemo.customizer.jobs.get("cust-1"))
    await asyncio.to_thread(asked.wait, 30)
    call.cancel()
    await asyncio.wait({call})
    go_on.set()
    assert call.cancelled() and body.closed
