"""Evaluations by the names of a dataset, a model and metrics: what is sent, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM, client

from lawtags_client import UploadedDataset
from lawtags_client.errors import ConfigurationError
from lawtags_client.types.common import APIEndpoint
from lawtags_client.types.entity_store import Dataset
from lawtags_client.types.evaluator import EvaluationConfigRequest, EvaluationTargetRequest, MetricConfig

FILE = "hf://datasets/law/tags/testing/testing.jsonl"


class Server:
    """Lists the files of one dataset, and makes evaluations."""

    def __init__(self, *files: str) -> None:
        self.files = dict.fromkeys(files or ("testing/testing.jsonl", "training/a.jsonl"), "a" * 40)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "/tree/" in request.url.path:
            entries = [{"type": "file", "path": path, "oid": oid} for path, oid in self.files.items()]
            return httpx.Response(200, json=entries)
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
            return httpx.Response(200, json={"id": f"eval-{len(self.bodies)}", "status": "created"})
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"data": []})
        return httpx.Response(200, json={"id": request.url.path.rpartition("/")[2], "status": "created"})


def uploaded(*files: str) -> UploadedDataset:
    return UploadedDataset(
        "law/tags", "hf://datasets/law/tags", dict.fromkeys(files, "0" * 64), {}, "d", None, (), Dataset()
    )


async def test_dataset_model_and_metrics_make_a_whole_job(tmp_path: Path) -> None:
    server = Server()
    nemo = client(server, tmp_path, token="canary-token")
    await nemo.evaluator.evaluate(
        dataset="law/tags", model="law/tagger@v1", metrics=["f1", "bleu", "contains"], max_tokens=8, limit=10
    )
    (body,) = server.bodies
    truth = "{{item.completion}}"
    assert body["config"] == {
        "type": "custom",
        "params": {"limit_samples": 10},
        "tasks": {
            "answers": {
                "type": "completion",
                "dataset": {"files_url": FILE},
                "params": {"template": {"prompt": "{{item.prompt}}", "max_tokens": 8, "temperature": 0.0}},
                "metrics": {
                    "f1": {"type": "f1", "params": {"ground_truth": truth}},
                    "bleu": {"type": "bleu", "params": {"references": [truth]}},
                    "contains": {
                        "type": "string-check",
                        "params": {"check": ["{{sample.output_text}}", "contains", truth]},
                    },
                },
            }
        },
    }
    endpoint = {"url": f"{PLATFORM}/v1/completions", "model_id": "law/tagger@v1", "api_key": "canary-token"}
    assert body["target"] == {"type": "model", "model": {"api_endpoint": endpoint}}
    # The Evaluator needs the key; nothing on this machine keeps it.
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("dataset", "url"),
    [
        ("law/tags", FILE),
        ("law/tags/validation/validation.jsonl", "hf://datasets/law/tags/validation/validation.jsonl"),
        ("hf://datasets/law/tags", FILE),
        ("hf://datasets/law/tags/a.jsonl", "hf://datasets/law/tags/a.jsonl"),
        ("http://files.test/a.jsonl", "http://files.test/a.jsonl"),
        (Dataset(files_url="hf://datasets/law/tags"), FILE),
        (uploaded("testing/testing.jsonl", "training/x.jsonl"), FILE),
    ],
    ids=str,
)
async def test_one_file_is_scored_however_it_is_named(dataset: Any, url: str, tmp_path: Path) -> None:
    server = Server()
    await client(server, tmp_path).evaluator.evaluate(dataset=dataset, model="m", metrics=["em"])
    assert server.bodies[0]["config"]["tasks"]["answers"]["dataset"] == {"files_url": url}


async def test_chats_endpoints_and_own_metrics(tmp_path: Path) -> None:
    server = Server()
    judge = MetricConfig(type="f1", params={"ground_truth": "{{item.tags}}"})
    endpoint = APIEndpoint(url="http://nim.test/v1/chat/completions", model_id="m")
    await client(server, tmp_path).evaluator.evaluate(
        dataset=FILE, model=endpoint, metrics={"mine": judge}, chat=True, prompt="{{item.question}}"
    )
    (body,) = server.bodies
    task = body["config"]["tasks"]["answers"]
    assert task["type"] == "chat-completion"
    assert task["params"]["template"]["messages"] == [{"role": "user", "content": "{{item.question}}"}]
    assert task["metrics"] == {"mine": {"type": "f1", "params": {"ground_truth": "{{item.tags}}"}}}
    assert body["target"]["model"]["api_endpoint"]["url"] == "http://nim.test/v1/chat/completions"


async def test_changed_rows_are_scored_again(tmp_path: Path) -> None:
    server = Server()
    evaluator = client(server, tmp_path).evaluator
    first = await evaluator.evaluate(dataset="law/tags", model="m", metrics=["f1"])
    assert (await evaluator.evaluate(dataset="law/tags", model="m", metrics=["f1"])).id == first.id
    server.files["testing/testing.jsonl"] = "b" * 40
    assert (await evaluator.evaluate(dataset="law/tags", model="m", metrics=["f1"])).id != first.id


CONFIG, TARGET = EvaluationConfigRequest(type="custom"), EvaluationTargetRequest(type="rows", rows=[])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "dataset"),
        ({"dataset": "law/tags", "metrics": ["f1"]}, "model"),
        ({"dataset": "law/tags", "model": "m"}, "metrics"),
        ({"dataset": "law/tags", "model": "m", "metrics": []}, "metrics"),
        ({"dataset": "law/tags", "model": "m", "metrics": "f1"}, "metrics"),
        ({"dataset": "law/tags", "model": "m", "metrics": ["f2"]}, "'f2'"),
        ({"dataset": "law/tags", "model": "m", "metrics": ["f1"], "split": "none"}, "no files in none/"),
        ({"dataset": uploaded("testing/a", "testing/b"), "model": "m", "metrics": ["f1"]}, "2 files"),
        ({"dataset": Dataset(), "model": "m", "metrics": ["f1"]}, "files_url"),
        ({"config": CONFIG, "model": "m", "metrics": ["f1"]}, "either config"),
        ({"config": CONFIG, "dataset": "law/tags", "model": "m"}, "either config"),
        ({"config": CONFIG, "target": TARGET, "model": "m"}, "either target"),
        ({"config": CONFIG}, "model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_arguments_that_do_not_fit_together_are_named(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    server = Server()
    with pytest.raises(ConfigurationError, match=said):
        await client(server, tmp_path).evaluator.evaluate(**options)
    assert server.bodies == []


async def test_platform_jobs_take_the_same_configs_and_targets(tmp_path: Path) -> None:
    server = Server()
    evaluator = client(server, tmp_path).evaluator
    made = await evaluator.evaluate_as_platform_job(config=CONFIG, target=TARGET, name="first")
    assert made.id == "eval-1"
    assert server.bodies[0]["spec"] == {"config": {"type": "custom"}, "target": {"type": "rows", "rows": []}}
    await evaluator.evaluate_as_platform_job(dataset="law/tags", model="m", metrics=["f1"])
    assert server.bodies[1]["spec"]["config"]["tasks"]["answers"]["dataset"] == {"files_url": FILE}
    named = EvaluationConfigRequest(type="custom", name="c", namespace="law")
    with pytest.raises(ConfigurationError, match="name, namespace"):
        await evaluator.evaluate_as_platform_job(config=named, target="law/t")
