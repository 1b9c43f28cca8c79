"""Models and rows of others: whatever one of them does ends the evaluation that met it, and nothing else."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from served_stack import wait_for

from lawtags_client.errors import BadRequestError
from lawtags_stack.service import StackOptions
from lawtags_stack.services.evaluator.rows import parse_rows
from lawtags_stack.stack import StackThread

ASKED = {"messages": [{"role": "user", "content": "{{ item.a }}"}]}
MATCH = {"match": {"type": "em", "params": {"ground_truth": "x"}}}
CALLS = {"calls": {"type": "tool-calling", "params": {"tool_calls_ground_truth": []}}}
GOOD = json.dumps({"choices": [{"message": {"content": "x"}}]}).encode()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(refresh_interval=0.1)
    with StackThread(tmp_path_factory.mktemp("models") / "stack", options=options) as running:
        put_rows(running.data_store_url, '{"a": "x"}\n')
        yield running


def put_rows(data_store: str, rows: str) -> None:
    named = {"type": "dataset", "name": "rows", "organization": "law"}
    file = {"path": "rows.jsonl", "content": rows, "encoding": "utf-8"}
    lines = [{"key": "header", "value": {"summary": "add rows"}}, {"key": "file", "value": file}]
    with httpx.Client(base_url=data_store) as http:
        http.post("/v1/datastore/namespaces", json={"namespace": "law"}).raise_for_status()
        http.post("/v1/hf/api/repos/create", json=named).raise_for_status()
        commit = "/v1/hf/api/datasets/law/rows/commit/main"
        http.post(
            commit,
            content="\n".join(map(json.dumps, lines)),
            headers={"Content-Type": "application/x-ndjson"},
        ).raise_for_status()


@contextmanager
def model(body: bytes | None, **headers: str) -> Iterator[tuple[str, threading.Semaphore]]:
    """A model that gives one answer, or none; counts who asks."""
    over, asked = threading.Event(), threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.release()
            if body is None:
                over.wait()
                return
            self.send_response(200)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def asking(url: str, metrics: dict[str, Any] = MATCH, template: dict[str, Any] = ASKED) -> dict[str, Any]:
    task = {
        "type": "chat-completion",
        "dataset": {"files_url": "hf://datasets/law/rows"},
        "params": {"template": template},
        "metrics": metrics,
    }
    return {
        "config": {"type": "custom", "params": {"max_retries": 0}, "tasks": {"qa": task}},
        "target": {"type": "model", "model": {"api_endpoint": {"url": url, "model_id": "any"}}},
    }


def live(stack: StackThread, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{stack.platform_url}/v1/evaluation/live", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("body", "headers", "metrics", "reason"),
    [
        (gzip.compress(bytes(50 << 20)), {"content_encoding": "gzip"}, MATCH, "content-encoding 'gzip'"),
        (GOOD, {"content_encoding": "zstd"}, MATCH, "content-encoding 'zstd'"),
        (b"\xff<html>", {"content_type": "text/html; charset=rot13"}, MATCH, "is not valid JSON"),
        (b'{"choices": [{"message": "x"}]}', {}, CALLS, "has no choices"),
    ],
)
def test_an_answer_that_is_none_fails_the_evaluation_and_says_why(
    stack: StackThread, body: bytes, headers: dict[str, str], metrics: dict[str, Any], reason: str
) -> None:
    with model(body, **headers) as (url, _):
        found = live(stack, asking(url, metrics))
    assert found["status"] == "failed"
    assert reason in found["status_details"]["message"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ('{{ "\\udfff" }}', "cannot be written as JSON"),
        ("{{ [1e308 * 10] | tojson }}", "cannot be written as JSON"),
        ("{{ item.a | truncate(-1) }}", "is invalid: expected length >= 3"),
    ],
)
def test_a_request_that_cannot_be_written_fails_the_evaluation(
    stack: StackThread, messages: str, reason: str
) -> None:
    with model(GOOD) as (url, asked):
        found = live(stack, asking(url, template={"messages": messages}))
        assert not asked.acquire(blocking=False)
    assert found["status"] == "failed"
    assert reason in found["status_details"]["message"]
    assert "Internal" not in found["status_details"]["message"]


@pytest.mark.parametrize("url", ["http://xn--/v1", "http://xn--a.example/v1", "http://xn--.example/v1"])
def test_a_host_that_is_no_international_name_is_refused(stack: StackThread, url: str) -> None:
    answer = httpx.post(f"{stack.platform_url}/v1/evaluation/live", json=asking(url))
    assert answer.status_code == 400
    assert f"The address {url!r} is invalid" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("rows.jsonl", b'{"a": 1}\n\n{"a": NaN}\n'),
        ("rows.jsonl", b'{"a": 1}\n\n{"a": [{"b": 1e999}]}\n'),
        ("rows.json", b'{"a": 1}\n\n{"a": -Infinity}\n'),
    ],
)
def test_rows_that_no_result_could_hold_are_refused_by_line(path: str, content: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"rows\.jsonl?:3:"):
        parse_rows(path, content)


def test_silent_models_hold_up_nobody_and_are_left_when_the_client_goes(stack: StackThread) -> None:
    with model(None) as (url, asked), ExitStack() as opened:
        sent = json.dumps(asking(url)).encode()
        host, port = stack.platform_url.removeprefix("http://").split(":")
        for _ in range(60):
            connection = opened.enter_context(socket.create_connection((host, int(port))))
            head = f"POST /v1/evaluation/live HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(sent) + sent)
        assert asked.acquire(timeout=60)
        assert httpx.get(f"{stack.platform_url}/v1/namespaces", timeout=30).status_code == 200
        opened.close()
        wait_for(lambda: not httpx.get(f"{stack.platform_url}/v1/stack/status").json()["busy"], 60)
        with model(GOOD) as (other, _):
            assert live(stack, asking(other))["status"] == "completed"
