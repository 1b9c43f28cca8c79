"""Trainings that are killed, spoilt, starved or interrupted: they go on, or they fail and say why."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import load_file
from served_stack import wait_for
from shared_launcher import shared_launcher
from tiny_models import make_model, write_rows
from training_stack import (
    BASE,
    FAST,
    at_work,
    body,
    ended,
    long,
    start_stack,
    upload_rows,
    wait,
    worker_pid,
)

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Iterator[StackThread]:
    with start_stack(tmp_path_factory.mktemp("stack"), base_model) as running:
        upload_rows(running, "rows", tmp_path_factory.mktemp("rows"))
        upload_rows(running, "many", tmp_path_factory.mktemp("many"), rows=600)
        yield running


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.platform_url, timeout=30) as client:
        yield client


def test_killed_worker_is_resumed_once_and_the_job_completes(http: httpx.Client, stack: StackThread) -> None:
    sent = long(epochs=2, output_model="law/killed@v1")
    job = http.post("/v1/customization/jobs", json=sent).json()["id"]
    wait(http, job, lambda status: status["steps_completed"] >= 21)
    os.kill(worker_pid(stack, job), signal.SIGKILL)
    status = wait(http, job, ended)
    assert status["status"] == "completed", status
    restarts = [log for log in status["status_logs"] if log["message"] == "TrainingRestarted"]
    assert len(restarts) == 1 and "SIGKILL" in restarts[0]["detail"]
    steps = [point["step"] for point in status["metrics"]["metrics"]["train_loss"]]
    assert steps == sorted(set(steps)) and steps[-1] == 199


def test_worker_killed_twice_is_a_failed_job(http: httpx.Client, stack: StackThread) -> None:
    sent = long(output_model="law/twice-killed@v1")
    job = http.post("/v1/customization/jobs", json=sent).json()["id"]
    wait(http, job, at_work)
    os.kill(worker_pid(stack, job), signal.SIGKILL)
    logs = wait(
        http, job, lambda status: sum(log["message"] == "Training" for log in status["status_logs"]) == 2
    )
    assert logs["status"] == "running"
    os.kill(worker_pid(stack, job), signal.SIGKILL)
    status = wait(http, job, ended)
    assert status["status"] == "failed"
    assert "SIGKILL" in status["status_logs"][-1]["detail"]
    found = http.get(f"/v1/customization/jobs/{job}/container-logs").json()
    assert "SIGKILL" in found["error"]["message"]


def test_bad_row_fails_the_job_and_names_file_and_line(
    http: httpx.Client, stack: StackThread, tmp_path: Path
) -> None:
    upload_rows(stack, "bad", tmp_path)
    path = tmp_path / "training.jsonl"
    path.write_text(path.read_text() + '{"prompt": "no answer"}\n')
    store = next(each.state for each in stack.stack.services if each.name == "data_store")
    store.commit("dataset", "law", "bad", {"training/training.jsonl": path}, "spoil it")
    job = http.post("/v1/customization/jobs", json=body(dataset="law/bad", output_model="law/bad@v1")).json()
    status = wait(http, job["id"], ended)
    assert status["status"] == "failed"
    assert "training/training.jsonl:25: field 'completion'" in status["status_logs"][-1]["detail"]
    assert http.get("/v1/models/law/bad@v1").json()["artifact"]["status"] == "upload_failed"


def test_stack_restarted_during_training_completes_the_job(tmp_path: Path, base_model: Path) -> None:
    folder = tmp_path / "stack"
    with start_stack(folder, base_model) as first:
        upload_rows(first, "many", tmp_path / "many", rows=600)
        with httpx.Client(base_url=first.platform_url) as client:
            sent = long(epochs=2, output_model="law/tagger@v1")
            job = client.post("/v1/customization/jobs", json=sent).json()["id"]
            wait(client, job, lambda status: status["steps_completed"] >= 21)
    with start_stack(folder, base_model) as second, httpx.Client(base_url=second.platform_url) as client:
        status = wait(client, job, ended)
        assert status["status"] == "completed", status
        assert status["steps_completed"] == 200
        assert client.get("/v1/models/law/tagger@v1").json()["artifact"]["status"] == "upload_completed"


def test_nan_loss_fails_the_job_with_reason_and_step(http: httpx.Client, stack: StackThread) -> None:
    wild = {"finetuning_type": "all_weights", "learning_rate": 1e30, "optimizer": "adam_with_flat_lr"}
    sent = long(epochs=5, output_model="law/wild@v1")
    sent["hyperparameters"] |= wild | {"val_check_interval": 1}
    job = http.post("/v1/customization/jobs", json=sent).json()["id"]
    status = wait(http, job, ended)
    assert status["status"] == "failed"
    said = status["status_logs"][-1]["detail"]
    assert re.search(r"loss became (nan|inf) at step \d+", said) and "learning_rate" in said
    assert http.get("/v1/models/law/wild@v1").json()["artifact"]["status"] == "upload_failed"


def test_weights_of_the_best_validation_survive_a_failure(http: httpx.Client, stack: StackThread) -> None:
    job = http.post("/v1/customization/jobs", json=long(output_model="law/kept@v1")).json()["id"]
    wait(http, job, lambda status: status["best_epoch"] is not None)
    for attempt in (1, 2):
        wait(http, job, lambda status, number=attempt: trainings(status) == number)  # type: ignore[misc]
        os.kill(worker_pid(stack, job), signal.SIGKILL)
    assert wait(http, job, ended)["status"] == "failed"
    folder = stack.stack.dir / "customizer" / "jobs" / job
    assert any("lora_B" in name for name in load_file(folder / "best" / "weights.safetensors"))
    wait_for(lambda: not (folder / "checkpoint").exists())


def trainings(status: dict[str, Any]) -> int:
    return sum(log["message"] == "Training" for log in status["status_logs"])


def test_training_that_runs_out_of_memory_fails_and_says_so(tmp_path: Path, base_model: Path) -> None:
    with (
        start_stack(tmp_path / "stack", base_model, training_memory_mb=600) as running,
        httpx.Client(base_url=running.platform_url) as client,
    ):
        upload_rows(running, "rows", tmp_path / "rows")
        sent = body(hyperparameters=FAST | {"lora": {"adapter_dim": 1 << 20}})
        job = client.post("/v1/customization/jobs", json=sent).json()["id"]
        status = wait(client, job, ended)
    assert status["status"] == "failed"
    assert status["status_logs"][-1]["detail"].startswith("out of memory. ")


def test_stack_killed_during_training_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, base_model: Path
) -> None:
    # With as many threads as a stack of the command line has.
    options = StackOptions(base_models={BASE: base_model})
    with StackThread(tmp_path / "undisturbed", options=options, launcher=shared_launcher()) as stack:
        address = {"platform_url": stack.platform_url, "data_store_url": stack.data_store_url}
        undisturbed = weights_of(address, train_long(address, tmp_path))
    process, address = start_process(tmp_path / "killed", base_model)
    try:
        job = train_long(address, tmp_path)
        with httpx.Client(base_url=address["platform_url"], timeout=30) as client:
            wait(client, job, lambda status: status["steps_completed"] >= 21)
        process.kill()
        process.communicate()
        process, address = start_process(tmp_path / "killed", base_model)
        killed = weights_of(address, job)
    finally:
        process.kill()
        process.communicate()
    assert len(undisturbed) > 1000 and killed == undisturbed


def train_long(address: dict[str, str], folder: Path) -> str:
    """The id of a job that trains ``law/tagger``, submitted to an empty stack."""
    upload(address, folder)
    sent = long(epochs=2, output_model="law/tagger@v1")
    job: str = httpx.post(f"{address['platform_url']}/v1/customization/jobs", json=sent).json()["id"]
    return job


def weights_of(address: dict[str, str], job: str) -> bytes:
    """The adapter of such a job once it has completed."""
    with httpx.Client(base_url=address["platform_url"], timeout=30) as client:
        status = wait(client, job, ended)
    assert status["status"] == "completed", status
    url = f"{address['data_store_url']}/v1/hf/law/tagger/resolve/v1/adapter_model.safetensors"
    return httpx.get(url).content


def test_a_training_at_work_at_two_crashes_without_a_step_is_not_tried_again(
    tmp_path: Path, base_model: Path
) -> None:
    process, address = start_process(tmp_path / "stack", base_model)
    try:
        upload(address, tmp_path)
        url = f"{address['platform_url']}/v1/customization/jobs"
        job = httpx.post(url, json=long(output_model="law/crashing@v1")).json()["id"]
        for end in ("term", "kill", "kill"):
            with httpx.Client(base_url=address["platform_url"], timeout=30) as client:
                # The worker is started, and has not come to a step yet.
                wait(client, job, lambda status: status["status"] == "running")
            process.terminate() if end == "term" else process.kill()
            process.communicate()
            process, address = start_process(tmp_path / "stack", base_model)
        with httpx.Client(base_url=address["platform_url"], timeout=30) as client:
            status = wait(client, job, ended)
        assert status["status"] == "failed"
        detail = status["status_logs"][-1]["detail"]
        assert "stopped 2 times in a row during this training" in detail
        assert "submit the job again" in detail
    finally:
        process.kill()
        process.communicate()


def start_process(folder: Path, base_model: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--json", "--port", "0"]
    command += ["--dir", str(folder), "--base-model", f"{BASE}={base_model}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def upload(address: dict[str, str], folder: Path) -> None:
    """The rows of ``law/many``, over HTTP."""
    write_rows(folder / "training.jsonl", 600)
    write_rows(folder / "validation.jsonl", 6, start=600)
    api = HfApi(endpoint=f"{address['data_store_url']}/v1/hf", token="test")
    names = {"namespace": "law"}
    httpx.post(f"{address['data_store_url']}/v1/datastore/namespaces", json=names).raise_for_status()
    api.create_repo("law/many", repo_type="dataset")
    for part in ("training", "validation"):
        path = folder / f"{part}.jsonl"
        api.upload_file(
            path_or_fileobj=path, path_in_repo=f"{part}/rows.jsonl", repo_id="law/many", repo_type="dataset"
        )
    httpx.post(f"{address['platform_url']}/v1/namespaces", json={"id": "law"}).raise_for_status()
    entity = {"name": "many", "namespace": "law", "files_url": "hf://datasets/law/many"}
    httpx.post(f"{address['platform_url']}/v1/datasets", json=entity).raise_for_status()
