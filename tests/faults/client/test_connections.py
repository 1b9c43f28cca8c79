"""Faults on the wire, the same over aiohttp's connections and over httpx's own."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from client_kit import StillTime
from raw_server import Act, RawServer, answer, drip, hang_up, reset, send, silence

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
from lawtags_client.transport.call import Call
from lawtags_client.transport.pooled import PooledTransport
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters

JOB = json.dumps({"id": "cust-1", "status": "created"}).encode()
GOOD = send(answer(JOB))
REQUEST = CustomizationJobRequest(
    config="a/b@v1", dataset="law/tags", hyperparameters=Hyperparameters(finetuning_type="lora")
)
# Reads go over aiohttp, unless a proxy or a body in pieces makes them go over httpx's own.
BOTH = pytest.mark.parametrize("over", ["aiohttp", "httpx"])


def connect(
    url: str, folder: Path, time: StillTime | None = None, over: str = "aiohttp", **settings: Any
) -> NeMo:
    settings = {"platform_url": url, "read_timeout": 0.15, "max_retries": 2, **settings}
    store = SqliteIntents(folder / "intents.sqlite")
    handler = httpx.AsyncHTTPTransport() if over == "httpx" else None
    return NeMo(Settings(**settings), intents=store, clock=(time or StillTime()).clock(), handler=handler)


def pool(most: int = 4) -> PooledTransport:
    return PooledTransport(ssl.create_default_context(), max_connections=most, keepalive=3)


FAULTS: dict[str, Act] = {
    "closed without an answer": hang_up,
    "reset after the request": reset,
    "silence": silence,
    "half a head": send(b"HTTP/1.1 200 O", close=True),
    "garbage": send(b"\x16\x03\x01\x02 what?\r\n\r\n", close=True),
    "cut body": send(answer(JOB)[:-5], close=True),
    "stalled body": send(answer(JOB)[:-5]),
    "cut chunk": send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc", close=True),
    "endless head": send(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000, close=True),
    "broken compression": send(answer(b"not gzip", "content-encoding: gzip")),
    "bad gateway": send(answer(b"{}", status="502 Bad Gateway")),
    "gateway timeout": send(answer(b"{}", status="504 Gateway Timeout")),
}


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
async def test_read_survives_a_fault(fault: str, over: str, tmp_path: Path) -> None:
    async with RawServer([FAULTS[fault], GOOD]) as server:
        async with connect(server.url, tmp_path, over=over) as nemo:
            assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
        assert server.requests == ["GET /v1/customization/jobs/cust-1"] * 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_create_is_sent_once_despite_any_fault(fault: str, tmp_path: Path) -> None:
    async with RawServer([FAULTS[fault], GOOD]) as server:
        async with connect(server.url, tmp_path) as nemo:
            with pytest.raises(DoubtfulOutcomeError):
                await nemo.customizer.jobs.create(REQUEST)
        assert server.requests == ["POST /v1/customization/jobs"]


async def test_create_goes_out_again_where_nobody_listened(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url, time = f"http://127.0.0.1:{held.getsockname()[1]}", StillTime()
        async with connect(url, tmp_path, time) as nemo:
            for call in (nemo.customizer.jobs.create(REQUEST), nemo.customizer.jobs.get("cust-1")):
                with pytest.raises(ConnectionFailedError, match="platform_url"):
                    await call
        assert len(time.slept) == 4


@BOTH
async def test_connection_closed_while_idle_costs_one_silent_retry(over: str, tmp_path: Path) -> None:
    time = StillTime()
    # The second request arrives on a connection on which the server has just hung up.
    async with RawServer([GOOD, hang_up, GOOD]) as server:
        async with connect(server.url, tmp_path, time, over=over) as nemo:
            for _ in range(2):
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
        assert len(server.requests) == 3
        assert server.connections == 2
    assert over == "httpx" or time.slept == []


@pytest.mark.parametrize("fault", [hang_up, reset], ids=["closed", "reset"])
async def test_delete_whose_answer_was_lost_on_a_used_connection_is_no_error(
    fault: Act, tmp_path: Path
) -> None:
    done = send(answer(b'{"message": "deleted"}'))
    gone = send(answer(b'{"detail": "no such model"}', status="404 Not Found"))
    async with RawServer([done, fault, gone]) as server:
        async with connect(server.url, tmp_path) as nemo:
            for name in ("law/other", "law/tagger"):
                await nemo.entity_store.models.delete(name)
        assert server.requests[1:] == ["DELETE /v1/models/law/tagger"] * 2
        assert server.connections == 2


async def test_fresh_connection_that_is_closed_is_not_tried_silently(tmp_path: Path) -> None:
    async with RawServer([hang_up]) as server:
        async with connect(server.url, tmp_path, max_retries=0) as nemo:
            with pytest.raises(TransportError, match="connection broke"):
                await nemo.customizer.jobs.get("cust-1")
        assert len(server.requests) == 1


@BOTH
async def test_trickling_response_ends_at_the_call_timeout(over: str, tmp_path: Path) -> None:
    async with RawServer([drip(b"x", 1000, 0.02)]) as server:
        async with connect(server.url, tmp_path, over=over, total_timeout=0.3) as nemo:
            with pytest.raises(DeadlineExceededError, match="whole call"):
                await nemo.customizer.jobs.get("cust-1")
        assert len(server.requests) == 1


FORMS = {
    "in chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (len(JOB), JOB),
    "until the end": b"HTTP/1.0 200 OK\r\n\r\n" + JOB,
    "compressed": answer(gzip.compress(JOB), "content-encoding: gzip"),
    "after hints": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer(JOB),
    "and good bye": answer(JOB, "connection: close"),
}


@BOTH
@pytest.mark.parametrize("form", FORMS)
async def test_answer_is_read_in_every_form(form: str, over: str, tmp_path: Path) -> None:
    async with RawServer([send(FORMS[form], close=form in ("until the end", "and good bye"))]) as server:
        async with connect(server.url, tmp_path, over=over, token="canary-secret-1") as nemo:
            for _ in range(2):
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
        assert len(server.requests) == 2
        assert b"authorization: Bearer canary-secret-1" in server.heads[0].replace(
            b"Authorization", b"authorization"
        )


PLACES = ["/v1/a%2Fb/%7Ec;d@e:f+g,h", "/v1/%41?x=%5B1%5D&y=a%2Bb+c,d&sig=%2f%3D==", "/v1/../x?q", "/"]


@pytest.mark.parametrize("place", PLACES)
async def test_both_ways_send_the_same_head(place: str, tmp_path: Path) -> None:
    async with RawServer([GOOD]) as server:
        url = server.url.replace("//", "//user:canary@")
        for over in ("aiohttp", "httpx"):
            async with connect(server.url, tmp_path, over=over, token="secret-1") as nemo:
                service = nemo.customizer._http
                await service.json(Call("GET", server.url + place))
                await service.json(Call("POST", "/v1/ask", json={"a": "§"}, repeatable=True))
                await service.json(Call("PUT", url + place, content=b"x" * 100_000))
        heads = [sorted(head.lower().split(b"\r\n")) for head in server.heads]
        assert heads[:3] == heads[3:]
        assert server.requests[0] == f"GET {httpx.URL(server.url + place).raw_path.decode()}"


async def test_what_was_sent_unasked_ends_the_connection(tmp_path: Path) -> None:
    twice = send(answer(JOB) + answer(b'{"id": "cust-other"}'))
    async with RawServer([twice, GOOD]) as server:
        async with connect(server.url, tmp_path) as nemo:
            for _ in range(3):
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
        assert server.connections == 2


UNASKED = {
    "a whole answer": answer(b'{"id": "cust-other"}'),
    "an end of waiting": answer(b"{}", "connection: close", status="408 Request Timeout"),
    "hints": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
    "the beginning of an answer": b"HTTP/1.1 200 OK\r\ncontent-le",
    "one byte": b"\n",
    "no answer at all": b"\x00" * 200_000,
}
PARTS = ("the beginning of an answer", "one byte")


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("unasked", UNASKED)
async def test_what_arrives_on_an_idle_connection_answers_nothing(
    unasked: str, secure: bool, authority: trustme.CA, tmp_path: Path
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def keep(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await GOOD(writer)

    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    options: dict[str, Any] = {"ca_file": tmp_path / "ca.pem"} if secure else {}
    tls = _server_tls(authority) if secure else None
    async with RawServer([keep], tls=tls) as server:
        async with connect(server.url, tmp_path, read_timeout=5, max_retries=0, **options) as nemo:
            for _ in range(3):
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
                writers[-1].write(UNASKED[unasked])
                await writers[-1].drain()
                for _ in range(3):  # turns in which the client's side reads it
                    await asyncio.sleep(0)
        # A part of a head may be forgotten; what could pass for an answer ends the connection.
        assert unasked in PARTS or server.connections == 3


class BlockingServer:
    """One that is served by hand while the event loop of the client stands still."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(5)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.peers: list[socket.socket] = []

    async def serve(self, body: bytes) -> None:
        """Answer one request on the newest connection that carries one."""
        await asyncio.to_thread(self._answer, body)

    def _answer(self, body: bytes) -> None:
        ready, _, _ = select.select([self._listening, *self.peers], [], [], 5)
        if self._listening in ready:
            self.peers.append(self._listening.accept()[0])
            self.peers[-1].settimeout(5)
            ready = self.peers[-1:]
        while b"\r\n\r\n" not in ready[0].recv(65536):
            pass
        ready[0].sendall(answer(body))

    def close(self) -> None:
        for each in (*self.peers, self._listening):
            each.close()


@pytest.mark.parametrize("unasked", [*UNASKED, "an end"])
async def test_what_arrived_while_the_loop_was_busy_is_not_taken_for_an_answer(
    unasked: str, tmp_path: Path
) -> None:
    server = BlockingServer()
    async with connect(server.url, tmp_path, read_timeout=5, max_retries=0) as nemo:
        for number in range(2):
            [job, _] = await asyncio.gather(nemo.customizer.jobs.get("cust-1"), server.serve(JOB))
            assert job.id == "cust-1" and len(server.peers) == number + 1
            # No other task comes to its turn between this and the next request.
            if unasked == "an end":
                server.peers[-1].shutdown(socket.SHUT_WR)
            else:
                server.peers[-1].sendall(UNASKED[unasked])
    server.close()


async def test_no_more_connections_than_allowed(tmp_path: Path) -> None:
    async with RawServer([GOOD]) as server:
        async with connect(server.url, tmp_path, max_connections=3) as nemo:
            await asyncio.gather(*(nemo.customizer.jobs.get("cust-1") for _ in range(20)))
        assert len(server.requests) == 20
        assert server.connections == 3


async def test_waiting_for_a_free_connection_ends(tmp_path: Path) -> None:
    async with RawServer([silence]) as server:
        async with connect(server.url, tmp_path, max_connections=1, max_retries=0) as nemo:
            calls = (nemo.customizer.jobs.get("cust-1") for _ in range(2))
            found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, DeadlineExceededError) for error in found)
        assert len(server.requests) == 1


async def test_cancelled_call_closes_its_connection_and_frees_its_slot(tmp_path: Path) -> None:
    async with RawServer([silence, GOOD]) as server:
        async with connect(server.url, tmp_path, max_connections=1, read_timeout=5) as nemo:
            call = asyncio.create_task(nemo.customizer.jobs.get("cust-1"))
            await server.asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
            await server.left.wait()
        assert server.connections == 2


async def test_answer_that_is_read_while_the_client_closes_ends_with_an_error() -> None:
    async with RawServer([send(answer(JOB)[:-5])]) as server:
        transport = pool()
        response = await transport.handle_async_request(httpx.Request("GET", server.url))
        reading = asyncio.create_task(response.aread())
        await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises(httpx.TransportError):
            await reading
        await response.aclose()
        await asyncio.wait_for(server.left.wait(), 5)


async def test_slow_reader_holds_the_server_back(tmp_path: Path) -> None:
    written, size = 0, 64 << 20

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(b"x" * 65536)
            written += 65536
            await writer.drain()

    async with RawServer([pour]) as server:
        async with (
            httpx.AsyncClient(transport=pool()) as client,
            client.stream("GET", server.url) as response,
        ):
            pieces = response.aiter_raw()
            read = len(await anext(pieces))
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.05)
            assert written < size // 2
            async for piece in pieces:
                read += len(piece)
        assert read == size


def _in_loop_after_loop(folder: Path, act: Callable[[NeMo], Coroutine[Any, Any, Any]]) -> list[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    nemo = connect(f"http://127.0.0.1:{port}", folder)

    async def once(close: bool) -> str:
        async with RawServer([GOOD], port=port):
            job = await act(nemo)
            if close:
                await nemo.close()
            return str(job.id)

    return [asyncio.run(once(close)) for close in (False, False, True)]


def test_client_reads_in_one_loop_after_the_other(tmp_path: Path) -> None:
    assert _in_loop_after_loop(tmp_path, lambda nemo: nemo.customizer.jobs.get("cust-1")) == ["cust-1"] * 3


# Nobody can close httpx's own connections once their loop is gone.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_client_creates_in_one_loop_after_the_other(tmp_path: Path) -> None:
    assert _in_loop_after_loop(tmp_path, lambda nemo: nemo.customizer.jobs.create(REQUEST)) == ["cust-1"] * 3
    gc.collect()


async def test_client_that_is_never_closed_ends_quietly(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from lawtags_client import NeMo\n"
        "nemo = NeMo.from_env(platform_url=sys.argv[1], environ={})\n"
        "print(asyncio.run(nemo.customizer.jobs.get('cust-1')).id)\n"
    )
    async with RawServer([GOOD]) as server:
        command = (sys.executable, "-c", code, server.url)
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        assert await program.communicate() == (b"cust-1\n", b"")


async def test_client_that_is_used_in_two_loops_at_once_closes_in_both(tmp_path: Path) -> None:
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    async with RawServer([GOOD]) as server:
        nemo = connect(server.url, tmp_path, read_timeout=5)
        for _ in range(2):
            there = asyncio.run_coroutine_threadsafe(nemo.customizer.jobs.get("cust-1"), other)
            jobs = await asyncio.gather(asyncio.wrap_future(there), nemo.customizer.jobs.get("cust-1"))
            assert [job.id for job in jobs] == ["cust-1"] * 2
        assert server.connections == 2
        await nemo.close()
        async with asyncio.timeout(5):
            while server.open:
                server.left.clear()
                await server.left.wait()
    other.call_soon_threadsafe(other.stop)
    await asyncio.to_thread(thread.join)
    other.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server_tls(authority: trustme.CA, name: str = "127.0.0.1", *, ask: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("127.0.0.1", False), ("elsewhere.test", True)],
    ids=["unknown authority", "other host"],
)
async def test_certificate_that_is_not_accepted_ends_the_call_at_once(
    name: str, trusted: bool, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca_file = tmp_path / "ca.pem" if trusted else None
    async with RawServer([GOOD], tls=_server_tls(authority, name)) as server:
        time = StillTime()
        async with connect(server.url, tmp_path, time, ca_file=ca_file) as nemo:
            for call in (nemo.customizer.jobs.get("cust-1"), nemo.customizer.jobs.create(REQUEST)):
                with pytest.raises(ConnectionFailedError, match="ca_file"):
                    await call
        assert (server.requests, time.slept) == ([], [])


async def test_custom_ca_and_client_certificate_are_settings(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = authority.issue_cert("client.test")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    files = {"ca_file": tmp_path / "ca.pem"}
    async with RawServer([GOOD], tls=_server_tls(authority, ask=True)) as server:
        async with connect(server.url, tmp_path, client_cert=tmp_path / "client.pem", **files) as nemo:
            assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
            assert (await nemo.customizer.jobs.create(REQUEST)).id == "cust-1"
        async with connect(server.url, tmp_path, **files) as nemo:
            with pytest.raises(LawtagsError):
                await nemo.customizer.jobs.get("cust-1")
        assert len(server.requests) == 2


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_proxy_from_the_environment_is_used_only_for_other_hosts(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer([GOOD]) as proxy, RawServer([GOOD]) as local:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for url in ("http://nemo.test", local.url):
            async with connect(url, tmp_path) as nemo:
                assert (await nemo.customizer.jobs.get("cust-1")).id == "cust-1"
        assert proxy.requests == ["GET http://nemo.test/v1/customization/jobs/cust-1"]
        assert local.requests == ["GET /v1/customization/jobs/cust-1"]


@BOTH
async def test_html_and_cookies_are_treated_alike(over: str, tmp_path: Path) -> None:
    cookie = send(answer(JOB, "set-cookie: route=a; Path=/"))
    page = send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")
    async with RawServer([cookie, GOOD, page]) as server:
        async with connect(server.url, tmp_path, over=over) as nemo:
            calls: list[Callable[[], Any]] = [lambda: nemo.customizer.jobs.get("cust-1")] * 2
            for call in calls:
                await call()
            with pytest.raises(ProtocolError, match="html"):
                await nemo.customizer.jobs.get("cust-1")
        assert b"cookie: route=a" in server.heads[1].lower()


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
async def test_a_socks_proxy_without_its_package_is_named_with_the_package(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the package were not installed, wherever the tests run.
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, "socks5://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with connect("https://nemo.test", tmp_path) as nemo:
        with pytest.raises(ConfigurationError, match="socksio") as caught:
            await nemo.customizer.jobs.get("cust-1")
    assert "httpx[socks]" in str(caught.value.hint)
