"""Trouble on purpose: what the chaos file can ask for, and that the client gets through all of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from huggingface_hub import HfApi
from served_stack import BASE, wait_for
from shared_launcher import shared_launcher
from tiny_models import make_model, write_rows

from lawtags_client import LoRA, NeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.settings import Settings
from lawtags_client.types.inference import CompletionRequest
from lawtags_stack.chaos import ChaosPlan, read_plan
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

Started = Callable[..., StackThread]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Started]:
    """Starts a stack with a plan."""
    with ExitStack() as running:

        def start(base_models: dict[str, Path] | None = None, **plan: Any) -> StackThread:
            chaos = ChaosPlan.model_validate({"schema_version": 1, **plan})
            options = StackOptions(base_models=base_models or {}, chaos=chaos, refresh_interval=0.1)
            return running.enter_context(
                StackThread(tmp_path / "stack", options=options, launcher=shared_launcher())
            )

        yield start


def test_a_rule_refuses_some_requests_and_lets_the_others_pass(stack: Started) -> None:
    rule = {"path": "/v1/models", "method": "GET", "skip": 1, "times": 2, "answer": 429, "retry_after": 2}
    running = stack(requests=[rule])
    answers = [httpx.get(f"{running.platform_url}/v1/models") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "2"
    assert httpx.get(f"{running.platform_url}/v1/datasets").status_code == 200


@pytest.mark.parametrize(("drop", "kept"), [("request", 0), ("reply", 1)])
def test_a_dropped_reply_differs_from_a_dropped_request(stack: Started, drop: str, kept: int) -> None:
    running = stack(requests=[{"path": "/v1/projects", "method": "POST", "times": 1, "drop": drop}])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.post(f"{running.platform_url}/v1/projects", json={"name": "p"})
    listed = httpx.get(f"{running.platform_url}/v1/projects").json()
    assert listed["pagination"]["total_results"] == kept


def test_a_share_and_latency_are_by_chance_but_the_same_each_time(stack: Started) -> None:
    rule = {"share": 0.5, "answer": 503, "latency": [0.0, 0.01], "port": "platform"}
    running = stack(seed=3, requests=[rule])
    statuses = [httpx.get(f"{running.platform_url}/v1/models").status_code for _ in range(12)]
    assert set(statuses) == {200, 503}
    assert httpx.get(f"{running.inference_url}/v1/models").status_code == 200
    assert httpx.get(f"{running.platform_url}/health").status_code == 200


def test_a_new_repository_takes_a_while_and_its_commits_have_no_url(stack: Started) -> None:
    running = stack(data_store={"initialization": 2.5, "empty_commit_url": True})
    hub = f"{running.data_store_url}/v1/hf"
    httpx.post(f"{running.data_store_url}/v1/datastore/namespaces", json={"namespace": "law"})
    HfApi(endpoint=hub, token="t").create_repo("law/rows", repo_type="dataset")
    revision = f"{hub}/api/datasets/law/rows/revision/main"
    first = httpx.get(revision)
    assert (first.status_code, "x-should-retry" in first.headers) == (500, False)
    assert httpx.get(f"{hub}/api/datasets/law/other/revision/main").status_code == 404
    wait_for(lambda: httpx.get(revision).status_code == 200)
    line = '{"key":"header","value":{"summary":"s"}}\n{"key":"file","value":{"path":"a","content":""}}'
    answer = httpx.post(
        f"{hub}/api/datasets/law/rows/commit/main",
        content=line,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.json()["commitUrl"] == ""


@pytest.mark.slow
async def test_the_client_gets_through_a_run_in_which_everything_goes_wrong(
    stack: Started, tmp_path: Path
) -> None:
    running = stack(
        {BASE: make_model(tmp_path / "base")},
        requests=[
            {"path": "/v1/customization/jobs", "method": "POST", "times": 1, "drop": "reply"},
            {"path": "/v1/customization/jobs*", "skip": 1, "times": 2, "answer": 429, "retry_after": 0.05},
            {"path": "/v1/hf/api/*/commit/main", "times": 1, "drop": "reply"},
            {"path": "/v1/hf/*", "share": 0.2, "answer": 503, "retry_after": 0.05},
            {"path": "/v1/models*", "share": 0.2, "drop": "request", "method": "GET"},
            {"port": "inference", "method": "POST", "times": 1, "drop": "reply"},
        ],
        data_store={"initialization": 0.3, "empty_commit_url": True},
        customizer={"pending": 0.4, "kill_at_step": 1},
        inference={"refresh_interval": 0.5},
    )
    write_rows(tmp_path / "rows" / "training" / "a.jsonl", 8)
    write_rows(tmp_path / "rows" / "validation" / "a.jsonl", 4)
    settings = Settings(
        platform_url=running.platform_url,
        data_store_url=running.data_store_url,
        inference_url=running.inference_url,
    )
    async with NeMo(settings) as nemo:
        dataset = await nemo.data_store.upload_dataset("law/rows", tmp_path / "rows")
        job = await nemo.customizer.fine_tune(
            config=f"{BASE}@v1.0.0+cpu", dataset=dataset, method=LoRA(adapter_dim=4), epochs=2,
            batch_size=4, learning_rate=1e-3, output_model="law/tagger",
        )  # fmt: skip
        model = await job.served(timeout=120)
        asked = CompletionRequest(prompt="Title: lease\nTags:", model=model, max_tokens=2)
        assert (await nemo.inference.complete(asked)).choices
    jobs = httpx.get(f"{running.platform_url}/v1/customization/jobs").json()["data"]
    assert [each["status"] for each in jobs] == ["completed"]
    messages = [log["message"] for log in jobs[0]["status_details"]["status_logs"]]
    assert {"NotEnoughResources", "TrainingRestarted"} <= {*messages}


@pytest.mark.slow
def test_a_job_fails_at_the_step_that_the_file_names(stack: Started, tmp_path: Path) -> None:
    running = stack({BASE: make_model(tmp_path / "base")}, customizer={"fail_at_step": 1, "jobs": "law/*"})
    write_rows(tmp_path / "rows" / "training" / "a.jsonl", 8)
    write_rows(tmp_path / "rows" / "validation" / "a.jsonl", 4)
    httpx.post(f"{running.data_store_url}/v1/datastore/namespaces", json={"namespace": "law"})
    api = HfApi(endpoint=f"{running.data_store_url}/v1/hf", token="t")
    api.create_repo("law/rows", repo_type="dataset")
    api.upload_folder(folder_path=tmp_path / "rows", repo_id="law/rows", repo_type="dataset")
    wanted = {"finetuning_type": "lora", "epochs": 3, "batch_size": 4, "learning_rate": 1e-3}
    body = {
        "config": f"{BASE}@v1.0.0+cpu",
        "dataset": "hf://datasets/law/rows",
        "output_model": "law/tagger",
        "hyperparameters": wanted | {"log_every_n_steps": 1},
    }
    jobs = f"{running.platform_url}/v1/customization/jobs"
    job = httpx.post(jobs, json=body).json()["id"]
    wait_for(lambda: httpx.get(f"{jobs}/{job}/status").json()["status"] == "failed", 60)
    status = httpx.get(f"{jobs}/{job}/status").json()
    assert "makes this job fail" in status["status_logs"][-1]["detail"]
    assert [each["step"] for each in status["metrics"]["metrics"]["train_loss"]] == [0]


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({}, "schema_version"),
        ({"schema_version": 1, "request": []}, "request"),
        ({"schema_version": 1, "requests": [{"path": "/x"}]}, "latency, answer or drop"),
        ({"schema_version": 1, "requests": [{"answer": 200}]}, "requests.0.answer"),
        ({"schema_version": 1, "requests": [{"answer": 500, "drop": "reply"}]}, "either answer or drop"),
        ({"schema_version": 1, "requests": [{"latency": [2, 1]}]}, "latency"),
        ({"schema_version": 1, "requests": [{"drop": "reply", "retry_after": 1}]}, "retry_after"),
        ([1], "the file"),
    ],
)
def test_a_chaos_file_that_is_not_understood_is_refused(tmp_path: Path, said: Any, place: str) -> None:
    path = tmp_path / "chaos.yaml"
    path.write_text(yaml.safe_dump(said), "utf-8")
    with pytest.raises(ConfigurationError, match=place):
        read_plan(path)


def test_the_command_line_reads_the_file_before_it_starts_anything(tmp_path: Path) -> None:
    bad = tmp_path / "chaos.yaml"
    bad.write_text("requests: [", "utf-8")
    command = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--chaos", str(bad), "--port", "0"]
    done = subprocess.run([*command, "--dir", str(tmp_path / "s")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert not (tmp_path / "s").exists()
