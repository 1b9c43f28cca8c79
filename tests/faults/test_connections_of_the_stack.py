"""Clients that connect and stay, send slowly, or read nothing do not keep others from being answered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lawtags_stack.server.connections import ConnectionLimits
from lawtags_stack.stack import StackThread

SHORT = ConnectionLimits(most=40, idle=2.0, head=1.0, body=2.0, least=256, unread=2.0)
HEAD = b"GET /v1/health/ready HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack with short limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lawtags_stack.server.servers.ConnectionLimits", lambda: SHORT)
        with StackThread(tmp_path_factory.mktemp("limits") / "stack") as running:
            yield running


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def drip(connection: socket.socket, piece: bytes) -> bytes:
    """Send a piece again and again until the server closes; what it said."""
    connection.settimeout(0.1)
    said = b""
    deadline = time.monotonic() + 60
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                part = connection.recv(65536)
                if not part:
                    return said
                said += part
            connection.sendall(piece)
        raise AssertionError("it was never closed")
    return said


HEADS = [b"", HEAD, b"POST /v1/namespaces HTTP/1.1\r\nHost: localhost\r\nX-A: "]
BODIES = [
    ("platform_url", b"POST /v1/namespaces", b"application/json"),
    ("data_store_url", b"PUT /v1/hf/lfs/" + b"a" * 64 + b"/100000", b"application/octet-stream"),
    ("data_store_url", b"POST /v1/datastore/namespaces", b"application/x-www-form-urlencoded"),
    ("data_store_url", b"POST /v1/hf/api/repos/create", b"application/json"),
    ("inference_url", b"POST /v1/completions", b"application/json"),
]
FRAMINGS = [b"Content-Length: 100000", b"Transfer-Encoding: chunked"]


def test_heads_and_bodies_that_come_in_drips_are_ended(stack: StackThread) -> None:
    def ended(port: str, start: bytes, piece: bytes) -> bytes:
        with connect(getattr(stack, port)) as connection:
            connection.sendall(start)
            return drip(connection, piece)

    with ThreadPoolExecutor(20) as pool:
        asked = [
            pool.submit(ended, "platform_url", start, b"X-A: b\r\n" if start == HEAD else b"a")
            for start in HEADS
        ]
        for port, line, kind in BODIES:
            for framing in FRAMINGS:
                head = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%s\r\n\r\n"
                piece = b"1\r\na\r\n" if b"chunked" in framing else b"a"
                asked.append(pool.submit(ended, port, head % (line, kind, framing), piece))
        for each in asked:
            said = each.result()
            assert said.startswith(b"HTTP/1.1 408 ")
            assert json.loads(said.partition(b"\r\n\r\n")[2])["detail"]


def test_a_body_that_comes_slowly_but_surely_is_taken(stack: StackThread) -> None:
    body = json.dumps({"id": "slow-but-sure", "description": "x" * 600}).encode()
    head = b"POST /v1/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with connect(stack.platform_url) as connection:
        connection.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 80):
            time.sleep(0.25)  # the pace of the client is what is tested
            connection.sendall(body[start : start + 80])
        assert received(connection).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_goes_on_after_its_answer_is_cut_off(stack: StackThread) -> None:
    with connect(stack.platform_url) as connection:
        connection.sendall(
            b"POST /v1/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        said = drip(connection, b"1000\r\n" + b" " * 4096 + b"\r\n")
    assert said.startswith(b"HTTP/1.1 415") and said.count(b"HTTP/1.1") == 1


def test_idle_connections_are_closed_before_and_after_a_request(stack: StackThread) -> None:
    with connect(stack.platform_url) as silent, connect(stack.platform_url) as used:
        used.sendall(HEAD + b"\r\n")
        assert received(silent) == b""
        assert received(used).startswith(b"HTTP/1.1 200 ")


def test_many_idle_connections_make_room_for_a_request(stack: StackThread) -> None:
    with contextlib.ExitStack() as held:
        for number in range(200):
            connection = held.enter_context(connect(stack.platform_url))
            if number % 2:
                connection.sendall(HEAD)
        for url in (stack.platform_url, stack.data_store_url, stack.inference_url):
            assert httpx.get(f"{url}/v1/health/ready", timeout=60).status_code == 200


def test_who_does_not_read_its_answer_is_let_go(stack: StackThread) -> None:
    content = bytes(32 << 20)
    digest = hashlib.sha256(content).hexdigest()
    with httpx.Client(base_url=stack.data_store_url, timeout=60) as http:
        http.post("/v1/datastore/namespaces", data={"namespace": "unread"})
        http.post("/v1/hf/api/repos/create", json={"organization": "unread", "name": "r", "type": "dataset"})
        http.put(f"/v1/hf/lfs/{digest}/{len(content)}", content=content)
        lines = [
            {"key": "header", "value": {"summary": "s"}},
            {"key": "lfsFile", "value": {"path": "a.bin", "oid": digest, "size": len(content)}},
        ]
        kind = {"Content-Type": "application/x-ndjson"}
        done = http.post(
            "/v1/hf/api/datasets/unread/r/commit/main",
            content="\n".join(map(json.dumps, lines)),
            headers=kind,
        )
        assert done.status_code == 200
        with connect(stack.data_store_url) as connection:
            path = b"/v1/hf/datasets/unread/r/resolve/main/a.bin"
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            activity = stack.stack.activity
            wait_until(lambda: activity.under_way > 0)
            wait_until(lambda: activity.under_way == 0)
            assert len(received(connection)) < len(content)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def test_a_process_with_few_files_outlives_more_connections_than_it_may_open(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--json", "--port", "0"]
    with subprocess.Popen(
        [*command, "--dir", str(tmp_path / "stack")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=few_files,
    ) as process:
        assert process.stdout is not None
        address: dict[str, Any] = json.loads(process.stdout.readline())
        with contextlib.ExitStack() as held:
            for _ in range(500):
                held.enter_context(connect(address["platform_url"]))
            made = httpx.post(f"{address['platform_url']}/v1/namespaces", json={"id": "there"}, timeout=60)
            assert made.status_code == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors and len(errors.splitlines()) < 20, errors
