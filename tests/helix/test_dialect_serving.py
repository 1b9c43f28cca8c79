"""The Helix dialect with the stack's own inference server: deployments, adapters, evaluations, pruning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_stack import wait_for
from shared_launcher import shared_launcher
from tiny_models import make_adapter, make_model

from lawtags_stack.prune import prune
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

_NUMBER = {"description": "Continuous numeric metric value.", "title": "ContinuousScore", "type": "number"}
_BINARY = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack of both dialects."""
    options = StackOptions(dialect="both", refresh_interval=0.2, device="cpu")
    folder = tmp_path_factory.mktemp("both") / "stack"
    with StackThread(folder, options=options, launcher=shared_launcher()) as thread:
        _send(thread, "POST", "/apis/entities/v2/workspaces", {"name": "law"})
        yield thread


@pytest.fixture(scope="module")
def deployed(stack: StackThread, tmp_path_factory: pytest.TempPathFactory) -> StackThread:
    """The stack with a deployed base model and an adapter of it."""
    folder = tmp_path_factory.mktemp("models")
    base = make_model(folder / "base")
    adapter = make_adapter(folder / "adapter", base)
    models = "/apis/models/v2/workspaces/law"
    _upload(stack, "base-weights", base)
    _upload(stack, "tagger-weights", adapter)
    _send(stack, "POST", f"{models}/models", {"name": "base", "fileset": "law/base-weights"})
    fields = {"name": "tagger", "fileset": "law/tagger-weights", "finetuning_type": "lora"}
    _send(stack, "POST", f"{models}/models/base/adapters", fields)
    config = {
        "name": "config",
        "engine": "vllm",
        "model_entity_id": "law/base",
        "model_spec": {"model_namespace": "law", "model_name": "base", "lora_enabled": True},
        "executor_config": {"gpu": 1},
    }
    _send(stack, "POST", f"{models}/deployment-configs", config)
    _send(stack, "POST", f"{models}/deployments", {"name": "served", "config": "config"})

    def mapped() -> bool:
        status = _send(stack, "GET", f"{models}/deployments/served")
        assert status["status"] != "ERROR", status["status_message"]
        providers = _send(stack, "GET", f"{models}/providers")["data"]
        return any(len(each["served_models"]) == 2 for each in providers)

    wait_for(mapped)
    return stack


@pytest.mark.slow
def test_base_and_adapter_are_reached_through_the_gateway(deployed: StackThread) -> None:
    texts = []
    for model in ("law/base", "law/base&adapters/law/tagger"):
        body = {"model": model, "prompt": "Tags:", "max_tokens": 6, "temperature": 0, "logprobs": 2}
        answer = _send(
            deployed, "POST", "/apis/inference-gateway/v2/workspaces/law/openai/-/v1/completions", body
        )
        assert answer["model"] == model
        assert len(answer["choices"][0]["logprobs"]["tokens"]) == 6
        texts.append(answer["choices"][0]["text"])
    assert texts[0] != texts[1]


@pytest.mark.slow
def test_an_evaluation_asks_the_adapter_through_the_gateway(deployed: StackThread) -> None:
    jobs = "/apis/evals/v2/workspaces/law/evaluate/jobs"
    metric = {
        "metric_type": "f1",
        "outputs": [{"name": "f1", "value_json_schema": _NUMBER}],
        "payload": {
            "kind": "inline",
            "metric": {"type": "f1", "reference": "{{item.q}}", "candidate": "{{sample.output_text}}"},
        },
    }
    spec = {
        "dataset": [{"q": "lease"}, {"q": "patent"}],
        "metrics": [metric],
        "target": {
            "url": f"{deployed.platform_url}/apis/inference-gateway/v2/workspaces/law/openai/-/v1",
            "name": "law/base&adapters/law/tagger",
        },
        "prompt_template": {"messages": [{"role": "user", "content": "{{item.q}}"}]},
        "params": {"inference": {"max_tokens": 4}},
    }
    _send(deployed, "POST", jobs, {"name": "online", "spec": spec})
    wait_for(lambda: _send(deployed, "GET", f"{jobs}/online")["status"] in ("completed", "error"))
    status = _send(deployed, "GET", f"{jobs}/online/status")
    assert status["status"] == "completed", status
    assert status["status_details"]["evaluation"]["scored"] == 2
    # The jobs API names the service as the real server does.
    generic = _send(deployed, "GET", "/apis/jobs/v2/workspaces/law/jobs/online")
    assert generic["source"] == "nemo-evals"
    text = httpx.get(f"{deployed.platform_url}{jobs}/online/results/row-scores/download").text
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["item"]["q"] for row in rows] == ["lease", "patent"]
    assert all(row["requests"][0]["request"]["max_tokens"] == 4 for row in rows)


def test_both_dialects_answer_on_one_port(stack: StackThread) -> None:
    assert _send(stack, "GET", "/cluster-info")["platform_version"] == "0.8.1"
    assert _send(stack, "GET", "/v1/models")["object"] == "list"
    assert httpx.get(f"{stack.platform_url}/apis/nothing/v2/x").json() == {"detail": "Not Found"}


def test_of_several_writers_of_one_file_one_wins_whole(stack: StackThread) -> None:
    _send(stack, "POST", "/apis/files/v2/workspaces/law/filesets", {"name": "contended"})
    url = f"{stack.platform_url}/apis/files/v2/workspaces/law/filesets/contended/-/data.bin"
    contents = [bytes([65 + number]) * 300_000 for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda content: httpx.put(url, content=content, headers=_BINARY), contents)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert httpx.get(url).content in contents


def test_pruning_keeps_the_files_of_filesets(tmp_path: Path) -> None:
    options = StackOptions(dialect="helix", refresh_interval=3600)
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as stack:
        _send(stack, "POST", "/apis/entities/v2/workspaces", {"name": "law"})
        _send(stack, "POST", "/apis/files/v2/workspaces/law/filesets", {"name": "kept"})
        place = "/apis/files/v2/workspaces/law/filesets/kept/-/data.txt"
        for text in ("old", "new"):
            httpx.put(f"{stack.platform_url}{place}", content=text, headers=_BINARY).raise_for_status()
    pruned = prune(tmp_path / "stack", kept=timedelta(seconds=-60))
    assert pruned.blobs == 1
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as stack:
        assert httpx.get(f"{stack.platform_url}{place}").text == "new"


def _upload(stack: StackThread, fileset: str, folder: Path) -> None:
    filesets = "/apis/files/v2/workspaces/law/filesets"
    _send(stack, "POST", filesets, {"name": fileset, "purpose": "model"})
    for path in folder.iterdir():
        if path.is_file():
            url = f"{stack.platform_url}{filesets}/{fileset}/-/{path.name}"
            httpx.put(url, content=path.read_bytes(), headers=_BINARY).raise_for_status()


def _send(stack: StackThread, method: str, path: str, body: object = None) -> Any:
    response = httpx.request(method, f"{stack.platform_url}{path}", json=body)
    assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
    return response.json()


def test_a_restarted_stack_gives_its_own_providers_its_new_address(tmp_path: Path) -> None:
    options = StackOptions(dialect="helix", refresh_interval=0.1)
    root = "/apis/models/v2/workspaces/law/providers"
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as before:
        _send(before, "POST", "/apis/entities/v2/workspaces", {"name": "law"})
        own = {"host_url": before.inference_url, "model_deployment_id": "law/served"}
        others = {"host_url": "http://127.0.0.1:9", "model_deployment_id": "law/others"}
        _send(before, "POST", root, {"name": "served", **own})
        _send(before, "POST", root, {"name": "others", **others})
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as after:
        assert after.inference_url != own["host_url"]

        def moved() -> bool:
            return bool(_send(after, "GET", f"{root}/served")["host_url"] == after.inference_url)

        wait_for(moved)
        assert _send(after, "GET", f"{root}/others")["host_url"] == others["host_url"]
