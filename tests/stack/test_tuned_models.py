"""From a training job to answers and scores, for each way of training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_stack import wait_for
from shared_launcher import shared_launcher
from tiny_models import make_model
from training_stack import BASE, CONFIG, ended, upload_rows, wait

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

PROMPT = "Title: law 27 lease\nTags:"
METHODS = ("lora", "lora_merged", "all_weights")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    base_model = make_model(tmp_path_factory.mktemp("base") / "llama")
    options = StackOptions(base_models={BASE: base_model}, training_threads=1, refresh_interval=0.1)
    with StackThread(
        tmp_path_factory.mktemp("stack"), options=options, launcher=shared_launcher()
    ) as running:
        upload_rows(running, "rows", tmp_path_factory.mktemp("rows"))
        yield running


@pytest.fixture(scope="module")
def tuned(stack: StackThread) -> dict[str, str]:
    """A model of each way of training, all from the same rows and the same seed; served."""
    models = {method: train(stack, method, f"law/{method}@v1") for method in METHODS}
    deployments = f"{stack.platform_url}/v1/deployment/model-deployments"
    for method in METHODS[1:]:
        body = {"name": method, "namespace": "law", "config": {"model": models[method]}}
        httpx.post(deployments, json=body).raise_for_status()
    wait_for(lambda: set(models.values()) <= served(stack), 240)
    return models


def train(stack: StackThread, method: str, output: str) -> str:
    hyperparameters = {
        "finetuning_type": method,
        "epochs": 3,
        "batch_size": 6,
        "learning_rate": 0.02,
        "warmup_steps": 1,
        "seed": 7,
    }
    body = {"config": CONFIG, "dataset": "law/rows", "hyperparameters": hyperparameters}
    with httpx.Client(base_url=stack.platform_url, timeout=30) as http:
        job = http.post("/v1/customization/jobs", json=body | {"output_model": output}).json()
        status = wait(http, job["id"], ended)
    assert status["status"] == "completed", status
    return output


def served(stack: StackThread) -> set[str]:
    return {each["id"] for each in httpx.get(f"{stack.inference_url}/v1/models").json()["data"]}


def scores_of(stack: StackThread, model: str) -> dict[str, float]:
    """The likeliest first tokens of an answer, with their log-probabilities."""
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": 20}
    answer = httpx.post(f"{stack.inference_url}/v1/completions", json=body, timeout=60)
    answer.raise_for_status()
    found: dict[str, float] = answer.json()["choices"][0]["logprobs"]["top_logprobs"][0]
    return found


def test_merged_model_answers_as_base_and_adapter_do(stack: StackThread, tuned: dict[str, str]) -> None:
    adapter, merged = scores_of(stack, tuned["lora"]), scores_of(stack, tuned["lora_merged"])
    assert merged == pytest.approx(adapter, abs=1e-3)
    assert adapter != pytest.approx(scores_of(stack, BASE), abs=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_tuned_model_answers_with_what_the_rows_say(
    stack: StackThread, tuned: dict[str, str], method: str
) -> None:
    before, after = scores_of(stack, BASE), scores_of(stack, tuned[method])
    answer = max(after, key=lambda token: after[token])
    assert any(each.startswith(answer) for each in (" landlord, contract-law", " copyright", " trademark"))
    # A random model finds every token about as likely as any other.
    assert after[answer] > before.get(answer, min(before.values())) + 1


def test_the_same_seed_gives_the_same_files_and_the_same_scores(
    stack: StackThread, tuned: dict[str, str]
) -> None:
    again = train(stack, "lora", "law/again@v1")
    wait_for(lambda: again in served(stack), 240)
    files = [weights(stack, name) for name in (tuned["lora"], again)]
    assert files[0] == files[1]
    assert evaluated(stack, tuned["lora"]) == evaluated(stack, again)


def weights(stack: StackThread, model: str) -> str:
    repository, _, version = model.partition("@")
    url = f"{stack.data_store_url}/v1/hf/api/models/{repository}/tree/{version}"
    found = {each["path"]: each for each in httpx.get(url).json()}
    # Small files have no digest of git's large-file store, but the name that git gives to their content.
    file = found["adapter_model.safetensors"]
    return str((file.get("lfs") or file)["oid"])


def evaluated(stack: StackThread, model: str) -> Any:
    truth = {"ground_truth": "{{item.completion}}"}
    task = {
        "type": "completion",
        "dataset": {"files_url": "hf://datasets/law/rows/validation/validation.jsonl"},
        "params": {"template": {"prompt": "{{item.prompt}}", "max_tokens": 8, "temperature": 0.0}},
        "metrics": {"em": {"type": "em", "params": truth}, "f1": {"type": "f1", "params": truth}},
    }
    body = {
        "config": {"type": "custom", "tasks": {"tags": task}},
        "target": {"type": "model", "model": model},
    }
    with httpx.Client(base_url=f"{stack.platform_url}/v1/evaluation", timeout=30) as http:
        job = http.post("/jobs", json=body).json()["id"]
        wait_for(
            lambda: http.get(f"/jobs/{job}").json()["status"] not in ("created", "pending", "running"), 60
        )
        found = http.get(f"/jobs/{job}/results")
    found.raise_for_status()
    scores = found.json()["tasks"]["tags"]["metrics"]
    assert scores["f1"]["scores"]["f1"]["stats"]["count"] == 6
    return json.dumps(scores, sort_keys=True)


def test_a_tuned_model_is_fetched_and_converted(
    stack: StackThread, tuned: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from lawtags_client.cli.app import app

    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", stack.platform_url)
    monkeypatch.setenv("LAWTAGS_DATA_STORE_URL", stack.data_store_url)
    for method, kind in (("all_weights", "weights"), ("lora", "adapter")):
        place = tmp_path / method
        done = CliRunner().invoke(app, ["models", "get", tuned[method], "--out", str(place), "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["kind"] == kind and found["files"].keys() == {
            path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()
        }
        nemo = tmp_path / f"{method}.nemo"
        base = ["--base", str(tmp_path / "all_weights")]
        words = ["models", "convert", str(place), str(nemo), "--to", "nemo1", *base]
        assert CliRunner().invoke(app, words).exit_code == 0
        again = CliRunner().invoke(app, ["models", "get", tuned[method], "--out", str(place)])
        assert again.exit_code == 2 and "exists already" in again.output
