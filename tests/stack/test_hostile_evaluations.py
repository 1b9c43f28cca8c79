"""Evaluations whose templates and patterns would take for ever: the job fails, the stack goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_stack import wait_for

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread, read_address

HONEST = "{{ item.a }}"
POWER = "{{ 10**(10**9) }}"
ROWS = [{"a": str(number)} for number in range(20)]
FINAL = ("completed", "failed", "cancelled")
CLI = [sys.executable, "-m", "lawtags_client.cli.local"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    with StackThread(
        tmp_path_factory.mktemp("hostile") / "stack", options=StackOptions(refresh_interval=0.1)
    ) as running:
        yield running


def checking(left: str, right: str = HONEST) -> dict[str, Any]:
    """An evaluation of rows that bring their answers along."""
    metrics = {"check": {"type": "string-check", "params": {"check": [left, "equals", right]}}}
    return {
        "config": {"type": "custom", "tasks": {"qa": {"type": "data", "metrics": metrics}}},
        "target": {"type": "rows", "rows": ROWS},
    }


def created(platform_url: str, body: dict[str, Any]) -> str:
    answer = httpx.post(f"{platform_url}/v1/evaluation/jobs", json=body)
    answer.raise_for_status()
    return f"{platform_url}/v1/evaluation/jobs/{answer.json()['id']}"


def ended(job: str) -> dict[str, Any]:
    wait_for(lambda: httpx.get(job).json()["status"] in FINAL, 120)
    found: dict[str, Any] = httpx.get(job).json()
    return found


@contextmanager
def model_server(reply: str | None) -> Iterator[str]:
    """A model that gives one answer to everything; None keeps it silent until the end."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if reply is None:
                over.wait()
                return
            body = json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("template", "limit"),
    [
        ("{{ 10**(10**(item.a | int)) }}", "2 s of CPU time"),
        ("{{ '%999999999d' % 1 }}", "512 MiB of memory"),
        ("{% for x in range(90000) %}{{ item.a.ljust(9999) }}{% endfor %}", "more than 16 MiB"),
    ],
)
def test_a_template_without_end_fails_its_job_and_says_why(
    stack: StackThread, template: str, limit: str
) -> None:
    job = created(stack.platform_url, checking("{% if item.a == '9' %}" + template + "{% endif %}"))
    found = ended(job)
    message = found["status_details"]["message"]
    assert found["status"] == "failed"
    assert limit in message and template[:20] in message and "row 10" in message
    assert ended(created(stack.platform_url, checking(HONEST)))["status"] == "completed"


def test_a_live_evaluation_without_end_fails_and_says_why(stack: StackThread) -> None:
    answer = httpx.post(f"{stack.platform_url}/v1/evaluation/live", json=checking(POWER), timeout=120).json()
    assert answer["status"] == "failed"
    assert "CPU time" in answer["status_details"]["message"]


def test_a_judges_pattern_without_end_fails_its_job(stack: StackThread) -> None:
    with model_server("a" * 60 + "!") as url:
        judge = {
            "type": "llm-judge",
            "params": {
                "model": {"api_endpoint": {"url": f"{url}/v1/chat/completions", "model_id": "judge"}},
                "template": {"messages": [{"role": "user", "content": HONEST}]},
                "scores": {"quality": {"type": "int", "parser": {"type": "regex", "pattern": "(a+)+$"}}},
            },
        }
        body = checking(HONEST)
        body["config"]["tasks"]["qa"]["metrics"]["judge"] = judge
        found = ended(created(stack.platform_url, body))
    message = found["status_details"]["message"]
    assert found["status"] == "failed"
    assert "'(a+)+$'" in message and "'quality'" in message and "row " in message and "CPU time" in message


def test_cancelling_works_while_a_template_runs(stack: StackThread) -> None:
    # Enough rows, each below the limit, that the job would take minutes.
    busy = "{% for a in range(700) %}{% for b in range(700) %}{% endfor %}{% endfor %}"
    body = checking(busy)
    body["target"]["rows"] = ROWS * 500
    job = created(stack.platform_url, body)
    wait_for(lambda: httpx.get(job).json()["status"] == "running")
    httpx.post(f"{job}/cancel").raise_for_status()
    assert httpx.get(job).json()["status"] == "cancelled"
    # Its place is free again: as many as run at a time, and one more.
    jobs = [created(stack.platform_url, checking(HONEST)) for _ in range(4)]
    assert {ended(each)["status"] for each in jobs} == {"completed"}
    wait_for(lambda: not stack.stack.busy())


def test_cancelling_works_while_a_model_keeps_silent(stack: StackThread) -> None:
    with model_server(None) as url:
        endpoint = {"url": f"{url}/v1/chat/completions", "model_id": "silent"}
        judge = {
            "type": "llm-judge",
            "params": {
                "model": {"api_endpoint": endpoint},
                "template": {"messages": [{"role": "user", "content": HONEST}]},
                "scores": {"quality": {"parser": {"pattern": "(.)"}}},
            },
        }
        body = checking(HONEST)
        body["config"]["tasks"]["qa"]["metrics"]["judge"] = judge
        job = created(stack.platform_url, body)
        wait_for(lambda: httpx.get(f"{job}/status").json()["task_status"] == {"qa": "running"})
        httpx.post(f"{job}/cancel").raise_for_status()
        assert httpx.get(f"{job}/status").json()["task_status"] == {"qa": "failed"}
        wait_for(lambda: not stack.stack.busy())


class Process:
    """A stack in a process of its own."""

    def __init__(self, dir: Path) -> None:
        command = [*CLI, "up", "--json", "--port", "0", "--dir", str(dir)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline()
        address = read_address(dir)
        assert address is not None
        self.url = address.platform_url

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def wait_until_running(job: str) -> None:
    wait_for(lambda: bool(httpx.get(job).json()["status"] == "running"))


def test_a_job_at_work_at_two_crashes_is_not_tried_again_and_a_stop_is_no_crash(tmp_path: Path) -> None:
    busy = "{% for a in range(700) %}{% for b in range(700) %}{% endfor %}{% endfor %}"
    body = checking(busy)
    body["target"]["rows"] = ROWS * 500
    ends = (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
    stack = Process(tmp_path / "stack")
    try:
        path = created(stack.url, body).removeprefix(stack.url)
        for number in ends:
            wait_until_running(stack.url + path)
            code, errors = stack.end(number)
            assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
            assert errors == ""
            stack = Process(tmp_path / "stack")
        found = ended(stack.url + path)
        assert found["status"] == "failed"
        assert "stopped 2 times while this evaluation was running" in found["status_details"]["message"]
        assert "starts" not in found
    finally:
        stack.process.kill()
        stack.process.communicate()


def test_the_tasks_of_an_evaluation_end_with_it(stack: StackThread) -> None:
    body = checking("{{ item.a if item.a != '9' else item.absent }}")
    body["config"]["tasks"]["later"] = body["config"]["tasks"]["qa"]
    failed = ended(created(stack.platform_url, body))
    live = httpx.post(f"{stack.platform_url}/v1/evaluation/live", json=body, timeout=60).json()
    for found in (failed, live):
        assert found["status"] == "failed"
        assert found["status_details"]["task_status"] == {"qa": "failed", "later": "failed"}
