"""The fields that name an entity: absent or null for a default, anything else checked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lawtags_stack.stack import StackThread

ENTITIES: dict[str, dict[str, Any]] = {
    "/v1/projects": {},
    "/v1/datasets": {"files_url": "hf://datasets/a/b"},
    "/v1/models": {},
    "/v1/evaluation/configs": {"type": "custom"},
    "/v1/evaluation/targets": {"type": "rows"},
    "/v1/deployment/configs": {"model": "a/b"},
    "/v1/customization/targets": {"model_uri": "hf://a/b", "num_parameters": 1, "precision": "bf16"},
    "/v1/deployment/model-deployments": {"config": {"model": "a/b"}},
}
NAMED_BY_ID = "/v1/namespaces"


@pytest.fixture(scope="module")
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.platform_url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("field", ["name", "namespace"])
@pytest.mark.parametrize("path", ENTITIES)
def test_an_empty_or_mistyped_name_is_refused_with_its_field(
    path: str, field: str, http: httpx.Client
) -> None:
    for value in ("", " ", "a/b", 5, True, [], {}, ["a"]):
        refused = http.post(path, json={**ENTITIES[path], field: value})
        assert refused.status_code == 422, (value, refused.text)
        assert field in refused.text


@pytest.mark.parametrize("path", ENTITIES)
def test_a_name_that_is_absent_or_null_is_made(path: str, http: httpx.Client) -> None:
    names = set()
    for sent in ({}, {"name": None, "namespace": None}):
        made = http.post(path, json={**ENTITIES[path], **sent})
        assert made.status_code == 200, made.text
        assert made.json()["namespace"] == "default"
        names.add(made.json()["name"])
        assert http.get(f"{path}/default/{made.json()['name']}").status_code == 200
    assert len(names) == 2 and all("-" in name for name in names)


def test_namespaces_are_named_by_their_id(http: httpx.Client) -> None:
    for value in ("", " ", "a/b", "a@1", 5, True, [], {}):
        refused = http.post(NAMED_BY_ID, json={"id": value})
        assert refused.status_code == 422 and "id" in refused.text
    made = http.post(NAMED_BY_ID, json={"id": None}).json()["id"]
    given = f"n-{uuid.uuid4().hex}"
    assert http.post(NAMED_BY_ID, json={"id": given}).json()["id"] == given
    for name in (made, given):
        assert http.get(f"{NAMED_BY_ID}/{name}").json()["id"] == name


def test_jobs_refuse_empty_names(http: httpx.Client) -> None:
    config = {"type": "custom", "tasks": {"t": {"type": "data"}}}
    spec = {"config": config, "target": {"type": "rows", "rows": [{"output": "a"}]}}
    for body in ({"namespace": ""}, {"namespace": 5}):
        assert http.post("/v1/evaluation/jobs", json={**spec, **body}).status_code == 422
    for body in ({"namespace": ""}, {"name": ""}, {"name": "a/b"}):
        refused = http.post("/v2/evaluation/jobs", json={"spec": spec, **body})
        assert refused.status_code == 422 and next(iter(body)) in refused.text


def test_a_config_that_cannot_be_carried_out_is_not_kept(http: httpx.Client) -> None:
    metric = {"type": "string-check", "params": {"check": ["a", "resembles", "b"]}}
    wrong = {"t": {"type": "data", "metrics": {"m": metric}}}
    name = f"c-{uuid.uuid4().hex}"
    path = "/v1/evaluation/configs"
    for body in ({"tasks": wrong}, {"params": {"max_tokens": -1}}, {"groups": {"g": {"tasks": ["absent"]}}}):
        refused = http.post(path, json={"type": "custom", "name": name, **body})
        assert refused.status_code == 422, refused.text
    assert http.get(f"{path}/default/{name}").status_code == 404
    right = {"t": {"type": "data", "metrics": {"m": {"type": "em", "params": {"ground_truth": "{{a}}"}}}}}
    assert http.post(path, json={"type": "custom", "name": name, "tasks": right}).status_code == 200
    changed = http.patch(f"{path}/default/{name}", json={"tasks": wrong})
    assert changed.status_code == 422 and "resembles" in changed.text
    assert "em" in http.get(f"{path}/default/{name}").text
    # What other services offer is kept, and its names are not known here.
    for other in (
        {"type": "gsm8k", "tasks": wrong},
        {"type": "custom", "tasks": {"t": {"type": "optimize"}}},
    ):
        assert http.post(path, json=other).status_code == 200
