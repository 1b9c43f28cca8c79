"""What each transport says of each fault, and which error of ours it becomes.

``bare`` is httpx-aiohttp as it comes: it names a lost reply ``ConnectTimeout``, as if the server had seen
nothing, so its names are put right in ``transport/pooled.py``. Creates go over httpx's own transport.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import pytest
import trustme
from client_kit import StillTime
from httpx_aiohttp import AiohttpTransport
from raw_server import Act, RawServer, answer, hang_up, reset, send, silence

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DeadlineExceededError,
    DoubtfulOutcomeError,
    LawtagsError,
    ProtocolError,
    TransportError,
)
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.transport.pooled import PooledTransport
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters

BODY = json.dumps({"id": "cust-1", "status": "created"}).encode()
REQUEST = CustomizationJobRequest(
    config="a/b@v1", dataset="law/tags", hyperparameters=Hyperparameters(finetuning_type="lora")
)
PATIENCE = httpx.Timeout(0.2, pool=0.2, connect=0.2)

Where = Act | Literal["nobody", "no such host", "full", "silent TLS", "other authority", "no TLS", "TLS"]


# Set once a client has read a piece of the body.
HEARD: ContextVar[asyncio.Event] = ContextVar("HEARD")


def later(start: bytes, end: Act) -> Act:
    """Send the start of an answer, and end it once the client has read that."""

    async def act(writer: asyncio.StreamWriter) -> None:
        await send(start)(writer)
        await HEARD.get().wait()
        await end(writer)

    return act


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Args:
        where: what the server does once it has the request, or what there is in the place of a server.
        httpx: how httpx's own transport names it.
        pooled: how ours over aiohttp does.
        bare: how httpx-aiohttp alone does.
        read: the error of a read.
        create: the error of a create.
    """

    where: Where
    httpx: str
    pooled: str
    bare: str
    read: type[LawtagsError]
    create: type[LawtagsError] = DoubtfulOutcomeError


def chunked(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + data


NOT_SEEN, UNSURE = ConnectionFailedError, TransportError
TABLE: dict[str, Fault] = {
    # The server has seen nothing: whatever it was may be sent again.
    "refused": Fault("nobody", "ConnectError", "ConnectError", "ConnectTimeout", NOT_SEEN, NOT_SEEN),
    "no such host": Fault(
        "no such host", "ConnectError", "ConnectError", "ConnectTimeout", NOT_SEEN, NOT_SEEN
    ),
    "hangs at connect": Fault(
        "full", "ConnectTimeout", "ConnectTimeout", "ConnectTimeout", NOT_SEEN, NOT_SEEN
    ),
    "hangs in the TLS handshake": Fault(
        "silent TLS", "ConnectTimeout", "ConnectTimeout", "ConnectTimeout", NOT_SEEN, NOT_SEEN
    ),
    "certificate of another authority": Fault(
        "other authority", "ConnectError", "ConnectError", "ConnectTimeout", NOT_SEEN, NOT_SEEN
    ),
    "TLS to a server without it": Fault(
        "no TLS", "ConnectError", "ConnectError", "ConnectTimeout", NOT_SEEN, NOT_SEEN
    ),
    # It may have acted.
    "no TLS to a server with it": Fault(
        "TLS", "RemoteProtocolError", "RemoteProtocolError", "ConnectTimeout", UNSURE
    ),
    "closed without an answer": Fault(
        hang_up, "RemoteProtocolError", "RemoteProtocolError", "ConnectTimeout", UNSURE
    ),
    "reset after the request": Fault(reset, "ReadError", "ReadError", "ConnectTimeout", UNSURE),
    "silence": Fault(silence, "ReadTimeout", "ReadTimeout", "ReadTimeout", DeadlineExceededError),
    "half a head": Fault(
        send(b"HTTP/1.1 200 O", close=True),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ConnectTimeout",
        UNSURE,
    ),
    "garbage": Fault(
        send(b"SSH-2.0-OpenSSH_9.6\r\n", close=True),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ClientResponseError",
        UNSURE,
    ),
    "bad length": Fault(
        send(b"HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n"),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ClientResponseError",
        UNSURE,
    ),
    "endless head": Fault(
        send(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000, close=True),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ClientResponseError",
        UNSURE,
    ),
    "half a body": Fault(
        send(answer(BODY)[:-5], close=True),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ReadError",
        UNSURE,
    ),
    "reset in the body": Fault(
        later(answer(BODY)[:-5], reset), "ReadError", "RemoteProtocolError", "ReadError", UNSURE
    ),
    "reset in a body without a length": Fault(
        later(b"HTTP/1.1 200 OK\r\n\r\n" + BODY, reset), "ReadError", "ReadError", "nothing", UNSURE
    ),
    "body stalls": Fault(
        send(answer(BODY)[:-5]), "ReadTimeout", "ReadTimeout", "ReadTimeout", DeadlineExceededError
    ),
    "half a chunk": Fault(
        send(chunked(b"ff\r\nabc"), close=True),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ReadError",
        UNSURE,
    ),
    "bad chunk": Fault(
        send(chunked(b"zz\r\n")),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "ClientResponseError",
        UNSURE,
    ),
    "bad chunk after good ones": Fault(
        later(chunked(b"2\r\n{}\r\n"), send(b"zz\r\n")),
        "RemoteProtocolError",
        "RemoteProtocolError",
        "TimeoutError",
        UNSURE,
    ),
    # No fault of the connection: the body is looked at above the transports.
    "broken compression": Fault(
        send(answer(b"not gzip", "content-encoding: gzip")), "nothing", "nothing", "nothing", ProtocolError
    ),
}
PLAIN = send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", close=True)
EACH = pytest.mark.parametrize("name", TABLE)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def place(where: Where, authority: trustme.CA) -> AsyncIterator[tuple[str, list[str]]]:
    """A URL, and the requests that have arrived there."""
    if where == "no such host":
        yield "http://no-such-host.invalid", []
    elif where in ("nobody", "full"):
        with socket.socket() as held, socket.socket() as first, socket.socket() as second:
            held.bind(("127.0.0.1", 0))
            if where == "full":
                held.listen(0)
                for caller in (first, second):
                    caller.setblocking(False)
                    caller.connect_ex(held.getsockname())
            yield f"http://127.0.0.1:{held.getsockname()[1]}", []
    else:
        tls = None
        if where in ("other authority", "TLS"):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(tls)
        greeting = {"silent TLS": [silence], "no TLS": [PLAIN]}.get(str(where), [])
        acts = [send(answer(BODY)) if isinstance(where, str) else where]
        async with RawServer(acts, greeting=greeting, tls=tls) as server:
            scheme = "https" if where in ("silent TLS", "no TLS", "other authority") else "http"
            yield f"{scheme}://127.0.0.1:{server.port}", server.requests


async def named(transport: httpx.AsyncBaseTransport, url: str, patience: float | None) -> str:
    """What a transport says of a read; ``TimeoutError`` where it would wait for ever."""
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
        try:
            async with asyncio.timeout(patience), client.stream("GET", url) as response:
                async for _ in response.aiter_raw():
                    HEARD.get().set()
        except Exception as error:
            return type(error).__name__
    return "nothing"


@EACH
async def test_transports_name_a_fault_by_when_it_happened(name: str, authority: trustme.CA) -> None:
    fault = TABLE[name]
    said = {}
    transports = {
        "httpx": httpx.AsyncHTTPTransport(),
        "pooled": PooledTransport(ssl.create_default_context(), max_connections=4, keepalive=3),
        "bare": AiohttpTransport(),
    }
    for kind, transport in transports.items():
        HEARD.set(asyncio.Event())
        async with place(fault.where, authority) as (url, requests):
            said[kind] = await named(transport, url, patience=1 if fault.bare == "TimeoutError" else None)
            # aiohttp alone sends again whatever was lost.
            assert kind == "bare" or len(requests) <= 1
    assert said == {"httpx": fault.httpx, "pooled": fault.pooled, "bare": fault.bare}
    # The two in use agree on whether anything was sent.
    assert fault.httpx.startswith("Connect") == fault.pooled.startswith("Connect")


@EACH
async def test_fault_becomes_an_error_of_ours(name: str, authority: trustme.CA, tmp_path: Path) -> None:
    fault = TABLE[name]
    HEARD.set(asyncio.Event())
    HEARD.get().set()
    for kind, wanted in (("read", fault.read), ("create", fault.create)):
        async with place(fault.where, authority) as (url, requests):
            settings = Settings(platform_url=url, read_timeout=0.2, connect_timeout=0.2, max_retries=0)
            intents = SqliteIntents(tmp_path / f"{kind}.sqlite")
            async with NeMo(settings, intents=intents, clock=StillTime().clock()) as nemo:
                jobs = nemo.customizer.jobs
                with pytest.raises(LawtagsError) as caught:
                    await (jobs.get("cust-1") if kind == "read" else jobs.create(REQUEST))
            assert type(caught.value) is wanted, (kind, caught.value)
            assert caught.value.hint
            assert len(requests) <= 1
            if kind == "create":
                assert bool(requests) <= (wanted is DoubtfulOutcomeError)


async def test_address_that_aiohttp_refuses_is_named(tmp_path: Path) -> None:
    settings = Settings(platform_url="http://127.1:8000", max_retries=0)
    async with NeMo(settings, intents=SqliteIntents(tmp_path / "i.sqlite")) as nemo:
        with pytest.raises(ConfigurationError, match="canonical"):
            await nemo.customizer.jobs.get("cust-1")
