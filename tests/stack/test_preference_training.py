from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from nemo_microservices import NeMoMicroservices
from tiny_models import make_model, write_pairs
from training_stack import CONFIG, ended, start_stack, upload_rows, wait

from lawtags_stack.stack import StackThread

DPO = {"finetuning_type": "lora", "training_type": "dpo", "batch_size": 6, "warmup_steps": 1}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    base_model = make_model(tmp_path_factory.mktemp("base") / "llama")
    with start_stack(tmp_path_factory.mktemp("stack"), base_model) as running:
        upload_rows(running, "pairs", tmp_path_factory.mktemp("pairs"), write=write_pairs)
        upload_rows(running, "rows", tmp_path_factory.mktemp("rows"))
        yield running


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.platform_url, timeout=30) as client:
        yield client


def body(**hyperparameters: Any) -> dict[str, Any]:
    return {"config": CONFIG, "dataset": "law/pairs", "hyperparameters": DPO | hyperparameters}


def test_the_official_sdk_trains_on_preferences(stack: StackThread) -> None:
    with NeMoMicroservices(base_url=stack.platform_url) as sdk:
        job = sdk.customization.jobs.create(
            config=CONFIG,
            dataset="law/pairs",
            hyperparameters={
                "finetuning_type": "lora",
                "training_type": "dpo",
                "epochs": 4,
                "batch_size": 6,
                "learning_rate": 0.02,
                "warmup_steps": 1,
                "log_every_n_steps": 4,
                "dpo": {"ref_policy_kl_penalty": 0.2, "max_grad_norm": 2.0},
            },
            output_model="law/preferring@v1",
        )
        assert job.id is not None and job.hyperparameters.dpo is not None
        shown = job.hyperparameters.dpo
        assert (shown.ref_policy_kl_penalty, shown.preference_loss_weight, shown.max_grad_norm) == (0.2, 1, 2)
        deadline = time.monotonic() + 120
        while (status := sdk.customization.jobs.status(job.id)).status != "completed":
            assert status.status in ("created", "pending", "running"), status
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sdk.models.retrieve("preferring@v1", namespace="law").artifact.status == "upload_completed"  # type: ignore[union-attr]
    assert status.metrics is not None and status.metrics.metrics is not None
    assert status.metrics.keys == ["train_loss", "val_loss", "train_accuracy", "val_accuracy"]
    series = status.metrics.metrics
    assert [point.step for point in series.val_accuracy or []] == [3, 7, 11, 15]
    assert [point.step for point in series.train_accuracy or []] == [3, 7, 11, 15]
    assert [point.value for point in series.val_accuracy or []][-1] == 1.0
    losses = [point.value or 0.0 for point in series.val_loss or []]
    # The logarithm of two is the loss of a model that prefers neither answer.
    assert losses[-1] < losses[0] and losses[-1] < math.log(2) / 2


def test_preferences_have_defaults_of_their_own(http: httpx.Client) -> None:
    job = http.post("/v1/customization/jobs", json=body(batch_size=None)).json()
    http.post(f"/v1/customization/jobs/{job['id']}/cancel").raise_for_status()
    shown = job["hyperparameters"]
    assert (shown["epochs"], shown["batch_size"], shown["learning_rate"]) == (1, 16, 9e-6)
    assert shown["dpo"] == {
        "ref_policy_kl_penalty": 0.1,
        "preference_loss_weight": 1.0,
        "preference_average_log_probs": False,
        "sft_loss_weight": 0.0,
        "sft_average_log_probs": False,
        "max_grad_norm": 1.0,
    }
    found = http.get("/v1/customization/jobs", params={"filter[training_type]": "dpo"}).json()["data"]
    assert job["id"] in {each["id"] for each in found}


def test_rows_of_one_answer_are_no_preferences(http: httpx.Client) -> None:
    job = http.post("/v1/customization/jobs", json=body() | {"dataset": "law/rows"}).json()
    status = wait(http, job["id"], ended)
    assert status["status"] == "failed"
    said = status["status_logs"][-1]["detail"]
    assert "training/training.jsonl:1: field 'chosen_response'" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ref_policy_kl_penalty": -0.1}, "ref_policy_kl_penalty"),
        ({"max_grad_norm": 0}, "max_grad_norm"),
        ({"preference_loss_weight": 0.0, "sft_loss_weight": 0.0}, "both"),
    ],
)
def test_preferences_that_teach_nothing_are_refused(
    http: httpx.Client, fields: dict[str, Any], said: str
) -> None:
    answer = http.post("/v1/customization/jobs", json=body(dpo=fields))
    assert answer.status_code == 422
    assert said in json.dumps(answer.json()["detail"])


@pytest.mark.parametrize("training_type", ["distillation", "grpo"])
def test_training_that_is_not_offered_is_refused(http: httpx.Client, training_type: str) -> None:
    answer = http.post("/v1/customization/jobs", json=body(training_type=training_type))
    assert answer.status_code == 400
    assert f"{training_type}/lora is not available" in answer.json()["detail"]
