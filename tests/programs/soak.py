"""A soak test: mixed load on an embedded stack that is killed repeatedly, and invariants at the end.

``python tests/programs/soak.py --minutes 30`` prints a report as JSON, and fails if an invariant is violated:
no acknowledged write is lost, no job was created twice, every job ended, and pruning reduces the folder to
referenced data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from tiny_models import make_model, write_pairs, write_rows

from lawtags_stack.control import disk_use
from lawtags_stack.prune import prune
from lawtags_stack.server.servers import listen

BASE = "tests/tiny"
FINAL = ("completed", "failed", "cancelled")
ROWS = [{"output": "a", "reference": "a"}, {"output": "b", "reference": "a"}]
CHECK = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "{{reference}}"]}}
EVALUATION = {
    "config": {"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"check": CHECK}}}},
    "target": {"type": "rows", "rows": ROWS},
}


class Soak:
    """The stack, its users and its killers.

    Args:
        folder: for all data.
        seconds: duration of the load.
        seed: for all randomness.
    """

    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        self.random = random.Random(seed)
        self.dir = folder / "stack"
        self.base = make_model(folder / "base")
        self.port = _free_port()
        self.platform, self.data_store, self.inference = (
            f"http://127.0.0.1:{self.port + offset}" for offset in range(3)
        )
        self.until = time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.files: dict[str, str] = {}
        self.datasets: set[str] = set()
        self.tokens: set[str] = set()
        self.jobs: set[str] = set()
        self.evaluations: set[str] = set()
        self.peak_mb: dict[str, float] = {}
        self.lock = threading.Lock()
        self.stack: subprocess.Popen[str]
        self.rows = folder / "rows"
        for name, write in (("rows", write_rows), ("pairs", write_pairs)):
            write(self.rows / name / "training.jsonl", 16)
            write(self.rows / name / "validation.jsonl", 4)

    # The stack

    def start(self) -> None:
        """Start the stack, and wait until it responds."""
        command = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--json", "--dir", str(self.dir)]
        command += ["--port", str(self.port), "--base-model", f"{BASE}={self.base}"]
        command += ["--refresh-interval", "0.5"]
        started = time.monotonic()
        self.stack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.stack.stdout is not None
        line = self.stack.stdout.readline()
        if not line:
            raise RuntimeError("the stack did not start")
        with self.lock:
            self.peak_mb["slowest_start_s"] = max(
                self.peak_mb.get("slowest_start_s", 0.0), round(time.monotonic() - started, 2)
            )

    def run(self) -> dict[str, Any]:
        """Run everything, and return the report."""
        self.start()
        self._prepare()
        users = [self._upload, self._train, self._ask, self._evaluate, self._browse, self._kill]
        threads = [threading.Thread(target=self._use, args=(each,), name=each.__name__) for each in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._wait_for_jobs()
        self._check()
        self.stack.send_signal(signal.SIGTERM)
        self.stack.wait(30)
        before = disk_use(self.dir)
        pruned = prune(self.dir, kept=timedelta(0)).as_dict()
        after = disk_use(self.dir)
        self._check_disk(after)
        return {
            "counts": dict(sorted(self.counts.items())),
            "acknowledged": {
                "files": len(self.files), "datasets": len(self.datasets), "jobs": len(self.jobs),
                "evaluations": len(self.evaluations),
            },
            "measured": self.peak_mb,
            "disk_before_pruning": before,
            "pruned": pruned,
            "disk_after_pruning": after,
            "faults": self.faults,
        }  # fmt: skip

    def _use(self, work: Callable[[httpx.Client], None]) -> None:
        with httpx.Client(timeout=30) as http:
            while time.monotonic() < self.until:
                try:
                    work(http)
                except httpx.TransportError as error:
                    self._count(f"{work.__name__.strip('_')}: {type(error).__name__}")
                    time.sleep(0.05)
                except Exception as error:
                    self._fault(f"{work.__name__.strip('_')}: {type(error).__name__}: {error}")

    def _prepare(self) -> None:
        with httpx.Client(timeout=30) as http:
            http.post(f"{self.platform}/v1/namespaces", json={"id": "soak"}).raise_for_status()
            names = {"namespace": "soak"}
            http.post(f"{self.data_store}/v1/datastore/namespaces", json=names).raise_for_status()
            for path in self.rows.glob("*/*.jsonl"):
                assert self._commit(http, path.parent.name, f"{path.stem}/rows.jsonl", path.read_bytes())

    # Users

    def _upload(self, http: httpx.Client) -> None:
        name = f"repo-{self.random.randrange(40)}"
        path = f"training/{self.random.randrange(10_000)}.bin"
        content = self.random.randbytes(self.random.choice((200, 20_000, 400_000)))
        if self._commit(http, name, path, content):
            with self.lock:
                self.files[f"{name}/{path}"] = hashlib.sha256(content).hexdigest()
        entity = f"dataset-{time.monotonic_ns()}"
        fields = {"namespace": "soak", "name": entity, "files_url": f"hf://datasets/soak/{name}"}
        if self._ok("dataset", http.post(f"{self.platform}/v1/datasets", json=fields)):
            self.datasets.add(entity)
        if self.random.random() < 0.05:
            self._delete(http, f"repo-{self.random.randrange(40)}")

    def _commit(self, http: httpx.Client, name: str, path: str, content: bytes) -> bool:
        hub = f"{self.data_store}/v1/hf"
        http.post(f"{hub}/api/repos/create", json={"name": name, "organization": "soak", "type": "dataset"})
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        sent = http.put(f"{hub}/lfs/{digest}/{size}", content=content)
        if not self._ok("upload", sent):
            return False
        lines = [
            {"key": "header", "value": {"summary": "soak"}},
            {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": digest, "size": size}},
        ]
        body = "\n".join(map(json.dumps, lines))
        return self._ok(
            "commit",
            http.post(
                f"{hub}/api/datasets/soak/{name}/commit/main",
                content=body,
                headers={"Content-Type": "application/x-ndjson"},
            ),
        )

    def _delete(self, http: httpx.Client, name: str) -> None:
        with self.lock:
            # Before the request: even if its response is lost, these files may be gone.
            for path in [each for each in self.files if each.startswith(f"{name}/")]:
                del self.files[path]
        body = {"name": name, "organization": "soak", "type": "dataset"}
        http.request("DELETE", f"{self.data_store}/v1/hf/api/repos/delete", json=body)

    def _train(self, http: httpx.Client) -> None:
        token = f"t{len(self.tokens)}"
        self.tokens.add(token)
        jobs = f"{self.platform}/v1/customization/jobs"
        kind, rows = self.random.choice((("sft", "rows"), ("sft", "rows"), ("dpo", "pairs")))
        body = {
            "namespace": "soak",
            "config": f"{BASE}@v1.0.0+cpu",
            "dataset": f"hf://datasets/soak/{rows}",
            "output_model": f"soak/model@{token}",
            "custom_fields": {"token": token},
            "hyperparameters": {
                "finetuning_type": "lora", "training_type": kind, "epochs": 2, "batch_size": 4,
                "learning_rate": 1e-3,
                "lora": {"adapter_dim": 4},
            },
        }  # fmt: skip
        job = self._submitted(http, jobs, body, token)
        self.jobs.add(job)
        while time.monotonic() < self.until:
            try:
                if http.get(f"{jobs}/{job}").json()["status"] in FINAL:
                    return
            except httpx.TransportError:
                self._count("train: reply lost")
            time.sleep(0.5)

    def _submitted(self, http: httpx.Client, jobs: str, body: dict[str, Any], token: str) -> str:
        """Submit safely: after an uncertain outcome, look for the job before submitting again."""
        while True:
            try:
                answer = http.post(jobs, json=body)
                if answer.status_code < 300:
                    return str(answer.json()["id"])
                if answer.status_code != 409:
                    raise RuntimeError(f"{answer.status_code}: {answer.text}")
            except httpx.TransportError:
                self._count("train: doubtful submission")
            while True:
                try:
                    listed = http.get(jobs, params={"filter[namespace]": "soak", "page_size": 1000})
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            for job in listed.json()["data"]:
                if job["custom_fields"].get("token") == token:
                    return str(job["id"])

    def _ask(self, http: httpx.Client) -> None:
        models = [each["id"] for each in http.get(f"{self.inference}/v1/models").json()["data"]]
        model = self.random.choice([each for each in models if each.startswith(("soak/", "tests/"))])
        body = {"model": model, "prompt": "Title: lease\nTags:", "max_tokens": 1, "logprobs": 5}
        answer = http.post(f"{self.inference}/v1/completions", json=body)
        self._ok("completion", answer, allowed=(404, 503))
        time.sleep(0.05)

    def _evaluate(self, http: httpx.Client) -> None:
        answer = http.post(f"{self.platform}/v1/evaluation/jobs", json=EVALUATION)
        if self._ok("evaluation", answer):
            self.evaluations.add(str(answer.json()["id"]))
        time.sleep(0.2)

    def _browse(self, http: httpx.Client) -> None:
        for url in (
            f"{self.platform}/v1/datasets?page_size=100&filter[namespace]=soak",
            f"{self.platform}/v1/models?sort=-created_at",
            f"{self.platform}/v1/stack/status",
            f"{self.data_store}/v1/hf/api/datasets?author=soak",
        ):
            self._ok("read", http.get(url))
        self._measure()
        time.sleep(0.1)

    # Killers

    def _kill(self, http: httpx.Client) -> None:
        time.sleep(min(self.random.uniform(12, 45), max(0.0, self.until - time.monotonic())))
        if time.monotonic() >= self.until:
            return
        children = _children(self.stack.pid)
        if children and self.random.random() < 0.4:
            self._count("kills: worker")
            os.kill(self.random.choice(children), signal.SIGKILL)
            return
        self._count("kills: stack")
        self.stack.kill()
        self.stack.wait()
        self.start()

    # Invariants

    def _wait_for_jobs(self, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        with httpx.Client(timeout=30) as http:
            while time.monotonic() < deadline:
                if not http.get(f"{self.platform}/v1/stack/status").json()["busy"]:
                    return
                time.sleep(0.5)
        self._fault(f"jobs were still running {seconds:.0f} s after the load ended")

    def _check(self) -> None:
        with httpx.Client(timeout=30) as http:
            for path, digest in self.files.items():
                name, _, file = path.partition("/")
                url = f"{self.data_store}/v1/hf/datasets/soak/{name}/resolve/main/{file}"
                answer = http.get(url)
                if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != digest:
                    self._fault(f"file {path} is lost: {answer.status_code}")
            for name in self.datasets:
                if http.get(f"{self.platform}/v1/datasets/soak/{name}").status_code != 200:
                    self._fault(f"dataset {name} is lost")
            for job in self.evaluations:
                found = http.get(f"{self.platform}/v1/evaluation/jobs/{job}").json()
                # A job that was running at two kills of the stack is not retried, and says so.
                if found.get("status") != "completed" and "stopped 2 times" not in json.dumps(found):
                    self._fault(f"evaluation {job} is {found.get('status')}: {found.get('status_details')}")
            results = http.get(f"{self.platform}/v1/evaluation/results?page_size=1").json()
            made = results["pagination"]["total_results"]
            completed = {"filter[status]": "completed", "page_size": 1}
            jobs = http.get(f"{self.platform}/v1/evaluation/jobs", params=completed).json()
            if made != jobs["pagination"]["total_results"]:
                self._fault(f"{made} results for {jobs['pagination']['total_results']} evaluations")
            self._check_jobs(http)

    def _check_jobs(self, http: httpx.Client) -> None:
        query = {"filter[namespace]": "soak", "page_size": 1000}
        listed = http.get(f"{self.platform}/v1/customization/jobs", params=query).json()["data"]
        tokens = Counter(job["custom_fields"]["token"] for job in listed)
        for token, count in tokens.items():
            if count != 1:
                self._fault(f"token {token} has {count} jobs")
        if lost := self.jobs - {job["id"] for job in listed}:
            self._fault(f"jobs are lost: {lost}")
        served = {each["id"] for each in http.get(f"{self.inference}/v1/models").json()["data"]}
        for job in listed:
            self._count(f"jobs: {job['status']}")
            last = job["status_details"]["status_logs"][-1]
            if job["status"] == "completed" and job["output_model"] not in served:
                self._fault(f"the model of {job['id']} is not served")
            forgiven = ("SIGKILL", "times in a row during this training")
            if job["status"] != "completed" and not any(words in str(last["detail"]) for words in forgiven):
                self._fault(f"job {job['id']} is {job['status']}: {last}")

    def _check_disk(self, after: dict[str, int]) -> None:
        scratch = sum(size for name, size in after.items() if name not in ("database", "blobs"))
        if scratch > 20_000_000 + 100_000 * (len(self.tokens) + len(self.evaluations)):
            self._fault(f"{scratch} bytes of scratch are left after pruning")

    # Counters

    def _ok(self, what: str, answer: httpx.Response, allowed: tuple[int, ...] = ()) -> bool:
        self._count(f"{what}: {answer.status_code}")
        if answer.status_code >= 300 and answer.status_code not in (*allowed, 404):
            self._fault(f"{what}: {answer.status_code} {answer.text[:300]}")
        return answer.status_code < 300

    def _count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def _fault(self, what: str) -> None:
        with self.lock:
            self.faults.append(what)

    def _measure(self) -> None:
        try:
            status = Path(f"/proc/{self.stack.pid}/status").read_text("utf-8")
        except OSError:
            return
        peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
        with self.lock:
            self.peak_mb["stack_peak_mb"] = max(self.peak_mb.get("stack_peak_mb", 0.0), round(peak / 1024, 1))


def _children(process: int) -> list[int]:
    """The fork server, its workers, and other children of the stack."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process:
            child = int(path.parent.name)
            found += [child, *_children(child)]
    return found


def _free_port() -> int:
    """Find three consecutive free ports, below the range that the system assigns to clients."""
    for port in range(18_600, 28_000, 7):
        held = []
        try:
            held += [listen("127.0.0.1", port + offset, purpose="soak") for offset in range(3)]
        except Exception:
            continue
        else:
            return port
        finally:
            for each in held:
                each.close()
    raise RuntimeError("no three free ports in a row")


def main() -> int:
    """Run the soak test; returns 0 if all invariants hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), arguments.minutes * 60, arguments.seed)
        try:
            report = {"minutes": arguments.minutes, "seed": arguments.seed, **soak.run()}
        finally:
            soak.stack.kill()
            soak.stack.wait()
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.report:
        arguments.report.write_text(text + "\n", "utf-8")
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
