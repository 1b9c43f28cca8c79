"""A run on a real MLflow tracking server, which runs in an environment of its own: make mlflow."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from made_run import make_run

from lawtags_client.errors import LawtagsError
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.tracking import RunTracking
from lawtags_client.settings import Settings
from lawtags_client.tracking.dataset import TrackedDataset
from lawtags_client.tracking.mlflow import MlflowRun

ROOT = Path(__file__).parents[3]
MLFLOW = os.environ.get("LAWTAGS_MLFLOW") or shutil.which("mlflow", path=ROOT / ".venv-mlflow" / "bin")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if MLFLOW is None:
        pytest.skip("no MLflow server: make mlflow installs one, or set LAWTAGS_MLFLOW to its program")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    words += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    # Its jobs, which nothing here uses, start eight more processes.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [MLFLOW, *words], stdout=log, stderr=log, start_new_session=True, cwd=folder, env=environment
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while not _answers(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(120)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def opened(url: str, run_id: str = "r1", experiment: str = "law") -> MlflowRun:
    return MlflowRun(url, experiment, run_id=run_id, name="gemma-2-2b", settings=Settings())


def runs_of(url: str, experiment: str) -> list[dict[str, Any]]:
    named = {"experiment_name": experiment}
    found = httpx.get(f"{url}/api/2.0/mlflow/experiments/get-by-name", params=named).json()
    body = {"experiment_ids": [found["experiment"]["experiment_id"]]}
    listed: list[dict[str, Any]] = httpx.post(f"{url}/api/2.0/mlflow/runs/search", json=body).json()["runs"]
    return listed


def history(url: str, run: str, metric: str) -> list[tuple[int, float]]:
    query = {"run_id": run, "metric_key": metric}
    found = httpx.get(f"{url}/api/2.0/mlflow/metrics/get-history", params=query).json()["metrics"]
    return sorted((int(each.get("step", 0)), each["value"]) for each in found)


ROWS = TrackedDataset("law/questions", "d" * 64, {"training": 5, "testing": 2})
POINTS = [("train_loss", step, 3.0 / (step + 1)) for step in range(30)] + [("val_loss", 29, 0.9)]


@pytest.mark.slow
async def test_an_interrupted_run_is_one_run_with_each_point_once(server: str, tmp_path: Path) -> None:
    parameters = {"epochs": 3, "learning_rate": 1e-4, "lora": {"adapter_dim": 16}, "seed": None}
    async with opened(server) as run:
        await run.started(parameters, {"lawtags.job": "cust-1"}, ROWS)
        await run.points(POINTS[:20])
        await run.points([("train_loss", 99, math.nan), ("train_loss", 98, math.inf)])
        await run.failed()
    assert runs_of(server, "law")[0]["info"]["status"] == "FAILED"
    report = tmp_path / "report.html"
    report.write_text("<p>It is better.</p>")
    # The same command again: a new process, which receives all points again.
    async with opened(server) as run:
        await run.started({**parameters, "epochs": 4}, {"lawtags.job": "cust-2"}, ROWS)
        assert runs_of(server, "law")[0]["info"]["status"] == "RUNNING"
        await run.points(POINTS)
        await run.finished({"micro_f1/tagger": 0.658}, [report], "**It is better.**")
    (found,) = runs_of(server, "law")
    info, data = found["info"], found["data"]
    assert (info["run_name"], info["status"]) == ("gemma-2-2b", "FINISHED")
    assert {each["key"]: each["value"] for each in data["params"]} == {
        "epochs": "3", "learning_rate": "0.0001", "lora.adapter_dim": "16"
    }  # fmt: skip
    tags = {each["key"]: each["value"] for each in data["tags"]}
    assert tags["lawtags.run_id"] == "r1" and tags["lawtags.job"] == "cust-2"
    losses = history(server, info["run_id"], "train_loss")
    assert losses == [(step, pytest.approx(value)) for name, step, value in POINTS if name == "train_loss"]
    assert history(server, info["run_id"], "micro_f1/tagger") == [(0, 0.658)]
    assert tags["mlflow.note.content"] == "**It is better.**"
    (given,) = found["inputs"]["dataset_inputs"]
    assert (given["dataset"]["name"], given["dataset"]["digest"]) == ("law/questions", "d" * 36)
    assert json.loads(given["dataset"]["profile"]) == {"num_rows": 7, "training": 5, "testing": 2}
    place = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    kept = httpx.get(f"{server}/api/2.0/mlflow-artifacts/artifacts/{place}/report.html")
    assert kept.text == report.read_text()


@pytest.mark.slow
async def test_names_with_odd_characters_are_kept(server: str) -> None:
    async with opened(server, "r2", "law / tags é %") as run:
        await run.started({}, {})
        await run.finished({}, [])
    assert len(runs_of(server, "law / tags é %")) == 1


@pytest.mark.slow
async def test_a_run_that_fails_before_its_training_leaves_no_trace(server: str) -> None:
    async with opened(server, "r3", "untouched") as run:
        await run.failed()
    named = {"experiment_name": "untouched"}
    assert httpx.get(f"{server}/api/2.0/mlflow/experiments/get-by-name", params=named).status_code == 404


class Noted(LoggedProgress):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Reported:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.figures: dict[str, float] = {}
        self.note = ""
        self.failures = 0

    async def started(self, parameters: object, tags: object, dataset: object = None) -> None:
        raise AssertionError("no training starts here")

    async def points(self, points: Iterable[tuple[str, int, float]]) -> None:
        self.seen += [name for name, _, _ in points]

    async def failed(self) -> None:
        self.failures += 1

    async def finished(self, figures: Mapping[str, float], files: Sequence[Path], note: str = "") -> None:
        self.figures, self.note = dict(figures), note


async def test_charts_of_one_kind_stand_together_and_the_verdict_is_the_description(tmp_path: Path) -> None:
    reported = Reported()
    tracking = RunTracking(reported, Noted())
    await tracking.points([("train_loss", 0, 1.0), ("tokens_per_second", 0, 9.0)])
    await tracking.finished(make_run(tmp_path / "run"))
    assert reported.seen == ["loss/train_loss", "tokens_per_second"]
    # Sections of MLflow's page are sorted by name: losses first.
    assert {name.split("/")[0] for name in reported.figures} == {
        "test_micro_f1", "test_macro_f1", "test_samples_f1"
    }  # fmt: skip
    assert reported.figures["test_micro_f1/tagger"] > 0
    assert "| system | micro F1 | 95 % | macro F1 |\n| --- | --- | --- | --- |\n| tagger |" in reported.note


class OlderServer(BaseHTTPRequestHandler):
    """Answers as MLflow before 2.4, which knows no datasets."""

    asked: list[str]

    def do_GET(self) -> None:
        self._answer({"experiment": {"experiment_id": "1"}, "run": {"data": {}}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"run": {"info": {"run_id": "m1"}}})

    def _answer(self, body: object) -> None:
        call = self.path.partition("?")[0].removeprefix("/api/2.0/mlflow/")
        self.asked.append(call)
        self.send_response(404 if call == "runs/log-inputs" else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *values: object) -> None:
        """Nothing."""


async def test_a_server_that_knows_no_datasets_gets_all_else() -> None:
    OlderServer.asked = []
    with HTTPServer(("127.0.0.1", 0), OlderServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            async with opened(f"http://127.0.0.1:{server.server_port}") as run:
                await run.started({"epochs": 3}, {}, ROWS)
                await run.points(POINTS)
        finally:
            server.shutdown()
            thread.join()
    assert OlderServer.asked[-3:] == ["runs/log-inputs", "runs/log-batch", "runs/log-batch"]


async def test_a_server_that_is_down_costs_one_note_and_not_the_run() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        told = Noted()
        settings = Settings(connect_timeout=1)
        async with MlflowRun(
            f"http://127.0.0.1:{closed.getsockname()[1]}", "law", run_id="r", name="n", settings=settings
        ) as run:
            tracking = RunTracking(run, told)
            for _ in range(3):
                await tracking.points([("train_loss", 0, 1.0)])
    (note,) = told.notes
    assert note.startswith("the run continues, but is no longer reported to the tracking server: ")


async def test_the_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary-mlflow")
    run = MlflowRun("http://127.0.0.1:9", "law", run_id="r", name="n", settings=Settings(connect_timeout=1))
    assert "canary" not in repr(run)
    with pytest.raises(LawtagsError) as caught:
        await run.points(POINTS)
    assert "canary" not in f"{caught.value}{json.dumps(caught.value.as_dict(), default=str)}"
