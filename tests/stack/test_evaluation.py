"""Evaluations as clients see them: the official SDK and plain HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nemo_microservices import NeMoMicroservices, NotFoundError
from served_stack import ADAPTER, ServedStack, served_stack, wait_for
from tiny_models import make_adapter, make_model

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

ROWS = [
    {"Prompt": f"Title: lease {number}\nTags:", "completion": "landlord, contract-law"} for number in range(8)
]
FINAL = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStack]:
    from huggingface_hub import HfApi

    folder = tmp_path_factory.mktemp("evaluation")
    base = make_model(folder / "base")
    adapter = make_adapter(folder / "adapter", base, lora_alpha=32)
    with served_stack(folder / "stack", base, adapter) as served:
        api = HfApi(endpoint=f"{served.thread.data_store_url}/v1/hf", token="test")
        api.create_repo("tests/rows", repo_type="dataset")
        lines = "\n".join(json.dumps(row) for row in ROWS).encode()
        outputs = json.dumps(
            [{"input": "q", "reference": "a cat", "output": "the cat"}, {"reference": "x", "output": "y"}]
        )
        for path, content in (("testing/test.jsonl", lines), ("outputs.json", outputs.encode())):
            api.upload_file(
                path_or_fileobj=content, path_in_repo=path, repo_id="tests/rows", repo_type="dataset"
            )
        yield served


@pytest.fixture
def sdk(stack: ServedStack) -> Iterator[NeMoMicroservices]:
    with NeMoMicroservices(
        base_url=stack.thread.platform_url, inference_base_url=stack.thread.inference_url, max_retries=0
    ) as client:
        yield client


def chat_config(**params: Any) -> dict[str, Any]:
    truth = {"ground_truth": "{{item.completion}}"}
    return {
        "type": "custom",
        "params": {"parallelism": 4, **params},
        "tasks": {
            "tags": {
                "type": "chat-completion",
                "dataset": {"files_url": "hf://datasets/tests/rows/testing/test.jsonl", "limit": 6},
                "params": {
                    "template": {
                        "messages": [{"role": "user", "content": "{{item.prompt}}"}],
                        "max_tokens": 12,
                        "temperature": 0.0,
                        "nvext": {"guided_choice": ["landlord, contract-law", "copyright"]},
                    }
                },
                "metrics": {
                    "check": {
                        "type": "string-check",
                        "params": {"check": ["{{sample.output_text}}", "equals", "{{item.completion}}"]},
                    },
                    "em": {"type": "em", "params": truth},
                    "f1": {"type": "f1", "params": truth},
                    "rouge": {"type": "rouge", "params": truth},
                    "bleu": {"type": "bleu", "params": {"references": ["{{item.completion}}"]}},
                },
            }
        },
    }


def user(content: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def finished(sdk: NeMoMicroservices, job_id: str) -> Any:
    wait_for(lambda: sdk.evaluation.jobs.retrieve(job_id).status in FINAL, 60)
    return sdk.evaluation.jobs.retrieve(job_id)


def test_the_official_sdk_evaluates_an_adapter(sdk: NeMoMicroservices) -> None:
    target = sdk.evaluation.targets.create(type="model", name="tagger", namespace="tests", model=ADAPTER)
    config = sdk.evaluation.configs.create(name="tags", namespace="tests", **chat_config())
    assert (target.id or "").startswith("eval-target-")
    assert (config.id or "").startswith("eval-config-")
    job = sdk.evaluation.jobs.create(config="tests/tags", target="tests/tagger")
    assert (job.id or "").startswith("eval-")
    assert job.status == "created"
    done = finished(sdk, str(job.id))
    assert done.status == "completed", done.status_details
    assert done.target.model == ADAPTER
    assert done.config.schema_version == "1.0"
    assert done.status_details.progress == 100
    assert done.status_details.task_status == {"tags": "completed"}
    status = sdk.evaluation.jobs.status(str(job.id))
    assert status.samples_processed == 6
    assert "status" not in status.to_dict()
    result = sdk.evaluation.jobs.results(str(job.id))
    assert (result.id or "").startswith("evaluation_result-")
    tasks = result.to_dict()["tasks"]
    found = {key: metric["scores"] for key, metric in tasks["tags"]["metrics"].items()}
    assert set(found["rouge"]) == {"rouge_1_score", "rouge_2_score", "rouge_3_score", "rouge_L_score"}
    assert set(found["bleu"]) == {"sentence", "corpus"}
    # Answers are one of two texts, so that the string check, em and f1 say the same.
    assert found["check"]["string-check"]["value"] == found["em"]["em"]["value"] == found["f1"]["f1"]["value"]
    assert found["em"]["em"]["stats"]["count"] == 6
    archive = zipfile.ZipFile(io.BytesIO(sdk.evaluation.jobs.download_results(str(job.id)).read()))
    names = {"job.json", "result.json", "results/results.json", "log.txt", "rows.jsonl"}
    assert names <= set(archive.namelist())
    assert len(archive.read("rows.jsonl").splitlines()) == 6
    rows = json.loads(archive.read("results/results.json"))["tags"]
    assert [row["requests"][0]["response"] for row in rows] == [row["sample"]["response"] for row in rows]
    assert {row["metrics"]["em"]["scores"]["em"]["value"] for row in rows} <= {0.0, 1.0}
    assert sdk.evaluation.jobs.download_logs(str(job.id))
    assert [each.id for each in sdk.evaluation.results.list(filter={"job_id": str(job.id)})] == [result.id]
    listed = sdk.evaluation.jobs.list(filter={"config": "tests/tags", "status": "completed"})
    assert [each.id for each in listed] == [job.id]
    sdk.evaluation.jobs.delete(str(job.id))
    with pytest.raises(NotFoundError):
        sdk.evaluation.jobs.retrieve(str(job.id))


def test_an_endpoint_written_into_a_job_becomes_an_entity_without_showing_its_key(
    sdk: NeMoMicroservices, stack: ServedStack
) -> None:
    endpoint = {
        "url": f"{stack.thread.inference_url}/v1/completions",
        "model_id": ADAPTER,
        "api_key": "secret-key",
    }
    config = chat_config(limit_samples=2)
    config["tasks"]["tags"] |= {
        "type": "completion",
        "params": {"template": {"prompt": "{{item.prompt}}", "max_tokens": 2}},
    }
    job = sdk.evaluation.jobs.create(
        config=config,  # type: ignore[arg-type]
        target={"type": "model", "model": {"api_endpoint": endpoint}},  # type: ignore[typeddict-item]
    )
    done = finished(sdk, str(job.id))
    assert done.status == "completed", done.status_details
    assert "secret-key" not in done.to_json()
    assert done.target.namespace == "default"
    assert done.target.name == done.target.id
    assert sdk.evaluation.targets.retrieve(str(done.target.name), namespace="default").type == "model"
    dataset = done.config.tasks["tags"].dataset.to_dict()
    assert dataset["id"].startswith("dataset-")
    raw = httpx.get(f"{stack.thread.platform_url}/v1/evaluation/jobs/{job.id}").json()
    assert raw["target"]["rag"] is None
    assert raw["target"]["model"]["spec"] is None
    assert raw["target"]["model"]["api_endpoint"]["format"] == "nim"
    assert raw["config"]["groups"] is None
    assert raw["config"]["params"]["top_p"] is None
    assert raw["config"]["tasks"]["tags"]["dataset"]["split"] is None
    assert done.status_details.samples_processed == 2


def test_a_name_given_to_a_config_in_a_job_is_kept_each_time(stack: ServedStack) -> None:
    url = stack.thread.platform_url
    check = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "1"]}}

    def submitted(key: str) -> dict[str, Any]:
        task = {"type": "data", "metrics": {key: check}}
        config = {"type": "custom", "name": "my-eval", "tasks": {"qa": task}}
        target = {"type": "rows", "rows": [{"output": "1"}]}
        answer = httpx.post(f"{url}/v1/evaluation/jobs", json={"config": config, "target": target})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    first, again = submitted("one"), submitted("two")
    assert first["config"]["name"] == again["config"]["name"] == "my-eval"
    assert first["config"]["id"] != again["config"]["id"]
    assert "two" in again["config"]["tasks"]["qa"]["metrics"]
    kept = httpx.get(f"{url}/v1/evaluation/configs/default/my-eval").json()
    assert "one" in kept["tasks"]["qa"]["metrics"]


def test_recorded_outputs_are_compared_without_a_model(sdk: NeMoMicroservices) -> None:
    kinds = {"accuracy", "em", "f1", "rouge", "bleu"}
    job = sdk.evaluation.jobs.create(
        config={
            "type": "similarity_metrics",
            "tasks": {"default": {"type": "default", "metrics": {kind: {"type": kind} for kind in kinds}}},
        },
        target={
            "type": "cached_outputs",
            "cached_outputs": {"files_url": "hf://datasets/tests/rows/outputs.json"},
        },
    )
    done = finished(sdk, str(job.id))
    assert done.status == "completed", done.status_details
    scores = sdk.evaluation.jobs.results(str(job.id)).to_dict()["tasks"]["default"]["metrics"]
    assert scores["em"]["scores"]["em"]["value"] == 0.5
    assert scores["accuracy"]["scores"]["accuracy"]["value"] == 0
    assert scores["bleu"]["scores"] == {"bleu_score": {"value": 0.0}}
    assert set(scores["rouge"]["scores"]["rouge_1_score"]) == {"value"}


def test_similarity_metrics_ask_a_model_where_there_is_one(sdk: NeMoMicroservices) -> None:
    job = sdk.evaluation.jobs.create(
        config={
            "type": "similarity_metrics",
            "params": {"max_tokens": 2, "temperature": 0.0},
            "tasks": {
                "default": {
                    "type": "default",
                    "dataset": {"files_url": "hf://datasets/tests/rows/testing/test.jsonl", "limit": 3},
                    "metrics": {"em": {"type": "em"}, "rouge": {"type": "rouge"}},
                }
            },
        },
        target={"type": "model", "model": ADAPTER},
    )
    done = finished(sdk, str(job.id))
    assert done.status == "completed", done.status_details
    scores = sdk.evaluation.jobs.results(str(job.id)).to_dict()["tasks"]["default"]["metrics"]
    assert scores["em"]["scores"]["em"] == {"value": 0.0}
    archive = zipfile.ZipFile(io.BytesIO(sdk.evaluation.jobs.download_results(str(job.id)).read()))
    rows = [json.loads(line) for line in archive.read("rows.jsonl").splitlines()]
    assert all(row["sample"]["response"]["model"] == ADAPTER for row in rows)


def test_tasks_are_put_together_to_groups(sdk: NeMoMicroservices) -> None:
    check = {"type": "accuracy", "params": {"ground_truth": "{{reference}}"}}
    dataset = {"files_url": "hf://datasets/tests/rows/outputs.json"}
    tasks = {name: {"type": "data", "metrics": {"right": check}} for name in ("first", "second")}
    job = sdk.evaluation.jobs.create(
        config={
            "type": "custom",
            "tasks": tasks,
            "groups": {"all": {"tasks": ["first", "second"], "metrics": {"right": {"type": "accuracy"}}}},
        },
        target={"type": "dataset", "dataset": dataset},
    )
    done = finished(sdk, str(job.id))
    assert done.status == "completed", done.status_details
    result = sdk.evaluation.jobs.results(str(job.id)).to_dict()
    together = result["groups"]["all"]["metrics"]["right"]["scores"]["accuracy"]
    parts = [task["metrics"]["right"]["scores"]["accuracy"] for task in result["tasks"].values()]
    assert together["stats"]["count"] == sum(part["stats"]["count"] for part in parts)
    assert together["value"] == pytest.approx(
        sum(part["stats"]["sum"] for part in parts) / together["stats"]["count"]
    )


def test_live_evaluation_answers_at_once_and_keeps_nothing(sdk: NeMoMicroservices) -> None:
    rows = [
        {"input": "2+2", "output": "4", "reference": "4"},
        {"input": "1+1", "output": "3", "reference": "2"},
    ]
    check = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "{{reference}}"]}}
    number = {"type": "number-check", "params": {"check": ["{{item.output}}", ">", "{{reference}}"]}}
    before = len(list(sdk.evaluation.jobs.list()))
    live = sdk.evaluation.live(
        target={"type": "rows", "rows": rows},
        config={"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"c": check, "n": number}}}},
    )
    assert live.status == "completed"
    assert live.result is not None
    assert (live.result.id or "").startswith("evaluation_result-")
    assert live.result.namespace == "default"
    assert live.result.created_at is not None
    found = live.to_dict()["result"]["tasks"]["qa"]["metrics"]
    assert found["c"]["scores"]["string-check"]["value"] == 0.5
    assert found["n"]["scores"]["number-check"]["value"] == 0.5
    assert len(list(sdk.evaluation.jobs.list())) == before


def test_a_judge_s_answers_become_scores(sdk: NeMoMicroservices) -> None:
    judge = {
        "type": "llm-judge",
        "params": {
            "model": ADAPTER,
            "template": {
                "messages": [{"role": "user", "content": "Rate {{item.output}}"}],
                "max_tokens": 12,
                "nvext": {"guided_regex": "rating: [1-5]"},
            },
            "scores": {
                "quality": {"type": "int", "parser": {"type": "regex", "pattern": r"rating: (\d)"}},
                "missing": {"type": "int", "parser": {"type": "regex", "pattern": r"nothing (\d)"}},
            },
        },
    }
    live = sdk.evaluation.live(
        target={"type": "rows", "rows": [{"output": "law"}, {"output": "lease"}]},
        config={"type": "custom", "tasks": {"judged": {"type": "data", "metrics": {"judge": judge}}}},
    )
    assert live.status == "completed", live.status_details
    scores = live.to_dict()["result"]["tasks"]["judged"]["metrics"]["judge"]["scores"]
    assert 1 <= scores["quality"]["value"] <= 5
    assert scores["missing"]["stats"]["nan_count"] == 2


@pytest.mark.parametrize(
    "change, status, words",
    [
        ({"dataset": {"files_url": "hf://datasets/tests/missing/x.jsonl"}}, "failed", "not"),
        ({"dataset": {"files_url": "hf://datasets/tests/rows"}}, "failed", "several files"),
        ({"params": {"template": user("{{item.nope}}")}}, "failed", "nope"),
        ({"params": {"template": user("{{ ''.__class__.__mro__ }}")}}, "failed", "unsafe"),
        ({"params": {"template": {"messages": "{{ [] | tojson }}"}}}, "failed", "rejected"),
    ],
)
def test_what_goes_wrong_fails_the_job_with_a_reason(
    sdk: NeMoMicroservices, change: dict[str, Any], status: str, words: str
) -> None:
    config = chat_config()
    config["tasks"]["tags"] |= change
    job = sdk.evaluation.jobs.create(config=config, target={"type": "model", "model": ADAPTER})  # type: ignore[arg-type]
    done = finished(sdk, str(job.id))
    assert done.status == status
    assert words in done.status_details.message
    with pytest.raises(NotFoundError):
        sdk.evaluation.jobs.results(str(job.id))


def test_what_is_not_offered_is_refused_at_once(stack: ServedStack) -> None:
    url = f"{stack.thread.platform_url}/v1/evaluation/jobs"
    target = {"type": "model", "model": ADAPTER}
    unknown_task = {"type": "custom", "tasks": {"x": {"type": "y"}}}
    for config in ({"type": "retriever"}, {"type": "custom"}, unknown_task):
        answer = httpx.post(url, json={"config": config, "target": target})
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"]
    assert httpx.post(url, json={"config": "tests/none", "target": target}).status_code == 404
    assert httpx.post(url, json={"target": target}).status_code == 422


def test_a_cancelled_job_ends_soon(sdk: NeMoMicroservices) -> None:
    config = chat_config(parallelism=1)
    template = config["tasks"]["tags"]["params"]["template"]
    template |= {"max_tokens": 400, "ignore_eos": True, "nvext": {}}
    job = sdk.evaluation.jobs.create(config=config, target={"type": "model", "model": ADAPTER})  # type: ignore[arg-type]
    sdk.evaluation.jobs.cancel(str(job.id))
    done = finished(sdk, str(job.id))
    assert done.status == "cancelled"


def test_a_short_job_does_not_wait_for_a_long_one(sdk: NeMoMicroservices) -> None:
    # Nobody answers there, and it is asked again and again.
    nowhere = {"url": "http://127.0.0.1:9/v1/chat/completions", "model_id": "tests/none"}
    long = sdk.evaluation.jobs.create(
        config=chat_config(max_retries=1000),  # type: ignore[arg-type]
        target={"type": "model", "model": {"api_endpoint": nowhere}},  # type: ignore[typeddict-item]
    )
    wait_for(lambda: sdk.evaluation.jobs.retrieve(str(long.id)).status == "running", 30)
    check = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "1"]}}
    short = sdk.evaluation.jobs.create(
        config={"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"c": check}}}},
        target={"type": "rows", "rows": [{"output": "1"}]},
    )
    assert finished(sdk, str(short.id)).status == "completed"
    assert sdk.evaluation.jobs.retrieve(str(long.id)).status == "running"
    sdk.evaluation.jobs.cancel(str(long.id))
    assert finished(sdk, str(long.id)).status == "cancelled"


def test_a_job_interrupted_by_a_stop_starts_over(tmp_path: Path) -> None:
    rows = [{"output": str(number), "reference": "1"} for number in range(3)]
    check = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "{{reference}}"]}}
    body = {
        "target": {"type": "rows", "rows": rows},
        "config": {"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"c": check}}}},
    }
    options = StackOptions(refresh_interval=0.1)
    with StackThread(tmp_path / "stack", options=options) as thread:
        state = thread.stack.services[-1].state
        job = state.job_create(body)  # stored, but never handed to the runner: as after a kill
        url = f"{thread.platform_url}/v1/evaluation/jobs/{job['id']}"
        assert httpx.get(url).json()["status"] == "created"
    with StackThread(tmp_path / "stack", options=options) as thread:
        url = f"{thread.platform_url}/v1/evaluation/jobs/{job['id']}"
        wait_for(lambda: httpx.get(url).json()["status"] == "completed")
