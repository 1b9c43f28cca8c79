"""Servers that are down, send elsewhere, or cannot be found; lists that change or go round in circles."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from client_kit import StillTime, client
from fault_proxy import Answer, FaultProxy
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.client import NeMo
from lawtags_client.errors import ConnectionFailedError, ServerError
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.paging import walk

JOB = json.dumps({"id": "cust-1", "status": "created"}).encode()
TYPE = (("content-type", "application/json"),)


def connect(url: str, folder: Path, **more: object) -> NeMo:
    async def nap(seconds: float) -> None:
        await asyncio.sleep(0)

    given = Settings(platform_url=url, **more)  # type: ignore[arg-type]
    return NeMo(given, intents=SqliteIntents(folder / "i.sqlite"), clock=Clock(sleep=nap))


async def test_thousand_calls_to_a_server_that_is_down_cause_no_retry_storm(tmp_path: Path) -> None:
    asked = 0

    def down(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(503)

    nemo = client(down, tmp_path, StillTime())
    for _ in range(2):
        asked = 0
        calls = (nemo.customizer.jobs.get("cust-1") for _ in range(1000))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, ServerError) for each in found)
        # The allowance is spent once; then nothing is asked twice.
        assert asked <= 1.1 * 1000
    assert asked == 1000


async def test_allowance_for_retries_comes_back_with_successes(tmp_path: Path) -> None:
    answers: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        status = answers.pop(0) if answers else 200
        return httpx.Response(status, content=JOB, headers={"content-type": "application/json"})

    nemo = client(answer, tmp_path, StillTime(), max_retries=1)
    answers = [503] * 500
    for _ in range(500 - 20):
        with pytest.raises(ServerError):
            await nemo.customizer.jobs.get("cust-1")
    assert answers == []
    for _ in range(20):
        await nemo.customizer.jobs.get("cust-1")
    answers = [503]
    assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"


async def test_redirect_to_another_server_sends_neither_token_nor_body(tmp_path: Path) -> None:
    with FaultProxy(None, lambda _: Answer(200, JOB, TYPE)) as elsewhere:
        there = (("location", f"{elsewhere.url}/v1/customization/jobs/cust-1"),)
        with FaultProxy(None, lambda _: Answer(307, headers=there)) as here:
            async with connect(
                here.url, tmp_path, token="canary-token", wandb_api_key="canary-wandb"
            ) as nemo:
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
    (asked,) = here.messages
    assert asked.header("authorization") == "Bearer canary-token"
    (got,) = elsewhere.messages
    assert "canary" not in f"{got.headers} {got.line} {got.body!r}"


@pytest.mark.parametrize("setting", ["platform_url", "customizer_url"])
async def test_unknown_host_error_names_host_and_setting(setting: str, tmp_path: Path) -> None:
    settings = Settings(**{setting: "http://no-such-host.invalid:8000"}, max_retries=1)
    nemo = NeMo(settings, intents=SqliteIntents(tmp_path / "i.sqlite"), clock=StillTime().clock())
    async with nemo:
        with pytest.raises(ConnectionFailedError) as caught:
            await nemo.customizer.jobs.get("cust-1")
    assert "no-such-host.invalid" in str(caught.value) and setting in str(caught.value)


async def test_refused_connection_error_names_host_and_variable(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    loaded = Settings.load(environ={"NEMO_MICROSERVICES_BASE_URL": url}, folder=tmp_path)
    nemo = NeMo(loaded, intents=SqliteIntents(tmp_path / "i.sqlite"), clock=StillTime().clock())
    async with nemo:
        with pytest.raises(ConnectionFailedError) as caught:
            await nemo.customizer.jobs.get("cust-1")
    assert url in str(caught.value) and "NEMO_MICROSERVICES_BASE_URL" in str(caught.value)


async def test_hosts_in_no_proxy_are_contacted_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(None, lambda _: Answer(200, JOB, TYPE)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "direct.invalid")
        for host, reached in (("proxied.invalid", True), ("direct.invalid", False)):
            nemo = connect(f"http://{host}", tmp_path, max_retries=0)
            async with nemo:
                found = await asyncio.gather(nemo.customizer.jobs.get("cust-1"), return_exceptions=True)
            assert isinstance(found[0], ConnectionFailedError) is not reached, found
        assert [message.line.split()[1].split("/")[2] for message in proxy.messages] == ["proxied.invalid"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize("kind", ["expired", "self-signed", "other host", "unknown authority"])
async def test_invalid_certificate_is_reported_once_with_its_setting(
    kind: str, authority: trustme.CA, tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    past = datetime(2001, 1, 1, tzinfo=UTC)
    own = trustme.CA()
    certificate = {
        "expired": lambda: authority.issue_cert(
            "127.0.0.1", not_before=past, not_after=past.replace(year=2002)
        ),
        "self-signed": lambda: own.issue_cert("127.0.0.1"),
        "other host": lambda: authority.issue_cert("elsewhere.test"),
        "unknown authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }[kind]()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FaultProxy(None, lambda _: Answer(200, JOB, TYPE), tls=_serving(certificate)) as server:
        async with connect(server.url, tmp_path, ca_file=tmp_path / "ca.pem") as nemo:
            with pytest.raises(ConnectionFailedError) as caught:
                await nemo.customizer.jobs.get("cust-1")
    assert server.messages == [] and server.connections <= 1
    told = str(caught.value)
    assert "certificate" in told and "SSL_CERT_FILE" in told
    assert "verify=False" not in told and "insecure" not in told


@pytest.mark.parametrize("way", ["setting", "SSL_CERT_FILE", "LAWTAGS_CA_FILE"])
async def test_custom_ca_comes_from_setting_or_environment(
    way: str, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FaultProxy(
        None, lambda _: Answer(200, JOB, TYPE), tls=_serving(authority.issue_cert("127.0.0.1"))
    ) as server:
        environ = {} if way == "setting" else {way: str(tmp_path / "ca.pem")}
        own = {"ca_file": tmp_path / "ca.pem"} if way == "setting" else {}
        loaded = Settings.load(environ=environ, folder=tmp_path, platform_url=server.url, **own)
        async with NeMo(loaded, intents=SqliteIntents(tmp_path / "i.sqlite")) as nemo:
            assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"


class Page:
    def __init__(self, entries: list[int], total: int | None) -> None:
        self.entries = entries
        self.total_pages = total


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(st.integers(), unique=True, max_size=30),
    size=st.integers(1, 7),
    added=st.lists(st.integers(0, 5), max_size=12),
    told=st.booleans(),
)
async def test_list_that_grows_while_it_is_read_yields_each_old_entry_once(
    numbers: list[int], size: int, added: list[int], told: bool
) -> None:
    entries = [(0, number) for number in numbers]
    pages, fresh = iter(added), iter(range(10_000))

    async def fetch(number: int) -> Page:
        entries[:0] = [(1, next(fresh)) for _ in range(next(pages, 0))]
        shown = entries[(number - 1) * size : number * size]
        return Page(shown, -(-len(entries) // size) if told else None)  # type: ignore[arg-type]

    found = [entry async for entry in walk(fetch, lambda entry: entry)]
    assert len(set(found)) == len(found)
    assert {number for kind, number in found if kind == 0} <= set(numbers)


@settings(max_examples=100, deadline=None)
@given(pages=st.lists(st.lists(st.integers(0, 20), max_size=4), min_size=1, max_size=6))
async def test_circular_pagination_ends(pages: list[list[int]]) -> None:
    asked = 0

    async def fetch(number: int) -> Page:
        nonlocal asked
        asked += 1
        return Page(pages[(number - 1) % len(pages)], None)

    found = [entry async for entry in walk(fetch, lambda entry: entry)]
    assert len(set(found)) == len(found)
    assert asked <= len(pages) + 1


async def test_unknown_state_is_reported_once_and_treated_as_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = iter(["warming_up", "warming_up", "warming_up", "completed"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": "cust-1", "status": next(states, "completed")})

    job = await client(answer, tmp_path).customizer.job("cust-1")
    assert (await job.wait()).status == "completed"
    assert caplog.text.count("warming_up") == 1
