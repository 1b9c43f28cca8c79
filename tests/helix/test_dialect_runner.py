"""The runner on the embedded Helix dialect: a job that was accepted is trained, uploaded and registered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from shared_launcher import shared_launcher
from tiny_models import make_model

from lawtags_client.helix.client import Helix
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.start import run_runner
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

_WORKSPACE = "v2/workspaces/law"
_ROW = {
    "messages": [
        {"role": "user", "content": "Is a verbal lease binding?"},
        {"role": "assistant", "content": "contract-law"},
    ]
}


@pytest.mark.slow
def test_a_lora_job_waits_for_the_runner_and_ends_as_an_adapter(tmp_path: Path) -> None:
    options = StackOptions(dialect="helix", refresh_interval=3600, device="cpu")
    with (
        StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as stack,
        httpx.Client(base_url=f"{stack.platform_url}/apis") as client,
    ):
        _prepare(client, make_model(tmp_path / "base"))
        job = {
            "model": "law/base",
            "dataset": {"training": "questions"},
            "training": {"lora": {"rank": 4, "alpha": 8}, "max_seq_length": 64},
            "schedule": {"epochs": 2},
            "batch": {"global_batch_size": 4},
            "output": {"name": "tagger"},
        }
        jobs = f"customization/{_WORKSPACE}/automodel/jobs"
        assert _send(client, "POST", jobs, {"name": "tagger", "spec": job})["status"] == "created"
        asyncio.run(_run(stack.platform_url, tmp_path / "runner"))
        status = _send(client, "GET", f"{jobs}/tagger/status")
        assert status["status"] == "completed", status["error_details"]
        [training] = [step for step in status["steps"] if step["name"] == "training"]
        losses = training["tasks"][0]["status_details"]["metrics"]["train_loss"]
        assert [each["step"] for each in losses] == [1, 2, 3, 4]
        [adapter] = _send(client, "GET", f"models/{_WORKSPACE}/models/base")["adapters"]
        assert (adapter["name"], adapter["lora_config"]) == ("tagger", {"rank": 4, "alpha": 8})
        assert _send(client, "GET", f"{jobs}/tagger/logs")["total"] > 0


async def _run(url: str, folder: Path) -> None:
    folder.mkdir()
    options = RunnerOptions(folder=folder, device="cpu", threads=1, idle_timeout=2.0, poll_seconds=0.2)
    async with Helix(base_url=url) as helix:
        await run_runner(helix, options, say=lambda line: None)


def _prepare(client: httpx.Client, base: Path) -> None:
    rows = f"{json.dumps(_ROW)}\n".encode() * 8
    files = {path.name: path.read_bytes() for path in base.iterdir() if path.is_file()}
    _send(client, "POST", "entities/v2/workspaces", {"name": "law"})
    _fileset(client, "weights", files)
    _fileset(client, "questions", {"train.jsonl": rows, "validation.jsonl": rows})
    _send(client, "POST", f"models/{_WORKSPACE}/models", {"name": "base", "fileset": "law/weights"})


def _fileset(client: httpx.Client, name: str, files: dict[str, bytes]) -> None:
    _send(client, "POST", f"files/{_WORKSPACE}/filesets", {"name": name})
    for path, content in files.items():
        place = f"files/{_WORKSPACE}/filesets/{name}/-/{path}"
        client.put(place, content=content, headers={"content-type": "application/octet-stream"})


def _send(client: httpx.Client, method: str, path: str, body: object = None) -> Any:
    response = client.request(method, path, json=body)
    assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
    return response.json()
