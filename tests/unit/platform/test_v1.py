"""What a run asks of the v1 microservices, against scripted answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM, Script, StillTime, client

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    ConfigurationError,
    JobCancelledError,
    JobFailedError,
    JobStalledError,
    WaitTimeoutError,
)
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform import EvaluationIntent, JobUpdate
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.settings import Settings

CONFIG = {
    "namespace": "ns",
    "name": "model@v1",
    "target": "ns/model@v1",
    "max_seq_length": 512,
    "prompt_template": "{prompt} {completion}",
    "training_options": [{"training_type": "sft", "finetuning_type": "lora"}],
}


def configs(*listed: dict[str, Any]) -> httpx.Response:
    paging = {"page": 1, "page_size": 100, "total_pages": 1, "total_results": len(listed)}
    return httpx.Response(200, json={"object": "list", "data": list(listed), "pagination": paging})


def target(status: str | None, enabled: bool = True) -> httpx.Response:
    body = {"namespace": "ns", "name": "model@v1", "base_model": "meta/model", "num_parameters": 7}
    return httpx.Response(200, json=body | {"status": status, "enabled": enabled})


def platform(folder: Path, time: StillTime, *answers: httpx.Response) -> tuple[V1Platform, Script]:
    script = Script(answers)
    return V1Platform(client(script, folder, time), target_timeout=60), script


async def test_a_config_waits_until_its_base_model_is_there(tmp_path: Path) -> None:
    time = StillTime()
    answers = (configs(CONFIG), target("created"), target("downloading"), target("ready"))
    asked, script = platform(tmp_path, time, *answers)
    found = await asked.config("ns/model@v1")
    assert (found.name, found.base_model, found.num_parameters) == ("ns/model@v1", "meta/model", 7)
    assert found.methods == (("sft", "lora"),)
    assert not found.chat
    assert len(script.requests) == 4
    assert len(time.slept) == 2


async def test_a_config_with_a_chat_template_wants_chats(tmp_path: Path) -> None:
    config = CONFIG | {"chat_prompt_template": "{{ messages }}", "prompt_template": None}
    asked, _ = platform(tmp_path, StillTime(), configs(config), target("ready"))
    found = await asked.config("ns/model@v1")
    assert (found.chat, found.prompt_template) == (True, None)


async def test_a_target_without_status_is_ready(tmp_path: Path) -> None:
    asked, _ = platform(tmp_path, StillTime(), configs(CONFIG), target(None))
    assert (await asked.config("ns/model@v1")).base_model == "meta/model"


@pytest.mark.parametrize(
    ("answer", "words"),
    [(target("ready", enabled=False), "not enabled"), (target("failed"), "cannot be trained: failed")],
)
async def test_a_target_that_cannot_be_trained_is_named_at_once(
    tmp_path: Path, answer: httpx.Response, words: str
) -> None:
    time = StillTime()
    asked, _ = platform(tmp_path, time, configs(CONFIG), answer)
    with pytest.raises(ConfigurationError, match=words) as caught:
        await asked.config("ns/model@v1")
    assert "ns/model@v1" in str(caught.value)
    assert caught.value.hint
    assert time.slept == []


async def test_a_target_that_never_comes_ends_the_waiting(tmp_path: Path) -> None:
    time = StillTime()
    asked, _ = platform(tmp_path, time, configs(CONFIG), target("downloading"))
    with pytest.raises(WaitTimeoutError, match="still downloading"):
        await asked.config("ns/model@v1")
    assert 60 <= time.seconds < 65


async def test_an_unknown_config_lists_those_there_are(tmp_path: Path) -> None:
    asked, _ = platform(tmp_path, StillTime(), configs(CONFIG))
    with pytest.raises(ConfigurationError) as caught:
        await asked.config("ns/other@v1")
    assert "ns/model@v1" in str(caught.value)


def job(status: str) -> httpx.Response:
    logs = [{"updated_at": "2025-06-20T04:20:22", "message": "m", "detail": "out of memory"}]
    points = [{"step": 0, "value": 2.5, "timestamp": None}]
    details = {
        "status": status,
        "steps_completed": 1,
        "percentage_done": 50.0,
        "metrics": {"metrics": {"train_loss": points}},
        "status_logs": logs,
    }
    return httpx.Response(200, json={"id": "cust-1", "status": status, "status_details": details, **details})


async def signs(asked: V1Platform, **bounds: float) -> list[JobUpdate]:
    return [sign async for sign in asked.follow("cust-1", **({"timeout": 60, "stall": 60} | bounds))]


async def test_following_tells_steps_losses_and_words_until_the_end(tmp_path: Path) -> None:
    asked, _ = platform(tmp_path, StillTime(), job("running"), job("running"), job("completed"))
    found = await signs(asked)
    assert [point for sign in found for point in sign.points] == [("train_loss", 0, 2.5)]
    assert any("out of memory" in message for sign in found for message in sign.messages)
    assert found[-1].status == "completed"
    assert any(sign.steps == 1 for sign in found)


async def test_a_platform_that_restarts_after_the_submission_is_waited_for(tmp_path: Path) -> None:
    time, down = StillTime(), [httpx.ConnectError("refused")] * 30
    script = Script([*down, job("running"), *down, job("completed")])
    found = await signs(V1Platform(client(script, tmp_path, time)), timeout=600, stall=600)
    assert found[-1].status == "completed"
    assert time.seconds > 30


def look(status: str, steps: int, *, uploaded: bool = False) -> httpx.Response:
    """A job that logs each step; the last look also shows what was logged after the last step."""

    def at(second: int) -> str:
        return f"2025-06-20T04:20:{second:02}"

    logs = [{"updated_at": at(0), "message": "created", "detail": None}]
    if uploaded:
        logs += [
            {"updated_at": at(50), "message": "EntityHandler_1_Running", "detail": "uploading the model"},
            {"updated_at": at(51), "message": "completed", "detail": None},
        ]
    series = {
        "train_loss": [{"step": n, "value": 3.0 - n, "timestamp": at(10 + n)} for n in range(steps)],
        "val_loss": [{"step": steps - 1, "value": 0.123456, "timestamp": at(20)}] if uploaded else [],
    }
    details = {
        "status": status,
        "steps_completed": steps,
        "metrics": {"metrics": series},
        "status_logs": logs,
    }
    return httpx.Response(200, json={"id": "cust-1", "status": status, "status_details": details, **details})


async def test_a_step_is_told_once_with_its_loss_and_the_end_after_what_led_to_it(tmp_path: Path) -> None:
    looks = [look("running", 1), look("running", 2), look("completed", 3, uploaded=True)]
    # The job is read when it is found, and again once it trains.
    asked, _ = platform(tmp_path, StillTime(), looks[0], looks[0], *looks)
    found = await signs(asked)
    assert [sign.steps for sign in found] == [1, 2, 3]
    assert [sign.status for sign in found] == ["running", "running", "completed"]
    losses = [[value for name, _, value in sign.points if name == "train_loss"] for sign in found]
    assert losses == [[3.0], [2.0], [1.0]]
    assert found[-1].messages == ("EntityHandler_1_Running: uploading the model",)


async def test_a_warning_of_the_job_is_among_the_messages(tmp_path: Path) -> None:
    ended = json.loads(job("completed").content)
    warned = httpx.Response(200, json=ended | {"warnings": [{"message": "cut", "explanation": "3 rows."}]})
    asked, _ = platform(tmp_path, StillTime(), job("running"), job("completed"), warned)
    assert "Warning: cut: 3 rows." in [message for sign in await signs(asked) for message in sign.messages]


@pytest.mark.parametrize(("status", "error"), [("failed", JobFailedError), ("cancelled", JobCancelledError)])
async def test_a_bad_end_is_raised_with_the_services_words(
    tmp_path: Path, status: str, error: type[Exception]
) -> None:
    asked, _ = platform(tmp_path, StillTime(), job("running"), job(status))
    with pytest.raises(error) as caught:
        await signs(asked)
    assert caught.value.reason == "out of memory"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bounds", "error"),
    [({"stall": 0.05}, JobStalledError), ({"timeout": 0.05}, WaitTimeoutError)],
)
async def test_a_job_that_shows_nothing_new_is_let_go_of(
    tmp_path: Path, bounds: dict[str, float], error: type[Exception]
) -> None:
    handler = httpx.MockTransport(Script([job("running")]))
    intents = SqliteIntents(tmp_path / "intents.sqlite")
    nemo = NeMo(Settings(platform_url=PLATFORM), intents=intents, handler=handler)
    with pytest.raises(error, match=r"cust-1 is (still )?running") as caught:
        await signs(V1Platform(nemo), **bounds)
    assert "The job continues" in str(caught.value)


async def test_an_evaluation_belongs_to_the_address_that_it_asks(tmp_path: Path) -> None:
    """A stack that comes up on another port must not be held to the job that asks the old one."""
    made: list[dict[str, Any]] = []

    def evaluator(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            made.append(json.loads(request.read()) | {"id": f"eval-{len(made)}", "status": "completed"})
            return httpx.Response(200, json=made[-1])
        if request.url.path.endswith("/results"):
            return httpx.Response(200, json={"id": "r", "job": "eval", "tasks": {}, "groups": {}})
        if request.url.path == "/v1/evaluation/jobs":
            return configs()
        return httpx.Response(200, json=made[int(request.url.path[-1])])

    wish = EvaluationIntent("key", "tests/tagger@1", "hf://datasets/tests/rows/x.jsonl", "tests", limit=3)
    found = []
    for port in (1, 2, 1):
        nemo = client(evaluator, tmp_path, inference_url=f"http://127.0.0.1:{port}")
        found.append((await V1Platform(nemo).evaluate(wish, timeout=10)).job_id)
    assert found == ["eval-0", "eval-1", "eval-0"]
    urls = [body["target"]["model"]["api_endpoint"]["url"] for body in made]
    assert urls == ["http://127.0.0.1:1/v1/completions", "http://127.0.0.1:2/v1/completions"]


async def test_the_evaluator_gets_the_key_of_the_models_and_no_file_does(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    def evaluator(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(json.loads(request.read()))
            return httpx.Response(200, json={"id": "eval-0", "status": "completed"} | sent[-1])
        if request.url.path.endswith("/results"):
            return httpx.Response(200, json={"id": "r", "job": "eval", "tasks": {}, "groups": {}})
        if request.url.path == "/v1/evaluation/jobs":
            return configs()
        return httpx.Response(200, json={"id": "eval-0", "status": "completed"} | sent[0])

    wish = EvaluationIntent("key", "tests/tagger@1", "hf://datasets/tests/rows/x.jsonl", "tests", limit=3)
    nemo = client(evaluator, tmp_path, inference_token="canary-key")
    await V1Platform(nemo).evaluate(wish, timeout=10)
    assert sent[0]["target"]["model"]["api_endpoint"]["api_key"] == "canary-key"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"canary-key" not in path.read_bytes()
