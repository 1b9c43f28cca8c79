"""A run's intents on Helix: specs, progress, scores, files, and which platform it is."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openapi
import pytest
from client_kit import StillTime, client
from replay import replaying
from transcripts import find

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    APIError,
    ConfigurationError,
    JobCancelledError,
    JobFailedError,
    JobStalledError,
    TransportError,
    WaitTimeoutError,
)
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import make_name
from lawtags_client.helix.types.common import WireModel
from lawtags_client.helix.types.evaluations import AggregateScores, HelixScoredRow
from lawtags_client.helix.types.jobs import JobStatus
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.checks import check_platform
from lawtags_client.platform.choice import cancel_training, detect, speaks_helix
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.platform.helix_evaluation import (
    evaluation_spec,
    named_scores,
    rows_scored,
    tag_scores,
)
from lawtags_client.platform.helix_jobs import TrainingProgress, output_name, training_spec
from lawtags_client.platform.protocol import EvaluationIntent, FineTuneIntent, JobUpdate
from lawtags_client.settings import Settings
from lawtags_client.transport.http import Handler

HYPERPARAMETERS: dict[str, Any] = {
    "training_type": "sft",
    "finetuning_type": "lora",
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 1e-4,
    "warmup_steps": 3,
    "max_steps": 100,
    "optimizer": "adamw_with_flat_lr",
    "log_every_n_steps": 1,
    "seed": 7,
    "lora": {"adapter_dim": 8, "alpha": 16, "adapter_dropout": 0.1, "target_modules": ["q_proj"]},
}


def wish(key: str = "run-1", **hyperparameters: Any) -> FineTuneIntent:
    wanted = {**HYPERPARAMETERS, **hyperparameters}
    return FineTuneIntent(key, "law/gemma", "law/tags", wanted, "law/tagger@v1", "a run")


def test_the_hyperparameters_of_a_recipe_are_those_of_automodel() -> None:
    spec = training_spec(wish(), base="law/gemma", dataset="law/tags").to_wire()
    assert spec["training"] == {
        "training_type": "sft",
        "finetuning_type": "lora",
        "lora": {"rank": 8, "alpha": 16, "dropout": 0.1, "target_modules": ["q_proj"]},
    }
    assert spec["schedule"] == {"epochs": 2, "max_steps": 100, "seed": 7}
    assert spec["batch"] == {"global_batch_size": 4, "micro_batch_size": 1}
    assert spec["optimizer"] == {
        "learning_rate": 1e-4,
        "warmup_steps": 3,
        "optimizer": "AdamW",
        "lr_decay_style": "constant",
    }
    path = "/apis/customization/v2/workspaces/law/automodel/jobs"
    openapi.check_request("POST", path, {"name": "tagger", "spec": spec})


def test_what_the_config_decides_on_v1_is_sent() -> None:
    intent = replace(wish(), layout={"micro_batch_size": 2, "precision": "bf16-mixed", "max_seq_length": 512})
    spec = training_spec(intent, base="law/gemma", dataset="law/tags").to_wire()
    plain = training_spec(wish(), base="law/gemma", dataset="law/tags").to_wire()
    assert spec["batch"] == {**plain["batch"], "micro_batch_size": 2}
    assert spec["training"] == {**plain["training"], "precision": "bf16", "max_seq_length": 512}


@pytest.mark.parametrize("method", ["lora", "lora_merged", "all_weights"])
def test_each_method_is_a_valid_request(method: str) -> None:
    spec = training_spec(wish(finetuning_type=method), base="law/gemma", dataset="law/tags").to_wire()
    path = "/apis/customization/v2/workspaces/law/automodel/jobs"
    openapi.check_request("POST", path, {"name": "tagger", "spec": spec})


def test_preference_training_goes_to_the_rl_backend() -> None:
    intent = wish(training_type="dpo", finetuning_type="all_weights", lora=None, dpo={"max_grad_norm": 0.5})
    spec = training_spec(intent, base="law/gemma", dataset="law/pairs").to_wire()
    assert isinstance(spec["training"], dict)
    assert spec["training"]["type"] == "dpo"
    assert spec["training"]["batch_size"] == 4
    assert spec["training"]["max_grad_norm"] == 0.5
    path = "/apis/customization/v2/workspaces/law/rl/jobs"
    openapi.check_request("POST", path, {"name": "tagger", "spec": spec})
    with pytest.raises(ConfigurationError, match="all weights"):
        training_spec(wish(training_type="dpo"), base="law/gemma", dataset="law/pairs")


def test_what_helix_cannot_express_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sequence_packing_enabled"):
        training_spec(wish(sequence_packing_enabled=True), base="law/gemma", dataset="law/tags")


def test_each_intent_has_an_output_of_its_own() -> None:
    names = {output_name(wish(key)) for key in ("a", "b", "a")}
    assert len(names) == 2
    assert all(name.startswith("tagger-") for name in names)


def test_losses_come_from_the_training_step() -> None:
    recorded = find("runner", "while training: details are merged and copied to the job").answer
    progress = TrainingProgress()
    points = progress.update(JobStatus.model_validate(recorded))
    assert points == [("train_loss", 1, 2.0), ("train_loss", 2, 1.5), ("val_loss", 2, 1.7)]
    assert (progress.steps, progress.percentage) == (2, 50)
    assert progress.update(JobStatus.model_validate(recorded)) == []


def test_senseless_progress_is_passed_over() -> None:
    details = {
        "step": "two",
        "percentage_done": None,
        "metrics": {"a": [{"step": 1, "value": "NaN"}, {"step": None, "value": 1}, 7], "b": "no list"},
    }
    task = {"name": "t", "status": "active", "status_details": details}
    status = JobStatus.model_validate({"steps": [{"name": "training", "tasks": [task]}]})
    progress = TrainingProgress()
    ((name, step, value),) = progress.update(status)
    assert (name, step, math.isnan(value), progress.steps) == ("a", 1, True, None)
    assert progress.update(status) == []


def test_scores_have_the_names_of_a_run_and_f1_of_tags_is_added() -> None:
    intent = EvaluationIntent("k", "law/gemma", "law/tags/testing/testing.jsonl", "law", 10)
    spec = evaluation_spec(intent, dataset="law/tags-testing#testing/testing.jsonl", url="http://x/v1")
    path = "/apis/evals/v2/workspaces/law/evaluate/jobs"
    openapi.check_request("POST", path, {"name": "eval", "spec": spec.to_wire()})
    scores = [
        {"name": name, "mean": 0.5} for name in ("exact-match.exact-match", "string-check.string-check")
    ]
    scores += [{"name": name, "mean": 0.25} for name in ("rouge.rouge_1_score", "rouge.rouge_L_score")]
    named = named_scores(
        AggregateScores.model_validate({"scores": [*scores, {"name": "f1.f1", "nan_count": 2}]})
    )
    assert named == {
        "tags.em": 0.5,
        "tags.contains": 0.5,
        "tags.rouge.rouge_1_score": 0.25,
        "tags.rouge.rouge_L_score": 0.25,
    }

    counted = [
        {"name": "f1.f1", "count": 7, "nan_count": 2},
        {"name": "bleu.sentence", "count": 9, "nan_count": 0},
        {"name": "bleu.corpus", "count": 1, "nan_count": 0},
    ]
    assert rows_scored(AggregateScores.model_validate({"scores": counted}), 9) == 7
    assert rows_scored(AggregateScores.model_validate({"scores": counted[1:]}), 9) == 9

    async def rows() -> AsyncIterator[HelixScoredRow]:
        for index, (truth, answer) in enumerate([(" tort, wills", " tort"), (" tort", " wills")]):
            item, sample = {"completion": truth}, {"output_text": answer}
            yield HelixScoredRow.model_validate({"row_index": index, "item": item, "sample": sample})

    found, count = asyncio.run(tag_scores(rows()))
    assert count == 2
    # One of two given tags is right, of three true ones.
    assert found["tags.micro_f1"] == pytest.approx(2 * 1 / (2 + 3))


def platform(handle: Callable[[httpx.Request], httpx.Response], folder: Path) -> tuple[HelixPlatform, Helix]:
    helix = Helix(
        base_url="http://helix.test",
        workspace="law",
        intents=SqliteIntents(folder / "intents.sqlite"),
        clock=StillTime().clock(),
        handler=httpx.MockTransport(handle),
    )
    return HelixPlatform(helix), helix


def followed(states: list[dict[str, Any]], folder: Path, **bounds: float) -> list[JobUpdate]:
    """The updates of a job whose status goes through some answers; the last one repeats."""
    left = list(states)

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            return httpx.Response(200, json={"data": [], "total": 0})
        return httpx.Response(200, json=left.pop(0) if len(left) > 1 else left[0])

    async def ask() -> list[JobUpdate]:
        asked, helix = platform(handle, folder)
        async with helix:
            return [
                update async for update in asked.follow("law/job", **{"timeout": 1e4, "stall": 1e3, **bounds})
            ]

    return asyncio.run(ask())


def state(status: str, **more: Any) -> dict[str, Any]:
    return {"name": "job", "status": status, **more}


def test_a_job_is_followed_to_its_end_through_states_that_nobody_knows(tmp_path: Path) -> None:
    updates = followed([state("created"), state("warming-up"), state("active"), state("completed")], tmp_path)
    assert [update.status for update in updates] == ["created", "warming-up", "active", "completed"]


def test_bad_ends_are_errors_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(JobFailedError, match="out of memory"):
        followed([state("error", error_details={"message": "out of memory"})], tmp_path)
    with pytest.raises(JobCancelledError):
        followed([state("active"), state("cancelling"), state("cancelled")], tmp_path)


def test_silence_is_told_from_slowness(tmp_path: Path) -> None:
    with pytest.raises(JobStalledError, match="no progress") as caught:
        followed([state("created")], tmp_path, stall=60)
    assert "lawtags local runner" in (caught.value.hint or "")
    with pytest.raises(WaitTimeoutError):
        followed(
            [state("active", updated_at=f"2026-01-01T00:00:{n:02}") for n in range(60)], tmp_path, timeout=9
        )


def test_log_lines_come_once_and_a_broken_log_costs_no_run(tmp_path: Path) -> None:
    lines = [{"message": f"line {number}"} for number in range(5)]
    states, logs = (
        [state("active"), state("active", updated_at="2026-01-01T00:00:01"), state("completed")],
        [2, 5, 5],
    )

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            visible = lines[: logs[0]]
            start = int(request.url.params.get("page_cursor", "0"))
            shown = visible[start : start + 2]
            more = str(start + 2) if len(visible) > start + 2 else None
            return httpx.Response(200, json={"data": shown, "next_page": more})
        if len(logs) > 1:
            logs.pop(0)
        return httpx.Response(200, json=states.pop(0) if len(states) > 1 else states[0])

    async def ask() -> list[JobUpdate]:
        asked, helix = platform(handle, tmp_path)
        async with helix:
            return [update async for update in asked.follow("law/job", timeout=1e4, stall=1e3)]

    told = [message for update in asyncio.run(ask()) for message in update.messages]
    assert told == [f"line {number}" for number in range(5)]


@pytest.mark.parametrize("name", ["tags-1", "t" * 63, f"{'t' * 63}-0123abcd"])
def test_curated_rows_go_into_filesets_of_training_and_of_test_rows(tmp_path: Path, name: str) -> None:
    for part in ("training", "validation", "testing"):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{part}.jsonl").write_text(json.dumps({"prompt": part, "completion": "b"}) + "\n")
    stored: dict[str, int] = {}

    def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/-/" in path:
            stored[path.partition("/filesets/")[2]] = len(request.content)
            stored_file = {"path": path.partition("/-/")[2], "size": len(request.content)}
            return httpx.Response(200, json=stored_file)
        if path.endswith("/files"):
            return httpx.Response(200, json={"data": []})
        return httpx.Response(201, json=json.loads(request.content))

    async def ask() -> Any:
        asked, helix = platform(handle, tmp_path)
        async with helix:
            return await asked.upload(f"law/{name}", tmp_path)

    found = asyncio.run(ask())
    # The digest that a run appends to a name of its recipe may make it too long.
    fileset, test = make_name(name), make_name(f"{make_name(name)}-testing")
    assert (found.name, found.files_url) == (f"law/{fileset}", f"law/{fileset}")
    assert set(stored) == {
        f"{test}/-/testing/testing.jsonl",
        f"{fileset}/-/training/training.jsonl",
        f"{fileset}/-/validation/validation.jsonl",
    }


def test_a_model_without_weights_cannot_be_trained(tmp_path: Path) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        if name == "models":
            return httpx.Response(
                200, json={"data": [{"name": "gemma", "workspace": "law", "fileset": "law/w"}]}
            )
        if name == "bare":
            return httpx.Response(200, json={"name": "bare", "workspace": "law"})
        return httpx.Response(404, json={"detail": f"Model with workspace 'law' and name '{name}' not found"})

    async def ask(name: str) -> Any:
        asked, helix = platform(handle, tmp_path)
        async with helix:
            return await asked.config(name)

    with pytest.raises(ConfigurationError, match="no fileset"):
        asyncio.run(ask("law/bare"))
    with pytest.raises(ConfigurationError, match="the model 'meta/llama@v1' does not exist") as caught:
        asyncio.run(ask("meta/llama@v1"))
    assert "law/gemma" in (caught.value.hint or "")
    # The namespace of a v1 config is the vendor's.
    assert asyncio.run(ask("google/Gemma@v1.0.0+cpu")).base_model == "law/gemma"


def test_a_training_is_cancelled_where_it_runs(tmp_path: Path) -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, json={"id": "cust-1", "name": "tagger", "status": "cancelling"})

    async def cancel(job: str) -> str | None:
        async with client(handle, tmp_path) as nemo:
            return await cancel_training(nemo, job)

    assert asyncio.run(cancel("cust-1")) == "cancelling"
    assert asked == ["POST /v1/customization/jobs/cust-1/cancel"]
    recorded = find("lifecycle", "created: cancelled at once")

    async def cancel_on_helix(url: str) -> str | None:
        async with NeMo(base_url=url) as nemo:
            return await cancel_training(nemo, "lawtags/lc-created")

    with replaying([recorded]) as server:
        assert asyncio.run(cancel_on_helix(server.url)) == "cancelled"
    assert server.received[0][1] == "/apis/jobs/v2/workspaces/lawtags/jobs/lc-created/cancel"


def answering(**answers: Any) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        if name not in answers:
            return httpx.Response(404, json={"detail": "Not Found"})
        return httpx.Response(200, json=answers[name])

    return httpx.MockTransport(handle)


HELIX = {
    "cluster-info": {"platform_version": "9.9"},
    "healthz": {"status": "ok", "contributors": ["automodel", "rl"]},
}


@pytest.mark.parametrize(
    ("answers", "product", "shown"),
    [
        (HELIX, "helix", "NeMo Helix 9.9, trains with automodel, rl"),
        ({"cluster-info": {"platform_version": "0.3.0"}}, "nemo-platform", "nemo-platform 0.3.0"),
        ({}, "v1", "NeMo Microservices v1"),
    ],
)
def test_platforms_are_told_apart_by_what_they_answer(answers: Any, product: str, shown: str) -> None:
    settings = Settings(platform_url="http://helix.test")
    found = asyncio.run(detect(settings, handler=answering(**answers)))
    assert (found.product, str(found)) == (product, shown)


def statuses(cluster_info: list[int], healthz: int = 404, **answers: Any) -> Handler:
    """Answers ``/cluster-info`` with one status after the other, the last one from then on."""
    left = list(cluster_info)

    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        status = left.pop(0) if name == "cluster-info" and len(left) > 1 else left[0]
        status = status if name == "cluster-info" else healthz
        return httpx.Response(status, json=HELIX.get(name, {}), headers={"retry-after": "0"})

    return httpx.MockTransport(handle)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_answer_that_does_not_tell_platforms_apart_is_not_taken_for_one(status: int) -> None:
    settings = Settings(platform_url="http://helix.test", max_retries=0)
    with pytest.raises(APIError):
        asyncio.run(detect(settings, handler=statuses([status])))
    found = asyncio.run(detect(settings, handler=statuses([status], healthz=200)))
    assert (found.product, found.version) == ("helix", None)
    with pytest.raises(APIError):  # Helix and nemo-platform differ in this service alone
        asyncio.run(detect(settings, handler=statuses([200], healthz=status)))
    (check,) = asyncio.run(check_platform(settings, handler=statuses([status])))
    assert (check.what, check.state) == ("platform", "unknown")
    assert "dialect" in (check.fix or "")


def test_a_platform_that_is_busy_for_a_moment_is_asked_again() -> None:
    settings = Settings(platform_url="http://helix.test", max_retries=2)
    found = asyncio.run(detect(settings, handler=statuses([503, 503, 404])))
    assert found.product == "v1"


@pytest.mark.parametrize(("dialect", "status"), [("v1", 200), ("helix", 404)])
def test_a_dialect_that_the_platform_does_not_speak_is_named(dialect: Any, status: int) -> None:
    settings = Settings(platform_url="http://helix.test", dialect=dialect, token="not-to-be-seen")
    (check,) = asyncio.run(check_platform(settings, handler=statuses([status], healthz=status)))
    assert check.state == "failed"
    assert f"dialect is {dialect}" in check.finding
    assert "not-to-be-seen" not in repr(check)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_training_is_not_asked_of_v1_where_nothing_answers(error: type[httpx.TransportError]) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error("refused", request=request)

    def speaks(training: bool, **addresses: str) -> bool:
        settings = Settings(platform_url="http://helix.test", max_retries=0, **addresses)  # type: ignore[arg-type]
        handler = httpx.MockTransport(handle)
        return asyncio.run(speaks_helix(settings, training=training, handler=handler))

    with pytest.raises(TransportError, match=r"http://helix\.test"):
        speaks(True)
    # Elsewhere, v1 may answer.
    assert speaks(False) is False
    assert speaks(True, customizer_url="http://customizer.test") is False


def test_the_setting_decides_before_the_platform_is_asked() -> None:
    def speaks(dialect: Any, answers: Any) -> bool:
        settings = Settings(platform_url="http://helix.test", dialect=dialect)
        return asyncio.run(speaks_helix(settings, handler=answering(**answers)))

    assert [speaks("auto", HELIX), speaks("v1", HELIX), speaks("helix", {}), speaks("auto", {})] == [
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(ConfigurationError, match="dialect is 'v2'"):
        Settings(platform_url="http://helix.test", dialect="v2")  # type: ignore[arg-type]


def test_every_wire_type_keeps_what_it_does_not_know() -> None:
    found = JobStatus.model_validate({"status": "new-state", "later": {"a": 1}})
    assert isinstance(found, WireModel)
    assert (found.status, found.is_final, found.model_extra) == ("new-state", False, {"later": {"a": 1}})
