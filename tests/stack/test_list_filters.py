"""Every way in which the API's lists can be filtered and sorted, resource by resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tiny_models import make_model
from training_stack import BASE, CONFIG, FAST, start_stack, upload_rows

from lawtags_stack.stack import StackThread

OPTION = {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
CHECK = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "a"]}}
TASKS = {"qa": {"type": "data", "metrics": {"c": CHECK}}}
ROWS = {"type": "rows", "rows": [{"output": "a"}]}
ABOUT = {"namespace": "law", "project": "p1"}
EARLIER, LATER = "2001-01-01", "2101-01-01"
TIMES = {"created_at][gte": (EARLIER, LATER), "created_at][lte": (LATER, EARLIER)}
ALL_TIMES = TIMES | {"created_at][gt": (EARLIER, LATER), "created_at][lt": (LATER, EARLIER)}

# For each key: a value of which the entity of this test must be found, and one of which it must not.
FILTERS: dict[str, dict[str, tuple[Any, Any]]] = {
    "/v1/namespaces": {"project": ("p1", "p2"), "namespace": ("law", "none")},
    "/v1/projects": {"name": ("one", "two"), "namespace": ("law", "none")},
    "/v1/datasets": {"namespace": ("law", "none"), "project": ("p1", "p2")},
    "/v1/models": {
        "namespace": ("law", "none"), "project": ("p1", "p2"), "base_model": (BASE, "test/none"),
        "base_model][name": (BASE, "test/none"), "peft": ("true", "false"), "prompt": ("false", "true"),
        "peft][finetuning_type": ("lora", "p_tuning"), "peft][lora": ("true", "false"), **TIMES,
    },
    "/v1/customization/targets": {
        "name": ("llama@v1", "none"), "namespace": ("test", "none"), "base_model": (BASE, "test/none"),
        "enabled": ("true", "false"), "status": ("ready", "failed"),
    },
    "/v1/customization/configs": {
        "name": ("one@v1", "none"), "namespace": ("law", "none"), "finetuning_type": ("lora", "all_weights"),
        "training_type": ("sft", "dpo"), "target_name": ("test/llama@v1", "test/none@v1"),
        "target_base_model": (BASE, "test/none"), "target_enabled": ("true", "false"),
    },
    "/v1/customization/jobs": {
        "namespace": ("law", "none"), "project": ("p1", "p2"), "status": ("cancelled", "completed"),
        "base_model": (BASE, "test/none"), "dataset": ("hf://datasets/law/rows", "hf://datasets/law/none"),
        "finetuning_type": ("lora", "all_weights"), "training_type": ("sft", "dpo"), "batch_size": (6, 7),
        "epochs": (2, 3), "log_every_n_steps": (5, 6),
    },
    "/v1/evaluation/targets": {
        "name": ("one", "none"), "namespace": ("law", "none"), "project": ("p1", "p2"),
        "type": ("model", "rows"), "model": (BASE, "test/none"), "custom_fields][k": ("v", "w"), **ALL_TIMES,
    },
    "/v1/evaluation/configs": {
        "name": ("one", "none"), "namespace": ("law", "none"), "project": ("p1", "p2"),
        "type": ("custom", "retriever"), "custom_fields][k": ("v", "w"), **ALL_TIMES,
    },
    "/v1/evaluation/jobs": {
        "namespace": ("law", "none"), "project": ("p1", "p2"), "status": ("completed", "failed"),
        "config": ("law/one", "law/none"), "target": ("law/rows", "law/none"),
        "config][type": ("custom", "retriever"), "target][type": ("rows", "model"),
        "custom_fields][k": ("v", "w"), **ALL_TIMES,
    },
    "/v1/evaluation/results": {"job_id": ("the job", "eval-none")},
    "/v1/deployment/configs": {"namespace": ("law", "none"), "name": ("one", "none")},
    "/v1/deployment/model-deployments": {"namespace": ("law", "none"), "name": ("one", "none")},
}  # fmt: skip
SPAN = {"created_at][start": (EARLIER, LATER), "updated_at][end": (LATER, EARLIER)}
# The same for searches: part of a text, in any case of letters, and spans of time.
SEARCHES: dict[str, dict[str, tuple[Any, Any]]] = {
    "/v1/namespaces": {"id": ("LA", "zz"), "project": ("p", "q"), **SPAN},
    "/v1/projects": {"name": ("On", "two"), "namespace": ("la", "zz"), **SPAN},
    "/v1/datasets": {"name": ("on", "two"), "files_url": ("law/ro", "zz"), "project": ("P1", "p2"), **SPAN},
    "/v1/models": {"name": ("on", "two"), "base_model": ("LLAMA", "gemma"), "peft": ("lor", "zz"), **SPAN},
    "/v1/evaluation/targets": {"name": ("on", "two"), "type": ("mod", "zz"), **SPAN},
    "/v1/evaluation/configs": {"name": ("on", "two"), "type": ("cust", "zz"), **SPAN},
    "/v1/evaluation/jobs": {"namespace": ("la", "zz"), "status": ("compl", "fail"), **SPAN},
    "/v1/evaluation/results": {"job": ("eval-", "nothing"), **SPAN},
}
SORTS = {
    "/v1/projects": ("created_at", "name"),
    "/v1/datasets": ("created_at", "name"),
    "/v1/models": ("created_at", "name"),
    "/v1/customization/configs": ("created_at", "updated_at", "name", "target_enabled", "num_parameters"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StackThread, dict[str, Any]]]:
    """A stack with one entity of each kind that the filters above are about; their fields by path."""
    base_model = make_model(tmp_path_factory.mktemp("base") / "llama")
    with start_stack(tmp_path_factory.mktemp("stack"), base_model) as running:
        upload_rows(running, "rows", tmp_path_factory.mktemp("rows"))
        with httpx.Client(base_url=running.platform_url, timeout=60) as http:
            yield running, make_entities(http)


def make_entities(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def post(path: str, **fields: Any) -> None:
        answer = http.post(path, json=fields)
        assert answer.status_code in (200, 201), answer.text
        found[path] = answer.json()

    found["/v1/namespaces"] = http.patch("/v1/namespaces/law", json={"project": "p1"}).json()
    found["/v1/customization/targets"] = http.get("/v1/customization/targets/test/llama@v1").json()
    named = {"name": "one", **ABOUT}
    custom = {"custom_fields": {"k": "v"}}
    post("/v1/projects", name="one", namespace="law")
    post("/v1/datasets", files_url="hf://datasets/law/rows", **named)
    post("/v1/models", base_model=BASE, peft={"finetuning_type": "lora"}, **named)
    config = {"target": "test/llama@v1", "max_seq_length": 64, "training_options": [OPTION]}
    post("/v1/customization/configs", **config | {"name": "one@v1", "namespace": "law"})
    job = {"config": CONFIG, "dataset": "law/rows", "hyperparameters": FAST | {"log_every_n_steps": 5}}
    post("/v1/customization/jobs", **job, **ABOUT)
    http.post(f"/v1/customization/jobs/{found['/v1/customization/jobs']['id']}/cancel").raise_for_status()
    post("/v1/evaluation/targets", **ROWS, name="rows", namespace="law")
    post("/v1/evaluation/targets", type="model", model=BASE, **named, **custom)
    post("/v1/evaluation/configs", type="custom", tasks=TASKS, **named, **custom)
    post("/v1/evaluation/jobs", config="law/one", target="law/rows", **ABOUT, **custom)
    post("/v1/deployment/configs", model=BASE, name="one", namespace="law")
    post("/v1/deployment/model-deployments", config="law/one", name="one", namespace="law")
    evaluation = found["/v1/evaluation/jobs"]["id"]
    found["/v1/evaluation/results"] = wait_for_result(http, evaluation)
    return found


def wait_for_result(http: httpx.Client, job: str) -> dict[str, Any]:
    from served_stack import wait_for

    wait_for(lambda: http.get(f"/v1/evaluation/jobs/{job}/results").status_code == 200)
    found: dict[str, Any] = http.get(f"/v1/evaluation/jobs/{job}/results").json()
    return found


def identity(entity: dict[str, Any]) -> tuple[Any, ...]:
    return entity.get("id"), entity.get("namespace"), entity.get("name")


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, keys in FILTERS.items() for key in keys])
def test_filter_finds_what_fits_and_nothing_else(
    made: tuple[StackThread, dict[str, Any]], path: str, key: str
) -> None:
    stack, entities = made
    fits, other = FILTERS[path][key]
    wanted = identity(entities[path])
    if fits == "the job":
        fits = entities[path]["job"]
    for value, expected in ((fits, True), (other, False)):
        query = {f"filter[{key}]": value, "page_size": 100}
        answer = httpx.get(f"{stack.platform_url}{path}", params=query, timeout=60)
        listed = {identity(each) for each in answer.json()["data"]}
        assert (wanted in listed) is expected, (query, answer.text)


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, keys in SEARCHES.items() for key in keys])
def test_search_finds_a_part_and_nothing_else(
    made: tuple[StackThread, dict[str, Any]], path: str, key: str
) -> None:
    stack, entities = made
    fits, other = SEARCHES[path][key]
    wanted = identity(entities[path])
    # Of several values one has to fit, whether they come one by one or with commas; of several fields all.
    several = [(f"search[{key}]", other), (f"search[{key}]", fits)]
    ways: list[tuple[list[tuple[str, Any]], bool]] = [
        ([(f"search[{key}]", fits)], True),
        ([(f"search[{key}]", other)], False),
        ([(f"search[{key}]", fits), ("search[description]", "no such words")], False),
    ]
    if "][" not in key:
        ways += [(several, True), ([(f"search[{key}]", f"{other},{fits}")], True)]
    for query, expected in ways:
        answer = httpx.get(f"{stack.platform_url}{path}", params=[*query, ("page_size", 100)], timeout=60)
        assert (wanted in {identity(each) for each in answer.json()["data"]}) is expected, (
            query,
            answer.text,
        )


@pytest.mark.parametrize("path", FILTERS)
def test_list_is_sorted_as_asked_and_not_otherwise(
    made: tuple[StackThread, dict[str, Any]], path: str
) -> None:
    url = f"{made[0].platform_url}{path}"
    for field in SORTS.get(path, ("created_at",)):
        lists = [
            [identity(each) for each in httpx.get(url, params={"sort": f"{sign}{field}"}).json()["data"]]
            for sign in ("", "-")
        ]
        assert lists[0] and set(lists[0]) == set(lists[1])
        if field in ("created_at", "name"):
            assert lists[0] == lists[1][::-1]
    refused = httpx.get(url, params={"sort": "description"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["query", "sort"]
