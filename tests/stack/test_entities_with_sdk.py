"""Entity Store and Deployment Management as the official SDK sees them."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import nemo_microservices
import pytest
from nemo_microservices import NeMoMicroservices

from lawtags_stack.stack import StackThread

NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\Z")


@pytest.fixture
def sdk(stack: StackThread) -> Iterator[NeMoMicroservices]:
    with NeMoMicroservices(base_url=stack.platform_url, inference_base_url=stack.inference_url) as client:
        yield client


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.platform_url) as client:
        yield client


@pytest.fixture
def namespace(sdk: NeMoMicroservices) -> str:
    return str(sdk.namespaces.create(id=f"ns-{uuid.uuid4().hex[:8]}").id)


def test_default_namespace_exists_and_stays(sdk: NeMoMicroservices) -> None:
    assert sdk.namespaces.retrieve("default").id == "default"
    with pytest.raises(nemo_microservices.BadRequestError):
        sdk.namespaces.delete("default")


def test_namespace_life(sdk: NeMoMicroservices, namespace: str) -> None:
    with pytest.raises(nemo_microservices.ConflictError) as refused:
        sdk.namespaces.create(id=namespace)
    assert refused.value.response.headers["x-should-retry"] == "false"
    updated = sdk.namespaces.update(namespace, description="law")
    assert updated.description == "law"
    assert namespace in [each.id for each in sdk.namespaces.list(page_size=2)]
    assert [each.id for each in sdk.namespaces.list(filter={"namespace": namespace})] == [namespace]
    assert sdk.namespaces.delete(namespace).id == namespace
    with pytest.raises(nemo_microservices.NotFoundError):
        sdk.namespaces.retrieve(namespace)


def test_project_life(sdk: NeMoMicroservices, namespace: str) -> None:
    sdk.projects.create(name="p", namespace=namespace, description="first")
    sdk.projects.update("p", namespace=namespace, description="second")
    assert sdk.projects.retrieve("p", namespace=namespace).description == "second"
    assert [each.name for each in sdk.projects.list(filter={"namespace": namespace})] == ["p"]
    sdk.projects.delete("p", namespace=namespace)
    with pytest.raises(nemo_microservices.NotFoundError):
        sdk.projects.retrieve("p", namespace=namespace)


def test_dataset_shows_every_field_in_the_order_of_the_wire(http: httpx.Client, namespace: str) -> None:
    url = f"hf://datasets/{namespace}/d"
    made = http.post("/v1/datasets", json={"namespace": namespace, "name": "d", "files_url": url}).json()
    assert list(made)[:13] == [
        "created_at", "updated_at", "name", "namespace", "description", "format", "files_url",
        "hf_endpoint", "split", "limit", "id", "project", "custom_fields",
    ]  # fmt: skip
    assert made["description"] is None and made["custom_fields"] == {}
    assert NAIVE.match(made["created_at"])
    assert re.match(r"dataset-[1-9A-HJ-NP-Za-km-z]{20,22}\Z", made["id"])


def test_unnamed_dataset_is_called_by_its_id(sdk: NeMoMicroservices) -> None:
    made = sdk.datasets.create(files_url="hf://datasets/a/b")
    assert made.name == made.id and made.namespace == "default"


def test_patch_keeps_what_is_not_said(http: httpx.Client, namespace: str) -> None:
    body = {"namespace": namespace, "name": "d", "files_url": "hf://datasets/a/b", "description": "x"}
    http.post("/v1/datasets", json=body)
    changed = http.patch(
        f"/v1/datasets/{namespace}/d", json={**body, "description": None, "limit": 5, "name": "other"}
    ).json()
    assert (changed["name"], changed["description"], changed["limit"]) == ("d", "x", 5)
    assert changed["updated_at"] > changed["created_at"]


def test_dataset_in_an_unknown_namespace_is_refused(sdk: NeMoMicroservices) -> None:
    with pytest.raises(nemo_microservices.NotFoundError, match="does not exist"):
        sdk.datasets.create(namespace="nowhere", name="d", files_url="hf://datasets/a/b")


def test_missing_field_is_reported_as_fastapi_does(http: httpx.Client) -> None:
    answer = http.post("/v1/datasets", json={"name": "d"})
    assert answer.status_code == 422
    detail = [{"loc": ["body", "files_url"], "msg": "Field required", "type": "missing"}]
    assert answer.json() == {"detail": detail}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"files_url": "x", "limit": NaN}',
        b'{"files_url": "\\ud800"}',
    ],
)
def test_garbled_body_is_a_422(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/datasets", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["detail"]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "C:\\x", "-rf", "%2e%2e", "a\u0000b", "n" * 300, "⚖️", "a b", "."]
)
def test_names_that_cannot_be_addressed_are_refused(http: httpx.Client, name: str) -> None:
    for body in ({"name": name}, {"namespace": name, "name": "x"}):
        assert http.post("/v1/models", json=body).status_code in (404, 422)


def test_versions_stay_literal_in_paths(sdk: NeMoMicroservices, http: httpx.Client, namespace: str) -> None:
    name = "tagger@v1.0.0+cpu"
    sdk.models.create(namespace=namespace, name=name, base_model="google/gemma-2-2b")
    assert sdk.models.retrieve(name, namespace=namespace).name == name
    assert http.get(f"/v1/models/{namespace}/tagger%40v1.0.0%2Bcpu").json()["name"] == name
    sdk.models.update(name, namespace=namespace, description="d")
    assert sdk.models.delete(name, namespace=namespace).message


def test_lists_filter_search_sort_and_page(sdk: NeMoMicroservices, namespace: str) -> None:
    for number in range(5):
        sdk.models.create(
            namespace=namespace,
            name=f"m{number}",
            base_model="a/base" if number % 2 else "b/base",
            peft={"finetuning_type": "lora"} if number < 2 else nemo_microservices.omit,
        )

    def names(**query: Any) -> list[str | None]:
        condition = {"namespace": namespace, **query.pop("filter", {})}
        return [each.name for each in sdk.models.list(filter=condition, page_size=2, **query)]

    assert names() == ["m0", "m1", "m2", "m3", "m4"]
    assert names(sort="-created_at") == ["m4", "m3", "m2", "m1", "m0"]
    assert names(sort="-name") == ["m4", "m3", "m2", "m1", "m0"]
    assert names(filter={"base_model": "a/base"}) == ["m1", "m3"]
    assert names(filter={"base_model": {"name": "a/base"}}) == ["m1", "m3"]
    assert names(filter={"peft": True}) == ["m0", "m1"]
    assert names(filter={"peft": False}) == ["m2", "m3", "m4"]
    assert names(filter={"created_at": {"gte": "2020-01-01"}}) == ["m0", "m1", "m2", "m3", "m4"]
    assert names(filter={"created_at": {"lte": "2020-01-01"}}) == []
    assert names(search={"name": ["m1", "M4"]}) == ["m1", "m4"]


def test_page_beyond_the_last_is_empty(http: httpx.Client) -> None:
    listed = http.get("/v1/namespaces?page=999&page_size=7").json()
    assert listed["data"] == [] and listed["object"] == "list"
    assert listed["pagination"]["page"] == 999 and listed["pagination"]["total_results"] >= 1
    assert http.get("/v1/namespaces?page=0").status_code == 422
    assert http.get("/v1/models?sort=secret").status_code == 422


def test_secrets_are_masked_when_shown(http: httpx.Client, namespace: str) -> None:
    endpoint = {"url": "http://x/v1", "model_id": "m", "api_key": "canary"}
    made = http.post("/v1/models", json={"namespace": namespace, "name": "m", "api_endpoint": endpoint})
    assert made.json()["api_endpoint"]["api_key"] == "******"
    assert "canary" not in http.get(f"/v1/models?filter[namespace]={namespace}").text


def test_namespace_with_contents_is_not_deleted(sdk: NeMoMicroservices, namespace: str) -> None:
    sdk.models.create(namespace=namespace, name="m")
    with pytest.raises(nemo_microservices.ConflictError):
        sdk.namespaces.delete(namespace)


def test_deployment_config_life(sdk: NeMoMicroservices, namespace: str) -> None:
    sdk.deployment.configs.create(
        name="c",
        namespace=namespace,
        model="a/b",
        nim_deployment={"image_name": "nvcr.io/nim/x", "image_tag": "1", "gpu": 1},
    )
    changed = sdk.deployment.configs.update("c", namespace=namespace, model="a/c")
    assert changed.model == "a/c"
    condition = {"namespace": namespace}
    assert [each.name for each in sdk.deployment.configs.list(filter=condition)] == ["c"]
    sdk.deployment.configs.delete("c", namespace=namespace)
    with pytest.raises(nemo_microservices.NotFoundError):
        sdk.deployment.configs.retrieve("c", namespace=namespace)


def test_deployment_life(sdk: NeMoMicroservices, http: httpx.Client, namespace: str) -> None:
    sdk.deployment.configs.create(name="c", namespace=namespace, model=f"{namespace}/missing")
    make = {"name": "d", "namespace": namespace, "config": f"{namespace}/c", "hf_token": "canary"}
    made = http.post("/v1/deployment/model-deployments", json=make)
    assert made.json()["status_details"] == {"status": "pending", "description": "Model deployment created"}
    assert made.json()["deployed"] is False and made.json()["url"] == "" and "canary" not in made.text
    assert re.match(r".*\.\d{6}Z\Z", made.json()["created_at"])
    again = http.post("/v1/deployment/model-deployments", json=make)
    assert again.status_code == 500 and "model deployment already exists" in again.json()["detail"]
    assert again.headers["x-should-retry"] == "false"
    shown = sdk.deployment.model_deployments.retrieve("d", namespace=namespace)
    assert shown.status_details.status in ("pending", "failed")
    sdk.deployment.model_deployments.delete("d", namespace=namespace)
    path = f"/v1/deployment/model-deployments/{namespace}/d"
    assert http.get(path).status_code == 200  # removal takes its time
    for _ in range(100):
        if http.get(path).status_code == 404:
            break
        time.sleep(0.02)
    assert http.get(path).status_code == 404


def test_deployment_of_an_unknown_config_is_refused(http: httpx.Client) -> None:
    body = {"name": "d", "config": "default/none"}
    assert http.post("/v1/deployment/model-deployments", json=body).status_code == 404
    body = {"name": "d", "config": {"name": "nothing"}}  # type: ignore[dict-item]
    assert http.post("/v1/deployment/model-deployments", json=body).status_code == 422
