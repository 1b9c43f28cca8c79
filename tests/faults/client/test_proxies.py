"""Proxies and redirects that lead nowhere: the error is about them, and repeats no password."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from raw_server import RawServer, answer, send

from lawtags_client.client import NeMo
from lawtags_client.errors import APIError, ConfigurationError, ConnectionFailedError, LawtagsError
from lawtags_client.helix.client import Helix
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings

CANARY = "canary-7c1f9e"
LIMITS = {"max_retries": 0, "read_timeout": 5.0}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def ask(url: str, folder: Path, product: str = "v1") -> LawtagsError:
    settings = Settings(platform_url=url, **LIMITS)  # type: ignore[arg-type]
    intents = SqliteIntents(folder / "intents.sqlite")
    with pytest.raises(LawtagsError) as caught:
        if product == "v1":
            async with NeMo(settings, intents=intents) as nemo:
                await nemo.customizer.jobs.get("cust-1")
        else:
            async with Helix(settings, workspace="law", intents=intents) as helix:
                await helix.jobs.get("law/training")
    error = caught.value
    assert CANARY not in f"{error} {error.detail} {error.__cause__!r}"
    return error


@pytest.mark.parametrize("product", ["v1", "helix"])
@pytest.mark.parametrize(
    "proxy",
    [
        f"ftp://user:{CANARY}@proxy.test:1",
        f"http://user:{CANARY}@proxy.test:port",
        f"http://user:{CANARY}/x@proxy.test:1",
        "http://[::1",
        "://",
    ],
)
async def test_a_proxy_that_is_no_url_is_an_error_of_the_environment(
    proxy: str, product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    error = await ask("http://nemo.test", tmp_path, product)
    assert isinstance(error, ConfigurationError)
    assert "HTTP_PROXY" in error.message


@pytest.mark.parametrize(
    "proxy", [f"http://user:{CANARY}@127.0.0.1:1", f"http://u:{CANARY}@proxy.invalid:80"]
)
async def test_a_proxy_that_cannot_be_reached_is_named_as_a_cause(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    error = await ask("http://nemo.test", tmp_path)
    assert isinstance(error, ConnectionFailedError)
    assert "HTTP_PROXY" in (error.hint or "") and "NO_PROXY" in (error.hint or "")


async def test_a_service_on_this_machine_is_not_blamed_on_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:80")
    error = await ask("http://127.0.0.1:1", tmp_path)
    assert "PROXY" not in (error.hint or "")


@pytest.mark.parametrize("body", [b"{}", b"<html><title>Who are you?</title></html>"], ids=["json", "page"])
async def test_a_proxy_that_asks_for_a_password_is_told_as_one(
    body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer([send(answer(body, status="407 Proxy Authentication Required"))]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        error = await ask("http://nemo.test", tmp_path)
    assert isinstance(error, APIError)
    assert error.message in ("Proxy Authentication Required", "an HTML page titled 'Who are you?'")
    assert "A proxy asks who you are" in (error.hint or "")


@pytest.mark.parametrize("product", ["v1", "helix"])
async def test_a_redirect_to_where_nobody_listens_names_that_place(product: str, tmp_path: Path) -> None:
    where = f"http://user:{CANARY}@127.0.0.1:1/x?token={CANARY}"
    async with RawServer([send(answer(b"", f"location: {where}", status="302 Found"))]) as server:
        error = await ask(server.url, tmp_path, product)
    assert isinstance(error, ConnectionFailedError)
    assert "redirects to http://127.0.0.1:1/x, which cannot be reached" in error.message


async def test_links_and_cookies_of_responses_are_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = (f"location: http://nemo.test/x?sig={CANARY}", f"set-cookie: session={CANARY}")
    async with RawServer([send(answer(b"{}", *secrets, status="404 Not Found"))]) as proxy:
        # What goes through a proxy is carried by httpcore.
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with caplog.at_level(logging.DEBUG):
            await ask("http://nemo.test", tmp_path)
    assert "receive_response_headers.complete" in caplog.text
    assert CANARY not in caplog.text
