"""Starting, stopping, killing and guarding the stack, as processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi

from lawtags_client.errors import ConfigurationError
from lawtags_stack.lock import stack_holder
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import Stack, StackThread, read_address

CLI = [sys.executable, "-m", "lawtags_client.cli.local"]


class Running:
    """A stack in a process of its own."""

    def __init__(self, dir: Path, *arguments: str) -> None:
        self.dir = dir
        command = [*CLI, "up", "--json", "--port", "0", "--dir", str(dir), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.http = httpx.Client(base_url=self.address["platform_url"], timeout=60)

    def end(self, number: signal.Signals, timeout: float = 60.0) -> tuple[int, str]:
        """Send a signal; exit code and what was written to stderr."""
        self.http.close()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, errors


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*arguments: str, dir: Path = tmp_path / "stack") -> Running:
        started.append(Running(dir, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.http.close()
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def test_up_prints_one_line_and_writes_it_down(run: Callable[..., Running]) -> None:
    stack = run()
    assert set(stack.address) == {"platform_url", "data_store_url", "inference_url", "dir", "pid"}
    assert stack.address["pid"] == stack.process.pid
    written = read_address(stack.dir)
    assert written is not None and written.as_dict() == stack.address
    for url in (stack.address[f"{port}_url"] for port in ("platform", "data_store", "inference")):
        assert httpx.get(f"{url}/v1/health/ready").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_it_quickly_and_silently(run: Callable[..., Running], number: signal.Signals) -> None:
    stack = run()
    stack.http.get("/v1/namespaces")
    code, errors = stack.end(number)
    assert (code, errors) == (0, "")
    assert not (stack.dir / "stack.json").exists()
    assert stack_holder(stack.dir) is None


def test_startup_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lawtags_stack.stack import StackThread\n"
        "with StackThread(Path(sys.argv[1])) as stack: pass\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_second_stack_on_a_folder_is_rejected_naming_the_first(run: Callable[..., Running]) -> None:
    stack = run()
    for extra in ([], ["--detach"]):
        second = cli("up", "--json", "--port", "0", "--dir", str(stack.dir), *extra)
        assert second.returncode == 75 and second.stdout == ""
        told = json.loads(second.stderr)
        assert told["error"] == "BusyError"
        assert str(stack.process.pid) in told["message"] and socket.gethostname() in told["message"]


def test_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli("up", "--json", "--port", str(port), "--dir", str(tmp_path / "stack"))
    assert done.returncode == 2
    message = json.loads(done.stderr)["message"]
    assert str(port) in message
    if Path("/proc/net/tcp").exists():
        assert f"(process {os.getpid()}:" in message
    assert stack_holder(tmp_path / "stack") is None


def test_killed_stack_loses_no_acknowledged_write(run: Callable[..., Running]) -> None:
    stack = run()
    stack.http.post("/v1/namespaces", json={"id": "kept"}).raise_for_status()
    url = stack.address["data_store_url"]
    httpx.post(f"{url}/v1/datastore/namespaces", data={"namespace": "kept"}).raise_for_status()
    api = HfApi(endpoint=f"{url}/v1/hf", token="x")
    api.create_repo("kept/r", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id="kept/r", repo_type="dataset")
    stack.end(signal.SIGKILL)
    assert read_address(stack.dir) is not None  # nobody was left to remove it
    assert json.loads(cli("status", "--json", "--dir", str(stack.dir)).stdout)["running"] is False
    again = run()
    assert again.http.get("/v1/namespaces/kept").status_code == 200
    link = f"{again.address['data_store_url']}/v1/hf/datasets/kept/r/resolve/main/f"
    assert httpx.get(link).content == b"1"


def test_idle_stack_ends_by_itself(run: Callable[..., Running]) -> None:
    stack = run("--idle-timeout", "3")
    for _ in range(8):
        # Together longer than the time without requests that ends it.
        assert stack.http.get("/v1/namespaces").status_code == 200
        time.sleep(0.5)
    stack.http.close()
    stack.process.communicate(timeout=60)
    assert stack.process.returncode == 0


def test_detach_status_down_and_reset(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "stack"))
    up = cli("up", "--port", "0", "--detach", "--json", *where)
    assert up.returncode == 0, up.stderr
    try:
        status = json.loads(cli("status", "--json", *where).stdout)
        assert status["running"] and status["platform_url"] == json.loads(up.stdout)["platform_url"]
        assert {"data_store", "entity_store", "deployments"} <= set(status["services"])
        assert status["disk_bytes"] > 0
        shown = cli("status", *where).stdout.splitlines()
        assert f"platform     {status['platform_url']}" in shown and "trainings    none" in shown
        assert cli("reset", "--yes", *where).returncode == 75
    finally:
        down = cli("down", "--json", *where)
    assert json.loads(down.stdout)["stopped"] is True
    assert json.loads(cli("down", "--json", *where).stdout)["stopped"] is False
    asked = cli("reset", "--json", "--no-input", *where)
    assert json.loads(asked.stdout)["reset"] is False and (tmp_path / "stack" / "stack.sqlite").exists()
    assert json.loads(cli("reset", "--json", "--yes", *where).stdout)["reset"] is True
    assert not (tmp_path / "stack" / "stack.sqlite").exists()


def test_reset_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert cli("reset", "--yes", "--dir", str(tmp_path)).returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_token_is_required_where_others_could_call(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        Stack(tmp_path, host="0.0.0.0")
    Stack(tmp_path, host="0.0.0.0", options=StackOptions(token="secret"))
    assert "secret" not in repr(StackOptions(token="secret"))


def test_a_device_that_torch_does_not_find_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no device cuda:77; torch finds .*cpu") as caught:
        StackThread(tmp_path / "stack", options=StackOptions(device="cuda:77")).start()
    assert caught.value.hint
    assert read_address(tmp_path / "stack") is None
    with pytest.raises(ConfigurationError, match="unknown device 'tpu'"):
        Stack(tmp_path / "stack", options=StackOptions(device="tpu"))


def test_token_guards_everything_but_health(tmp_path: Path) -> None:
    options = StackOptions(token="secret")
    with StackThread(tmp_path / "stack", options=options) as stack:
        for url in (stack.platform_url, stack.data_store_url, stack.inference_url):
            missing = httpx.get(f"{url}/v1/models")
            assert missing.status_code == 401 and "requires a bearer token" in missing.text
            wrong = httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer secrets"})
            assert wrong.status_code == 401 and "not the one of this stack" in wrong.text
            assert httpx.get(f"{url}/v1/health/ready").status_code == 200
        right = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{stack.platform_url}/v1/models", headers=right).status_code == 200
        upload_with_token(stack, right)


def upload_with_token(stack: StackThread, right: dict[str, str]) -> None:
    with httpx.Client(base_url=stack.data_store_url, headers=right) as http:
        http.post("/v1/datastore/namespaces", data={"namespace": "n"}).raise_for_status()
        body = {"name": "r", "organization": "n", "type": "model"}
        http.post("/v1/hf/api/repos/create", json=body).raise_for_status()
        content = b"weights"
        digest = hashlib.sha256(content).hexdigest()
        batch = {"operation": "upload", "objects": [{"oid": digest, "size": len(content)}]}
        answer = http.post("/v1/hf/n/r.git/info/lfs/objects/batch", json=batch).json()
        link = answer["objects"][0]["actions"]["upload"]["href"]
    # Clients follow the upload link without their token; it opens that one door only.
    assert httpx.get(link).status_code == 401
    assert httpx.put(link.replace("signature=", "signature=0"), content=content).status_code == 401
    assert httpx.put(link, content=content).status_code == 200


def test_unknown_paths_and_methods(stack: StackThread) -> None:
    missing = httpx.get(f"{stack.platform_url}/v1/guardrail/configs")
    assert missing.status_code == 501
    assert "get" in httpx.get(missing.json()["available"], timeout=60).json()["paths"]["/v1/datasets"]
    wrong = httpx.put(f"{stack.platform_url}/v1/datasets", json={})
    assert wrong.status_code == 405 and "POST" in wrong.headers["allow"]
    assert httpx.get(f"{stack.platform_url}/nim/v1/models").json()["object"] == "list"
    assert "pagination" in httpx.get(f"{stack.platform_url}/v1/models").json()


def test_full_disk_is_a_507(stack: StackThread, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(stack.stack.services[1].state.projects), "create", full)
    answer = httpx.post(f"{stack.platform_url}/v1/projects", json={"name": "p"})
    assert answer.status_code == 507 and answer.headers["x-should-retry"] == "false"


async def test_stack_in_a_thread_starts_and_stops_within_a_running_loop(tmp_path: Path) -> None:
    with StackThread(tmp_path / "stack") as stack:
        async with httpx.AsyncClient(base_url=stack.platform_url) as http:
            assert (await http.get("/v1/namespaces")).status_code == 200
    assert stack_holder(tmp_path / "stack") is None
