"""Which addresses an evaluation calls, and which of them get the stack's token."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from lawtags_client.errors import BadRequestError
from lawtags_stack.service import StackOptions
from lawtags_stack.services.evaluator.addresses import AddressPolicy, guarded_client, is_metadata
from lawtags_stack.stack import StackThread

STRICT = AddressPolicy(link_local=False, own=["http://127.0.0.1:8002", "http://[::1]:8000"])
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "3"}, "text": "3"}]}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.0.1:8080/v1",
        "https://169.254.255.255/v1",
        "http://2852039166/v1",
        "http://0xA9FEA9FE/v1",
        "http://0xa9.254.0251.254/v1",
        "http://169.254.43518/v1",
        "http://[fe80::1]/v1",
        "http://[fe80::1%25eth0]/v1",
        "http://[febf::9]:80/v1",
        "http://[fd00:ec2::254]/v1",
        "http://[fd00:0ec2:0:0:0:0:0:254]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[::ffff:a9fe:a9fe]/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://[2002:a9fe:a9fe::1]/v1",
        "http://[::169.254.169.254]/v1",
        "http://metadata.google.internal/computeMetadata/v1",
        "http://METADATA.google.internal./x",
        "http://user:pass@169.254.169.254/v1",
        "http://100.100.100.200/latest",
    ],
)
def test_link_local_and_metadata_addresses_are_refused_in_every_notation(url: str) -> None:
    with pytest.raises(BadRequestError, match="--allow-link-local"):
        STRICT.check(url)
    AddressPolicy(link_local=True).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a/v1",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://a:99999/v1",
        "http://a:0/v1",
        "http://a:b/v1",
        "http://[::1/v1",
        "http://a\r\nb/v1",
        "http://\x00/",
        "http://" + "a" * 64 + ".example/v1\ud800",
        "http://xn--/v1\n",
        "//a/v1",
        "http://0251.0376.0251.0376/v1",
    ],
)
def test_what_is_no_address_is_refused_as_such(url: str) -> None:
    with pytest.raises(BadRequestError):
        STRICT.check(url)
    assert not STRICT.is_own(url)


def test_ordinary_addresses_are_called() -> None:
    for url in (
        "http://127.0.0.1:9/v1",
        "https://judge.example/v1",
        "http://10.0.0.7:8000",
        "http://[fd00::1]/v1",
    ):
        STRICT.check(url)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8002/v1/chat/completions", True),
        ("HTTP://127.0.0.1:8002", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.0.0.1:80020/v1", False),
        ("http://127.0.0.1:800/v1", False),
        ("http://127.0.0.1:8002@evil.example/v1", False),
        ("http://127.0.0.1:8002.evil.example/v1", False),
        ("https://127.0.0.1:8002/v1", False),
        ("http://127.0.0.1/v1", False),
        ("http://evil.example/http://127.0.0.1:8002/", False),
    ],
)
def test_own_addresses_are_told_by_scheme_host_and_port(url: str, own: bool) -> None:
    assert STRICT.is_own(url) is own


def test_a_name_is_judged_by_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"rebound.example": ["93.184.216.34", "169.254.169.254"], "six.example": ["fe80::1%1"]}

    def resolved(host: str, port: Any, *rest: Any, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known[host]]

    async def call(url: str) -> None:
        async with guarded_client(STRICT, httpx.Timeout(5.0)) as client:
            await client.post(url, json={})

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    for name in known:
        with pytest.raises(BadRequestError, match="link-local"):
            asyncio.run(call(f"http://{name}/v1"))


def test_no_public_address_is_taken_for_metadata() -> None:
    for text in ("8.8.8.8", "169.253.1.1", "169.255.0.0", "2606:4700::1111", "::1", "64:ff9b::808:808"):
        assert not is_metadata(ipaddress.ip_address(text))


class Judge(BaseHTTPRequestHandler):
    """Answers as a model, or sends elsewhere, and remembers who asked."""

    seen: list[dict[str, str]]
    redirect = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append(dict(self.headers))
        body = json.dumps(ANSWER).encode()
        self.send_response(307 if self.redirect else 200)
        if self.redirect:
            self.send_header("Location", self.redirect)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def judge() -> Iterator[tuple[str, type[Judge]]]:
    kind = type("OneJudge", (Judge,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions", kind
        server.shutdown()
        thread.join()


def evaluation(url: str) -> dict[str, Any]:
    scores = {"good": {"type": "int", "parser": {"type": "regex", "pattern": "([0-9])"}}}
    params = {
        "model": {"api_endpoint": {"url": url, "model_id": "judge"}},
        "template": {"messages": [{"role": "user", "content": "{{ item.x }}"}]},
        "scores": scores,
    }
    tasks = {"t": {"type": "data", "metrics": {"judge": {"type": "llm-judge", "params": params}}}}
    config = {"type": "custom", "params": {"max_retries": 0}, "tasks": tasks}
    return {"config": config, "target": {"type": "rows", "rows": [{"x": "a"}]}}


def test_a_judge_elsewhere_gets_no_token_and_cannot_send_on_to_metadata(
    tmp_path: Path, judge: tuple[str, type[Judge]]
) -> None:
    url, kind = judge
    with (
        StackThread(tmp_path / "stack", options=StackOptions(token="secret")) as stack,
        httpx.Client(
            base_url=stack.platform_url, headers={"Authorization": "Bearer secret"}, timeout=120
        ) as http,
    ):
        done = http.post("/v1/evaluation/live", json=evaluation(url)).json()
        assert done["status"] == "completed", done
        kind.redirect = "http://169.254.169.254/latest"
        sent_on = http.post("/v1/evaluation/live", json=evaluation(url)).json()
        assert sent_on["status"] == "failed"
        assert all("Authorization" not in headers for headers in kind.seen)
        for path in ("/v1/evaluation/live", "/v1/evaluation/jobs"):
            refused = http.post(path, json=evaluation("http://0xA9FEA9FE/latest"))
            assert refused.status_code == 400 and "--allow-link-local" in refused.json()["detail"]
