"""The pods of the overlay ``embedded`` as processes, killed and started again as Kubernetes would."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from manifests import Manifest, built, one
from pods import Machine
from tiny_models import make_model

from lawtags_client import sample

pytestmark = pytest.mark.slow

BASE = "huggingfacetb/smollm2-135m-instruct"
TOKEN = "canary-of-the-pods"
# What makes the run small: a tiny model, few rows, no masking of names, no encoder.
SMALL = {
    "curation.pii.entities": "[]",
    "curation.style.max_tokens": "64",
    "retriever.encoder": "none",
    "encoder.tune": "off",
    "training.token_budget": "null",
    "training.max_steps": "60",
    "training.epochs": "6",
    "evaluation.bootstrap": "100",
    "evaluation.platform_rows": "4",
}


def free_ports() -> int:
    """The first of three free ports in a row."""
    for _ in range(100):
        with ExitStack() as opened:
            first = opened.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for port in (first + 1, first + 2):
                    opened.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return int(first)
    raise AssertionError("no free ports")


def container_of(owner: Manifest, name: str) -> Manifest:
    spec = owner["spec"]["template"]["spec"]
    (found,) = [
        each for each in (*spec.get("initContainers", []), *spec["containers"]) if each["name"] == name
    ]
    return found


def wait(condition: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr else ""
            raise AssertionError(f"the process ended with {process.returncode}: {said}")
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass
class Cluster:
    """The overlay, and what its pods have."""

    objects: list[Manifest]
    machine: Machine
    port: int
    metrics_port: int
    base: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_stack(self) -> subprocess.Popen[str]:
        stack = container_of(one(self.objects, "StatefulSet", "lawtags-stack"), "stack")
        more = ("--base-model", f"{BASE}={self.base}", "--refresh-interval", "0.2")
        process = self.machine.start(
            stack, self.objects, *more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = stack[probe]["httpGet"]
            assert asked["port"] == "platform"
            wait(lambda path=asked["path"]: self._answers(f"{self.url}{path}"), process)  # type: ignore[misc]
        return process

    def start_run(self) -> subprocess.Popen[str]:
        run = container_of(one(self.objects, "Job", "lawtags-run"), "lawtags")
        more = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
        more += ["--set", f"model.tokenizer={self.base}"]
        return self.machine.start(run, self.objects, *more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start_metrics(self) -> subprocess.Popen[str]:
        sidecar = container_of(one(self.objects, "Job", "lawtags-run"), "metrics")
        return self.machine.start(
            sidecar, self.objects, "--every", "1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def jobs(self) -> list[dict[str, Any]]:
        answer = httpx.get(
            f"{self.url}/v1/customization/jobs", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
        )
        answer.raise_for_status()
        jobs: list[dict[str, Any]] = answer.json()["data"]
        return jobs

    def steps(self) -> int:
        return sum(job["status_details"]["steps_completed"] or 0 for job in self.jobs())

    def holder(self) -> int | None:
        """The process that took the run last; its lock is not tried, which could be in its way."""
        try:
            found = json.loads((self.machine.volumes["runs"] / "runs" / "smollm2-demo" / "lock").read_bytes())
        except ValueError:  # just being written
            return None
        return int(found["pid"])

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def metrics(self) -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30).text
        except httpx.HTTPError:
            return ""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    port = free_ports()
    with socket.create_server(("127.0.0.1", 0)) as other:
        metrics_port = other.getsockname()[1]
    questions = tmp_path / "questions.jsonl"
    lines = sample.path().read_text(encoding="utf-8").splitlines(keepends=True)
    questions.write_text("".join(lines[:220]), encoding="utf-8")
    volumes = {name: tmp_path / name for name in ("data", "runs", "questions", "scratch")}
    for folder in volumes.values():
        folder.mkdir()
    machine = Machine(
        volumes=volumes,
        secrets={"LAWTAGS_TOKEN": TOKEN},
        files={"/opt/lawtags/sample/questions.jsonl": str(questions)},
        addresses={
            **{f"lawtags-stack:{8000 + i}": f"127.0.0.1:{port + i}" for i in range(3)},
            "0.0.0.0:9109": f"127.0.0.1:{metrics_port}",
            "8000": str(port),
        },
    )
    yield Cluster(built("overlays/embedded"), machine, port, metrics_port, make_model(tmp_path / "model"))


def test_a_pod_that_is_started_again_finds_its_job(cluster: Cluster) -> None:
    with ExitStack() as ended:

        def kept(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
            def end() -> None:
                process.kill()
                process.communicate()

            ended.callback(end)
            return process

        stack = kept(cluster.start_stack())
        sidecar = kept(cluster.start_metrics())

        # The node goes away while the job trains.
        first = kept(cluster.start_run())
        wait(lambda: cluster.steps() > 0, first)
        first.kill()
        first.wait()

        # The next pod is evicted: it ends within the grace period, and leaves the job alone.
        second = kept(cluster.start_run())
        # The metrics still have the stage of the first one: only the lock says that the second has begun.
        wait(lambda: cluster.holder() == second.pid, second)
        # It holds the run for as long as the third needs to start, however short the rest of the job is.
        second.send_signal(signal.SIGSTOP)
        third = kept(cluster.start_run())
        assert third.wait(300) == 75, "a pod beside it must not take part in the run"
        wait(lambda: "platform_jobs" in cluster.metrics(), sidecar)
        second.send_signal(signal.SIGTERM)
        second.send_signal(signal.SIGCONT)
        grace = one(cluster.objects, "Job", "lawtags-run")["spec"]["template"]["spec"]
        assert second.wait(grace["terminationGracePeriodSeconds"]) == 143

        # So is the stack, which resumes the training.
        stack.send_signal(signal.SIGKILL)
        stack.wait()
        stack = kept(cluster.start_stack())
        last = kept(cluster.start_run())
        _, said = last.communicate(timeout=400)
        assert last.returncode == 0, said
        (job,) = cluster.jobs()
        assert job["status"] == "completed"
        wait(lambda: 'platform_jobs{state="completed"} 1' in cluster.metrics(), sidecar)
        assert 'stage="report",state="done"} 1' in cluster.metrics()
        # Nothing was written but to the volumes.
        (run,) = [path.parent for path in (cluster.machine.volumes["runs"] / "runs").glob("*/report.html")]
        assert run.name == "smollm2-demo"
        sidecar.send_signal(signal.SIGTERM)
        assert sidecar.wait(30) == 143
        stack.send_signal(signal.SIGTERM)
        assert stack.wait(60) == 0
