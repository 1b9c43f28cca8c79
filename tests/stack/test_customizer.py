from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nemo_microservices import NeMoMicroservices
from shared_launcher import shared_launcher
from tiny_models import make_model
from training_stack import (
    BASE,
    CONFIG,
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

from lawtags_client.errors import ConfigurationError
from lawtags_stack.base_models import find_default_source
from lawtags_stack.engines.device import Compute
from lawtags_stack.stack import StackThread

CHAT = (
    "{% for turn in messages %}{{ turn.role }}: {{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


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


@pytest.fixture
def sdk(stack: StackThread) -> Iterator[NeMoMicroservices]:
    with NeMoMicroservices(base_url=stack.platform_url) as client:
        yield client


def test_official_sdk_creates_and_follows_a_job(
    stack: StackThread, sdk: NeMoMicroservices, tmp_path: Path
) -> None:
    job = sdk.customization.jobs.create(
        config=CONFIG,
        dataset={"name": "rows", "namespace": "law"},
        hyperparameters={
            "finetuning_type": "lora",
            "epochs": 2,
            "batch_size": 6,
            "learning_rate": 0.02,
            "warmup_steps": 1,
            "log_every_n_steps": 3,
            "lora": {"adapter_dim": 8, "adapter_dropout": 0.1},
        },
        output_model="law/tagger",
        custom_fields={"intent": "abc"},
    )
    assert job.id is not None and job.id.startswith("cust-")
    assert job.output_model == f"law/tagger@{job.id}"
    assert job.dataset == "law/rows"
    assert job.hyperparameters.lora is not None and job.hyperparameters.lora.alpha == 16
    name = f"tagger@{job.id}"
    assert sdk.models.retrieve(name, namespace="law").artifact.status == "created"  # type: ignore[union-attr]
    deadline = time.monotonic() + 60
    while (status := sdk.customization.jobs.status(job.id)).status != "completed":
        assert status.status in ("created", "pending", "running"), status
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (status.steps_completed, status.steps_per_epoch, status.epochs_completed) == (8, 4, 2)
    assert status.percentage_done == 100.0
    metrics = status.metrics
    assert metrics is not None and metrics.metrics is not None
    assert metrics.keys == ["train_loss", "val_loss"]
    assert [point.step for point in metrics.metrics.train_loss or []] == [2, 5, 7]
    assert [point.step for point in metrics.metrics.val_loss or []] == [3, 7]
    assert status.val_loss == min(point.value or 0 for point in metrics.metrics.val_loss or [])
    assert status.status_logs is not None and status.status_logs[0].message == "created"
    computing = {log.message: log.detail for log in status.status_logs}["Training"]
    assert computing == Compute.choose().described
    found = sdk.customization.jobs.retrieve(job.id)
    assert found.custom_fields == {"intent": "abc"}
    assert found.config_snapshot is not None and found.config_snapshot.base_model == BASE
    trained_in = "fp32" if Compute.choose().precision == "float32" else "bf16-mixed"
    assert found.config_snapshot.precision == trained_in
    assert job.id in {each.id for each in sdk.customization.jobs.list(filter={"status": "completed"})}
    logs = sdk.customization.jobs.container_logs(job.id)
    assert logs.entries is not None and f"{job.id}-training" in logs.entries
    model = sdk.models.retrieve(name, namespace="law")
    assert model.artifact is not None and model.peft is not None
    assert model.artifact.status == "upload_completed"
    assert model.artifact.precision == trained_in
    assert model.artifact.files_url == f"hf://law/tagger@{job.id}"
    assert model.base_model == BASE
    store = next(each.state for each in stack.stack.services if each.name == "data_store")
    folder = store.download("model", "law", "tagger", tmp_path / "adapter", job.id)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"], config["lora_alpha"]) == (BASE, 8, 16)
    assert (folder / "adapter_model.safetensors").stat().st_size > 1000


def test_official_sdk_reads_and_changes_targets_and_configs(sdk: NeMoMicroservices) -> None:
    target = sdk.customization.targets.retrieve("llama@v1", namespace="test")
    assert (target.status, target.enabled, target.base_model, target.model_type) == (
        "ready",
        True,
        BASE,
        "hf",
    )
    assert target.num_parameters > 10_000
    config = sdk.customization.configs.create(
        name="mine@v1",
        namespace="law",
        target="test/llama@v1",
        max_seq_length=64,
        training_options=[
            {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 4}
        ],
    )
    assert config.training_options[0].data_parallel_size == 1
    assert config.prompt_template == "{prompt} {completion}"
    changed = sdk.customization.configs.update(
        "mine@v1",
        namespace="law",
        max_seq_length=128,
        training_options=[
            {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 2, "micro_batch_size": 4}
        ],
        add_training_options=[
            {"training_type": "sft", "finetuning_type": "all_weights", "num_gpus": 1, "micro_batch_size": 1}
        ],
    )
    assert changed.max_seq_length == 128
    kinds = [(option.finetuning_type, option.num_gpus) for option in changed.training_options]
    assert kinds == [("lora", 2), ("all_weights", 1)]
    less = sdk.customization.configs.update(
        "mine@v1",
        namespace="law",
        remove_training_options=[{"training_type": "sft", "finetuning_type": "lora"}],
    )
    assert [option.finetuning_type for option in less.training_options] == ["all_weights"]
    listed = sdk.customization.configs.list(filter={"target_base_model": BASE, "finetuning_type": "lora"})
    assert CONFIG in {f"{each.namespace}/{each.name}" for each in listed}
    assert "mine@v1" not in {each.name for each in listed}
    sdk.customization.configs.delete("mine@v1", namespace="law")


@pytest.mark.parametrize("kind", ["lora_merged", "all_weights"])
def test_whole_models_are_stored_as_folders(http: httpx.Client, stack: StackThread, kind: str) -> None:
    sent = body(hyperparameters=FAST | {"finetuning_type": kind, "epochs": 1}, output_model=f"law/{kind}@v1")
    job = http.post("/v1/customization/jobs", json=sent).json()
    assert wait(http, job["id"], ended)["status"] == "completed"
    model = http.get(f"/v1/models/law/{kind}@v1").json()
    assert model["peft"] is None
    store = next(each.state for each in stack.stack.services if each.name == "data_store")
    names = {file.path for file in store.files("model", "law", kind, "v1")}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names


@pytest.mark.parametrize(
    "dataset",
    [
        "law/rows",
        "hf://datasets/law/rows",
        {"name": "rows", "namespace": "law"},
        {"files_url": "hf://datasets/law/rows"},
    ],
)
def test_all_forms_of_a_dataset_are_taken(http: httpx.Client, dataset: Any) -> None:
    answer = http.post("/v1/customization/jobs", json=body(dataset=dataset))
    assert answer.status_code == 200
    http.post(f"/v1/customization/jobs/{answer.json()['id']}/cancel").raise_for_status()


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"config": "test/llama"}, 400, "Version is not specified in the config URN: test/llama"),
        ({"config": "test/none@v1"}, 404, "not found"),
        ({"dataset": "law/none"}, 404, "law/none"),
        ({"dataset": "hf://datasets/law/none"}, 404, "none"),
        ({"dataset": "nonsense"}, 422, "namespace/name"),
        ({"hyperparameters": {"epochs": 1}}, 422, "finetuning_type"),
        ({"hyperparameters": FAST | {"epochs": 0}}, 422, "epochs"),
        ({"hyperparameters": FAST | {"batch_size": -1}}, 422, "batch_size"),
        ({"hyperparameters": FAST | {"min_learning_rate": 1.0}}, 422, "min_learning_rate"),
        ({"hyperparameters": FAST | {"lora": {"adapter_dim": 12}}}, 422, "power of two"),
        ({"hyperparameters": FAST | {"training_type": "grpo"}}, 400, "grpo/lora"),
        ({"output_model": "tagger"}, 422, "namespace/name"),
        ({"output_model": "law/../x"}, 422, "output_model"),
    ],
)
def test_bad_jobs_are_refused(http: httpx.Client, fields: dict[str, Any], status: int, said: str) -> None:
    answer = http.post("/v1/customization/jobs", json=body(**fields))
    assert answer.status_code == status, answer.text
    assert said in json.dumps(answer.json()["detail"])


def test_existing_output_model_is_a_conflict_that_is_not_to_be_retried(http: httpx.Client) -> None:
    first = http.post("/v1/customization/jobs", json=body(output_model="law/twice@v1"))
    second = http.post("/v1/customization/jobs", json=body(output_model="law/twice@v1"))
    assert (first.status_code, second.status_code) == (200, 409)
    assert "already exists in namespace law" in second.json()["detail"]
    assert second.headers["x-should-retry"] == "false"
    http.post(f"/v1/customization/jobs/{first.json()['id']}/cancel")


def test_jobs_are_listed_by_what_they_are_made_of(http: httpx.Client) -> None:
    sent = body(hyperparameters=FAST | {"epochs": 3}, project="listing", namespace="law")
    job = http.post("/v1/customization/jobs", json=sent).json()["id"]
    http.post(f"/v1/customization/jobs/{job}/cancel").raise_for_status()
    filters = {
        "project": "listing",
        "namespace": "law",
        "base_model": BASE,
        "dataset": "hf://datasets/law/rows",
        "finetuning_type": "lora",
        "training_type": "sft",
        "epochs": 3,
        "batch_size": 6,
    }
    for name, value in filters.items():
        asked = {"filter[project]": "listing", f"filter[{name}]": value}
        assert [each["id"] for each in listed(http, asked)] == [job], name
    assert listed(http, {"filter[project]": "listing", "filter[epochs]": 4}) == []
    assert listed(http, {"filter[project]": "listing", "page": 2}) == []


def listed(http: httpx.Client, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get("/v1/customization/jobs", params=parameters).json()["data"]
    return found


def test_jobs_wait_for_each_other_and_cancelling_ends_them(http: httpx.Client, stack: StackThread) -> None:
    sent = long(output_model="law/long@v1")
    first = http.post("/v1/customization/jobs", json=sent).json()["id"]
    wait(http, first, at_work)
    second = http.post("/v1/customization/jobs", json=body(output_model="law/waits@v1")).json()["id"]
    pending = wait(http, second, lambda status: status["status"] == "pending")
    assert pending["status_logs"][-1]["message"] == "NotEnoughResources"
    assert http.post(f"/v1/customization/jobs/{first}/cancel").json()["status"] == "cancelling"
    cancelled = wait(http, first, ended)
    assert cancelled["status"] == "cancelled"
    # In the midst of an epoch of a thousand and more: it was not waited for.
    assert cancelled["steps_completed"] < 1000 * cancelled["steps_per_epoch"]
    with pytest.raises(AssertionError, match="no worker"):
        worker_pid(stack, first)
    assert http.get("/v1/models/law/long@v1").json()["artifact"]["status"] == "upload_failed"
    http.post(f"/v1/customization/jobs/{second}/cancel").raise_for_status()
    assert wait(http, second, ended)["status"] == "cancelled"


def test_target_is_made_from_a_repository_of_the_data_store(
    http: httpx.Client, stack: StackThread, base_model: Path
) -> None:
    store = next(each.state for each in stack.stack.services if each.name == "data_store")
    store.repo_create("model", "law", "base", make_namespace=True)
    files = {path.name: path for path in base_model.iterdir() if path.is_file()}
    store.commit("model", "law", "base", files, "add a model")
    target = {"num_parameters": 1, "precision": "fp32", "enabled": True, "namespace": "law"}
    for name, uri in (("own@v1", "hf://law/base"), ("none@v1", "hf://law/none")):
        http.post(
            "/v1/customization/targets", json=target | {"name": name, "model_uri": uri}
        ).raise_for_status()
    deadline = time.monotonic() + 60
    states = {}
    while not states or set(states.values()) & {"created", "downloading"}:
        assert time.monotonic() < deadline
        names = ("own@v1", "none@v1")
        states = {name: http.get(f"/v1/customization/targets/law/{name}").json()["status"] for name in names}
        time.sleep(0.02)
    assert states == {"own@v1": "ready", "none@v1": "failed"}
    config = {
        "target": "law/own@v1",
        "max_seq_length": 64,
        "training_options": [
            {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
        ],
        "prompt_template": "{prompt} {completion}",
    }
    job = http.post("/v1/customization/jobs", json=body(config=config)).json()
    assert job["config_snapshot"]["base_model"] == "law/own"
    assert http.delete("/v1/customization/targets/law/own@v1").status_code == 409
    assert wait(http, job["id"], ended)["status"] == "completed"
    assert http.delete("/v1/customization/targets/law/own@v1").status_code == 200


def test_targets_deleted_while_their_files_are_copied_leave_nothing_behind(
    tmp_path: Path, base_model: Path
) -> None:
    models = tmp_path / "stack" / "customizer" / "models"
    with start_stack(tmp_path / "stack", base_model) as own, httpx.Client(base_url=own.platform_url) as http:
        store = next(each.state for each in own.stack.services if each.name == "data_store")
        store.repo_create("model", "law", "base", make_namespace=True)
        files = {path.name: path for path in base_model.iterdir() if path.is_file()}
        store.commit("model", "law", "base", files, "add a model")
        fields = {"name": "brief@v1", "namespace": "law", "model_uri": "hf://law/base"}
        target = fields | {"num_parameters": 1, "precision": "fp32"}
        # A copy that stumbles over it ends its thread with an error, which fails this test.
        for _ in range(20):
            http.post("/v1/customization/targets", json=target).raise_for_status()
            http.delete("/v1/customization/targets/law/brief@v1").raise_for_status()
        last = http.post("/v1/customization/targets", json=target).raise_for_status().json()
        deadline = time.monotonic() + 60
        while last["status"] != "ready" or {path.name for path in models.iterdir()} != {last["id"]}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            last = http.get("/v1/customization/targets/law/brief@v1").json()


def write_chats(path: Path, count: int, *, start: int = 0) -> None:
    turns = [{"role": "user", "content": "a lease"}, {"role": "assistant", "content": "landlord"}]
    path.write_text(f"{json.dumps({'messages': turns})}\n" * count)


def write_fields(path: Path, count: int, *, start: int = 0) -> None:
    path.write_text(f"{json.dumps({'title': 'a lease', 'tags': 'landlord'})}\n" * count)


@pytest.mark.parametrize(
    ("name", "write", "templates"),
    [
        ("chats", write_chats, {}),
        ("own-chats", write_chats, {"chat_prompt_template": CHAT}),
        ("fields", write_fields, {"prompt_template": "Title: {title} Tags: {tags}"}),
    ],
)  # fmt: skip
def test_rows_are_read_by_the_templates_of_the_config(
    http: httpx.Client, stack: StackThread, tmp_path: Path, name: str, write: Any, templates: dict[str, str]
) -> None:
    upload_rows(stack, name, tmp_path, write=write)
    option = {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
    config = {"target": "test/llama@v1", "max_seq_length": 64, "training_options": [option], **templates}
    named = {"name": f"{name}@v1", "namespace": "law"}
    http.post("/v1/customization/configs", json=config | named).raise_for_status()
    sent = body(config=f"law/{name}@v1", dataset=f"law/{name}")
    job = http.post("/v1/customization/jobs", json=sent).json()
    status = wait(http, job["id"], ended)
    assert status["status"] == "completed", status
    # All rows say the same, which is learnt at once.
    losses = [point["value"] for point in status["metrics"]["metrics"]["val_loss"]]
    assert losses[-1] < losses[0]
    for key, value in templates.items():
        assert job["config_snapshot"][key] == value


def test_training_that_gets_no_better_stops_early_and_says_so(http: httpx.Client) -> None:
    # Ten epochs without an improvement of 0.001 behind the first one.
    idle = FAST | {"epochs": 15, "learning_rate": 1e-12, "optimizer": "adamw_with_flat_lr"}
    job = http.post("/v1/customization/jobs", json=body(hyperparameters=idle)).json()["id"]
    status = wait(http, job, ended)
    assert (status["status"], status["epochs_completed"], status["percentage_done"]) == (
        "completed",
        11,
        73.33,
    )
    assert "EarlyStopping" in {log["message"] for log in status["status_logs"]}


def test_what_is_asked_for_and_not_done_is_a_warning(http: httpx.Client) -> None:
    wanted = {
        "hyperparameters": FAST | {"sequence_packing_enabled": True},
        "integrations": [{"type": "wandb", "wandb": {"project": "law"}}],
    }
    job = http.post("/v1/customization/jobs", json=body(**wanted)).json()
    http.post(f"/v1/customization/jobs/{job['id']}/cancel").raise_for_status()
    messages = {each["message"]: each["explanation"] for each in job["warnings"]}
    assert set(messages) == {"Sequence packing is not used", "Integrations are not used"}
    assert "a fifth slower" in messages["Sequence packing is not used"]


@pytest.mark.slow
def test_default_base_model_is_trained_for_some_steps(tmp_path: Path) -> None:
    try:
        find_default_source()
    except ConfigurationError as error:
        pytest.skip(error.message)
    with (
        StackThread(tmp_path / "stack", launcher=shared_launcher()) as running,
        httpx.Client(base_url=running.platform_url) as client,
    ):
        upload_rows(running, "rows", tmp_path / "rows")
        hyperparameters = FAST | {"learning_rate": 1e-3, "max_steps": 6, "log_every_n_steps": 1, "epochs": 2}
        sent = body(
            config="huggingfacetb/smollm2-135m-instruct@v1.0.0+cpu",
            hyperparameters=hyperparameters | {"lora": {"adapter_dim": 8}},
            output_model="law/smollm2@v1",
        )
        job = client.post("/v1/customization/jobs", json=sent).json()["id"]
        status = wait(client, job, ended, seconds=240)
        assert status["status"] == "completed", status
        losses = [point["value"] for point in status["metrics"]["metrics"]["train_loss"]]
        assert len(losses) == 6
        assert losses[-1] < losses[0]
