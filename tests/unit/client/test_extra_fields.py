"""Fields and headers that a user adds to one request, and the intents of jobs that have them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import client
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client import NeMo
from lawtags_client.errors import ConfigurationError, ConflictError, LawtagsError
from lawtags_client.intents import FIELD, SqliteIntents
from lawtags_client.services.extra_fields import extended
from lawtags_client.types.customizer import CustomizationJobRequest
from lawtags_client.types.entity_store import DatasetRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


class Customizer:
    """Makes jobs, and lists what it has made."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
            self.headers.append(request.headers)
            return httpx.Response(200, json=self._job(len(self.bodies)))
        number = request.url.path.rpartition("-")[2]
        if number.isdigit():
            return httpx.Response(200, json=self._job(int(number)))
        jobs = [self._job(number + 1) for number in range(len(self.bodies))]
        return httpx.Response(200, json={"data": jobs, "pagination": {"page": 1, "page_size": 100}})

    def _job(self, number: int) -> dict[str, Any]:
        return {**self.bodies[number - 1], "id": f"cust-{number}", "status": "created"}


def wanted(**more: Any) -> CustomizationJobRequest:
    fields = {"config": "a/b@v1", "dataset": "law/tags", "hyperparameters": {"finetuning_type": "lora"}}
    return CustomizationJobRequest.model_validate({**fields, **more})


@given(BODIES, BODIES)
def test_what_a_request_says_is_never_overwritten(body: dict[str, Any], extra: dict[str, Any]) -> None:
    try:
        found = extended(body, extra)
    except ConfigurationError:
        assert set(body) & set(extra)
        return
    assert contains(found, body) and contains(found, extra)
    assert extended(body, {}) == body


def contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    return bool(whole == part)


def test_objects_are_merged_at_every_depth() -> None:
    body = {"hyperparameters": {"epochs": 2, "lora": {"adapter_dim": 8}}}
    extra = {"hyperparameters": {"lora": {"rslora": True}}, "priority": 3}
    assert extended(body, extra) == {
        "hyperparameters": {"epochs": 2, "lora": {"adapter_dim": 8, "rslora": True}},
        "priority": 3,
    }
    with pytest.raises(ConfigurationError, match=r"hyperparameters\.epochs"):
        extended(body, {"hyperparameters": {"epochs": 3}})


@pytest.mark.parametrize(
    "extra",
    [
        {"config": "c/d@v1"},
        {"output_model": "law/other"},
        {"hyperparameters": {"finetuning_type": "all_weights"}},
        {"custom_fields": {FIELD: "mine"}},
        {"x": float("nan")},
        {"x": datetime(2025, 1, 1)},
        {"x": {1, 2}},
        {"x": "\ud800"},
        {("a", "b"): "x"},
        ["x"],
    ],
    ids=repr,
)
async def test_extra_fields_that_cannot_be_are_refused_before_anything_happens(
    extra: Any, tmp_path: Path
) -> None:
    server = Customizer()
    nemo = client(server, tmp_path)
    with pytest.raises(ConfigurationError):
        await nemo.customizer.submit(wanted(), extra_body=extra)
    assert server.bodies == []
    assert SqliteIntents(tmp_path / "intents.sqlite").all() == []


async def test_extra_fields_are_part_of_what_a_job_is(tmp_path: Path) -> None:
    server = Customizer()
    nemo = client(server, tmp_path)

    async def job(extra: dict[str, Any] | None, **options: Any) -> str:
        return (await nemo.customizer.submit(wanted(), extra_body=extra, **options)).id

    plain = await job(None)
    first = await job({"priority": 1, "custom_fields": {"team": "law"}})
    assert await job({"custom_fields": {"team": "law"}, "priority": 1}) == first
    mixed = await job({"map": {1: ("a",), "b": 2}})
    assert await job({"map": {"b": 2, "1": ["a"]}}) == mixed
    assert await job({"priority": 2}) not in (plain, first)
    assert await job(None) == plain
    assert len(server.bodies) == 4
    assert server.bodies[1]["priority"] == 1
    assert server.bodies[1]["custom_fields"].keys() == {"team", FIELD}
    named = await job({"priority": 1}, key="mine")
    assert await job({"priority": 1}, key="mine") == named
    with pytest.raises(ConflictError, match="priority"):
        await job({"priority": 9}, key="mine")


async def test_extra_headers_are_no_part_of_what_a_job_is(tmp_path: Path) -> None:
    server = Customizer()
    nemo = client(server, tmp_path)
    first = await nemo.customizer.submit(wanted(), extra_headers={"traceparent": "00-1"})
    again = await nemo.customizer.submit(wanted(), extra_headers={"traceparent": "00-2"})
    assert first.id == again.id
    assert [headers["traceparent"] for headers in server.headers] == ["00-1"]


async def test_a_copy_of_a_client_finds_the_jobs_of_its_original(tmp_path: Path) -> None:
    server = Customizer()
    nemo = client(server, tmp_path)
    copied = nemo.with_options(timeout=9, max_retries=0, headers={"x-team": "law"})
    first = await copied.customizer.submit(wanted(), extra_body={"priority": 1})
    assert (await nemo.customizer.submit(wanted(), extra_body={"priority": 1})).id == first.id
    assert (await copied.with_options(timeout=1).customizer.submit(wanted(), key="own")).id != first.id
    assert (await nemo.customizer.submit(wanted(), key="own")).id == "cust-2"
    assert len(server.bodies) == 2


async def test_evaluations_have_extra_fields_in_their_intents(tmp_path: Path) -> None:
    server = Customizer()
    nemo = client(server, tmp_path)

    async def job(extra: dict[str, Any] | None) -> str:
        made = await nemo.evaluator.evaluate(config="law/c", target="law/t", extra_body=extra)
        return made.id

    assert await job({"seed": 1}) == await job({"seed": 1}) != await job({"seed": 2})
    assert [body["seed"] for body in server.bodies] == [1, 2]


async def test_job_of_a_taken_name_is_adopted_only_with_the_same_extra_fields(tmp_path: Path) -> None:
    def nemo(folder: str) -> NeMo:
        (tmp_path / folder).mkdir()
        return client(server, tmp_path / folder)

    server = Customizer()
    first = await nemo("one").customizer.submit(wanted(output_model="law/m@1"), extra_body={"priority": 1})
    made, server_of_jobs = server.bodies, server

    def taken(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"detail": "exists"})
        return server_of_jobs(request)

    server = taken  # type: ignore[assignment]
    adopted = await nemo("two").customizer.submit(wanted(output_model="law/m@1"), extra_body={"priority": 1})
    assert adopted.id == first.id
    with pytest.raises(ConflictError, match="priority"):
        await nemo("three").customizer.submit(wanted(output_model="law/m@1"), extra_body={"priority": 2})
    assert len(made) == 1


async def test_entities_are_made_with_extra_fields(tmp_path: Path) -> None:
    bodies = []

    def server(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=bodies[-1])

    datasets = client(server, tmp_path).entity_store.datasets
    request = DatasetRequest(name="tags", namespace="law", files_url="hf://datasets/law/tags")
    made = await datasets.create(request, extra_body={"license": "CC0"})
    assert made.model_extra == {"license": "CC0"}
    assert (await datasets.create_or_get(request, extra_body={"license": "CC0"})).name == "tags"
    assert [body["license"] for body in bodies] == ["CC0", "CC0"]
    with pytest.raises(ConfigurationError, match="description"):
        await datasets.create(request, extra_body={"description": "x"})


async def test_requests_to_models_take_fields_as_keywords(tmp_path: Path) -> None:
    bodies = []

    def server(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        message = {"role": "assistant", "content": "Hi"}
        return httpx.Response(
            200, json={"id": "c", "model": "m", "choices": [{"index": 0, "message": message}]}
        )

    inference = client(server, tmp_path).inference
    messages = [{"role": "user", "content": "Hello"}]
    answer = await inference.chat(
        model="m", messages=messages, max_tokens=4, extra_body={"nvext": {"ignore_eos": True}, "mine": [1]}
    )
    assert answer.text == "Hi"
    assert bodies == [
        {"model": "m", "messages": messages, "max_tokens": 4, "nvext": {"ignore_eos": True}, "mine": [1]}
    ]
    with pytest.raises(ConfigurationError, match="max_tokens"):
        await inference.chat(model="m", messages=messages, max_tokens=4, extra_body={"max_tokens": 5})
    with pytest.raises(ConfigurationError, match="messages"):
        await inference.chat(model="m")
    with pytest.raises(ConfigurationError, match="colour"):
        await inference.chat(model="m", messages=messages, colour="red")  # type: ignore[call-arg]
    assert len(bodies) == 1


async def test_no_secret_of_extra_fields_or_headers_is_written_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        told = f"bad {dict(request.headers)} {request.content.decode()}"
        return httpx.Response(500 if request.method == "POST" else 200, json={"detail": told, "data": []})

    caplog.set_level("DEBUG")
    nemo = client(echo, tmp_path).with_options(
        headers={"X-Pass": "canary-default", "Cookie": "s=canary-cookie"}
    )
    with pytest.raises(LawtagsError) as caught:
        await nemo.customizer.submit(
            wanted(),
            extra_headers={"Authorization": "Bearer canary-header"},
            extra_body={"secrets": [{"password": "canary-body", "kept": "shown-in-store"}]},
        )
    error = caught.value
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"shown-in-store" in stored
    everything = f"{error} {error!r} {error.as_dict()} {caplog.text} {nemo!r} {nemo._shared!r} {stored!r}"
    assert "canary" not in everything
