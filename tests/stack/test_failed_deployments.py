"""A deployment whose model cannot be loaded is never ready, and says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file
from served_stack import BASE, served_stack, wait_for
from tiny_models import make_adapter, make_model

from lawtags_stack.services.nim.trials import Trials
from lawtags_stack.store import Database

WEIGHTS = "model.safetensors"


def not_a_number(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file(
        {name: tensor * torch.nan for name, tensor in weights.items()}, folder / WEIGHTS, {"format": "pt"}
    )


def incomplete(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def listed(folder: Path) -> None:
    (folder / "config.json").write_text("[]", "utf-8")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "nan": (not_a_number, "not numbers"),
    "incomplete": (incomplete, "lack 1 tensors"),
    "listed": (listed, "could not be loaded"),
}


def test_a_model_that_cannot_be_loaded_fails_its_deployment(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    with served_stack(tmp_path / "stack", base, adapter) as stack:
        url = f"{stack.thread.platform_url}/v1/deployment/model-deployments"
        for name, (spoil, _) in BROKEN.items():
            spoil(make_model(tmp_path / name))
            stack.put_model(f"{name}@v1", tmp_path / name)
            body = {"name": name, "namespace": "tests", "config": {"model": f"tests/{name}@v1"}}
            httpx.post(url, json=body).raise_for_status()
        seen: set[str] = set()

        def all_failed() -> bool:
            found = [httpx.get(f"{url}/tests/{name}").json()["status_details"]["status"] for name in BROKEN]
            seen.update(found)
            return set(found) == {"failed"}

        wait_for(all_failed, 600)
        assert "ready" not in seen
        for name, (_, reason) in BROKEN.items():
            model, found = f"tests/{name}@v1", httpx.get(f"{url}/tests/{name}").json()
            assert reason in found["status_details"]["description"], found
            assert found["deployed"] is False and found["url"] == ""
            assert model not in stack.served()
            asked = {"model": model, "prompt": "law", "max_tokens": 1}
            answer = httpx.post(f"{stack.thread.inference_url}/v1/completions", json=asked)
            assert answer.status_code == 404 and reason in answer.text
            health = httpx.get(f"{stack.thread.inference_url}/v1/health/ready").json()
            assert reason in health["failed_models"][model]
        # The same model with files that are whole: what failed is forgotten with them.
        stack.put_model("whole@v1", make_model(tmp_path / "whole"))
        body = {"name": "whole", "namespace": "tests", "config": {"model": "tests/whole@v1"}}
        httpx.post(url, json=body).raise_for_status()
        wait_for(lambda: httpx.get(f"{url}/tests/whole").json()["status_details"]["status"] != "pending", 120)
        assert httpx.get(f"{url}/tests/whole").json()["deployed"] is True
        assert BASE in stack.served()


def test_a_model_that_nobody_registered_fails_its_deployment(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    with served_stack(tmp_path / "stack", base, make_adapter(tmp_path / "adapter", base)) as stack:
        platform = stack.thread.platform_url
        url = f"{platform}/v1/deployment/model-deployments"

        def details(name: str) -> dict[str, str]:
            found: dict[str, str] = httpx.get(f"{url}/tests/{name}").json()["status_details"]
            return found

        for name in ("late", "tagger"):
            body = {"name": name, "namespace": "tests", "config": {"model": f"tests/{name}"}}
            httpx.post(url, json=body).raise_for_status()
        wait_for(lambda: all(details(name)["status"] == "failed" for name in ("late", "tagger")))
        assert "has no model tests/late." in details("late")["description"]
        assert "it has tests/tagger@cust-1." in details("tagger")["description"]
        wait_for(lambda: "tests/tagger@cust-1" in stack.served())
        for unversioned in ("tests/tagger", "tests/tagger@v9"):
            asked = {"model": unversioned, "prompt": "law", "max_tokens": 1}
            answer = httpx.post(f"{stack.thread.inference_url}/v1/completions", json=asked)
            assert answer.status_code == 404
            assert "served versions of it: tests/tagger@cust-1. Use one of these names" in answer.text
        # Registered without files: they may still come.
        model = {"namespace": "tests", "name": "late"}
        httpx.post(f"{platform}/v1/models", json=model).raise_for_status()
        changed = httpx.patch(f"{url}/tests/late", json={"config": {"model": "tests/late"}})
        assert changed.json()["status_details"]["status"] == "pending"
        wait_for(lambda: "its entity names none" in details("late")["description"])
        artifact = {"files_url": "hf://tests/late", "status": "upload_failed"}
        httpx.patch(f"{platform}/v1/models/tests/late", json={"artifact": artifact}).raise_for_status()
        wait_for(lambda: details("late")["status"] == "failed")
        assert "has no weights" in details("late")["description"]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "stack.sqlite")


def test_a_model_being_loaded_at_two_crashes_is_not_tried_again(database: Database) -> None:
    assert Trials(database).begin("m")  # and the stack is killed
    again = Trials(database)
    assert again.begin("m")  # once more
    last = Trials(database)
    assert not last.begin("m")
    assert "stopped 2 times" in str(last.fault("m"))
    assert not last.loaded("m")
    last.keep(set())  # deployed no longer; later it is a new trial
    assert last.fault("m") is None and last.begin("m")


def test_loading_that_ends_or_is_interrupted_in_order_is_no_crash(database: Database) -> None:
    for _ in range(4):
        trials = Trials(database)
        assert trials.begin("m")
        trials.interrupted("m")
    trials.end("m", None)
    assert Trials(database).loaded("m")
    trials.end("m", "broken")
    assert trials.fault("m") == "broken" and not Trials(database).loaded("m")
    assert Trials(database).fault("m") is None
    assert json.dumps(list(database.rows("SELECT key FROM nim_trials")), default=dict) == '[{"key": "m"}]'
