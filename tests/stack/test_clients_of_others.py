"""What clients of others send and read, against a stack that really trains and answers.

Each scenario goes through the requests of one published client in their order, on data of its own.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from nemo_microservices import NeMoMicroservices
from served_stack import wait_for
from shared_launcher import shared_launcher
from tiny_models import make_model
from tool_rows import TOOLS, asked, calls_of, tool_texts, write_test_rows, write_tool_rows

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

BASE = "test/tools"
TARGET = f"{BASE}@v1"
NAMESPACE = "flywheel"
FINAL = ("completed", "failed", "cancelled")
PATIENCE = 300.0
TRAINING = {
    "training_type": "sft",
    "finetuning_type": "all_weights",
    "epochs": 10,
    "batch_size": 3,
    "learning_rate": 0.01,
    "warmup_steps": 2,
}


class Tuned:
    """A running stack in which a model has learnt to call tools, through the requests of the data flywheel.

    Attributes:
        thread: the stack.
        http: its platform.
        job: the training job as it was created.
        status: its status at the end.
        model: what the tuned model is called.
    """

    def __init__(self, thread: StackThread, http: httpx.Client, folder: Path) -> None:
        self.thread = thread
        self.http = http
        self._create_namespaces()
        self._upload(folder)
        self.job = self._train()
        self.model = str(self.job["output_model"])
        self.status = self._trained()
        self._deploy()

    def namespaces(self) -> tuple[int, int]:
        """The answers to creating the namespace in both stores."""
        form = {"namespace": NAMESPACE}
        return (
            self.http.post("/v1/namespaces", json={"id": NAMESPACE}).status_code,
            httpx.post(f"{self.thread.data_store_url}/v1/datastore/namespaces", data=form).status_code,
        )

    def evaluated(self, config: Any, target: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A finished evaluation job and its result."""
        answer = self.http.post("/v1/evaluation/jobs", json={"config": config, "target": target})
        assert answer.status_code in (200, 201), answer.text
        path = f"/v1/evaluation/jobs/{answer.json()['id']}"
        wait_for(lambda: self.http.get(path).json()["status"] in FINAL, PATIENCE)
        job = self.http.get(path).json()
        assert job["status"] == "completed", job["status_details"]
        return job, self.http.get(f"{path}/results").json()

    def put_rows(self, path: str, rows: list[dict[str, Any]]) -> None:
        """Put a file of rows into the data set repository."""
        from huggingface_hub import HfApi

        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        api = HfApi(endpoint=f"{self.thread.data_store_url}/v1/hf", token="nothing")
        api.upload_file(
            path_or_fileobj=lines, path_in_repo=path, repo_id=f"{NAMESPACE}/rows", repo_type="dataset"
        )

    def _create_namespaces(self) -> None:
        assert self.namespaces() == (200, 201)

    def _upload(self, folder: Path) -> None:
        from huggingface_hub import HfApi

        write_tool_rows(folder / "training.jsonl", 24)
        write_tool_rows(folder / "validation.jsonl", 2, start=24)
        write_test_rows(folder / "testing.jsonl", 6, start=24)
        api = HfApi(endpoint=f"{self.thread.data_store_url}/v1/hf", token="nothing")
        api.create_repo(f"{NAMESPACE}/rows", repo_type="dataset")
        for part in ("training", "validation", "testing"):
            api.upload_file(
                path_or_fileobj=folder / f"{part}.jsonl",
                path_in_repo=f"{part}/{part}.jsonl",
                repo_id=f"{NAMESPACE}/rows",
                repo_type="dataset",
            )
        about = {"name": "rows", "namespace": NAMESPACE, "files_url": f"hf://datasets/{NAMESPACE}/rows"}
        assert self.http.get(f"/v1/datasets/{NAMESPACE}/rows").status_code == 404
        assert self.http.post("/v1/datasets", json={**about, "project": "flywheel"}).status_code == 200
        # A second upload sends the whole body again.
        assert self.http.patch(f"/v1/datasets/{NAMESPACE}/rows", json=about).status_code == 200
        assert self.http.get(f"/v1/datasets/{NAMESPACE}/rows").json()["files_url"] == about["files_url"]

    def _train(self) -> dict[str, Any]:
        option = {"training_type": "sft", "finetuning_type": "all_weights", "num_gpus": 1, "num_nodes": 1}
        config = {
            "name": "tools@v1",
            "namespace": NAMESPACE,
            "target": TARGET,
            "training_options": [{**option, "micro_batch_size": 1, "use_sequence_parallel": False}],
            "training_precision": "bf16-mixed",
            "max_seq_length": 512,
        }
        codes = [self.http.post("/v1/customization/configs", json=config).status_code for _ in range(2)]
        assert codes == [200, 409]
        body = {
            "name": "tools-run",
            "config": f"{NAMESPACE}/tools@v1",
            "dataset": {"name": "rows", "namespace": NAMESPACE},
            "output_model": f"{NAMESPACE}/tools",
            "hyperparameters": TRAINING,
        }
        answer = self.http.post("/v1/customization/jobs", json=body)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def _trained(self) -> dict[str, Any]:
        path = f"/v1/customization/jobs/{self.job['id']}"
        wait_for(lambda: self.http.get(f"{path}/status").json()["status"] in FINAL, PATIENCE)
        status: dict[str, Any] = self.http.get(f"{path}/status").json()
        assert status["status"] == "completed", status["status_logs"]
        self.job = self.http.get(path).json()
        return status

    def _deploy(self) -> None:
        nim = {"image_name": "nvcr.io/nim/test/tools", "image_tag": "1.8.3", "gpu": 1}
        body = {
            "name": "tools",
            "namespace": NAMESPACE,
            "config": {"model": self.model, "nim_deployment": nim},
        }
        assert self.http.post("/v1/deployment/model-deployments", json=body).status_code == 200
        listed = f"{self.thread.inference_url}/v1/models"
        wait_for(lambda: self.model in {each["id"] for each in httpx.get(listed).json()["data"]}, PATIENCE)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    folder = tmp_path_factory.mktemp("others")
    base = make_model(folder / "base", texts=tool_texts())
    options = StackOptions(
        base_models={BASE: base}, refresh_interval=0.1, training_threads=1, inference_threads=1
    )
    with (
        StackThread(folder / "stack", options=options, launcher=shared_launcher()) as thread,
        httpx.Client(base_url=thread.platform_url, timeout=60) as http,
    ):
        yield Tuned(thread, http, folder)


@pytest.fixture
def chats(tuned: Tuned) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{tuned.thread.inference_url}/v1", api_key="None", max_retries=0, timeout=PATIENCE
    ) as client:
        yield client


def called(message: Any) -> list[dict[str, Any]]:
    """The calls of a message as rows have them."""
    return [
        {
            "type": call.type,
            "function": {"name": call.function.name, "arguments": json.loads(call.function.arguments)},
        }
        for call in message.tool_calls or []
    ]


def test_existing_namespaces_and_the_history_of_a_job_read_as_recorded(tuned: Tuned) -> None:
    assert tuned.namespaces() == (409, 409)
    logs = {log["message"] for log in tuned.status["status_logs"]}
    assert {"created", "EntityHandler_0_Created", "EntityHandler_0_Completed"} <= logs
    assert {"TrainingJobCreated", "TrainingJobRunning", "TrainingJobCompleted"} <= logs
    warnings = [each["message"] for each in tuned.job["warnings"]]
    assert any("only 2 validation rows" in message for message in warnings)


@pytest.mark.parametrize("number", [24, 25, 26])
def test_a_trained_model_calls_the_right_tool(tuned: Tuned, chats: openai.OpenAI, number: int) -> None:
    answer = chats.chat.completions.create(
        model=tuned.model,
        messages=asked(number),  # type: ignore[arg-type]
        tools=TOOLS,  # type: ignore[arg-type]
        tool_choice="auto",
        temperature=0.0,
        max_tokens=128,
    )
    choice = answer.choices[0]
    assert called(choice.message) == calls_of(number)
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert (choice.message.tool_calls or [])[0].id.startswith("chatcmpl-tool-")


def test_a_stream_carries_the_same_call_in_deltas(tuned: Tuned, chats: openai.OpenAI) -> None:
    stream = chats.chat.completions.create(
        model=tuned.model,
        messages=asked(26),  # type: ignore[arg-type]
        tools=TOOLS,  # type: ignore[arg-type]
        temperature=0.0,
        max_tokens=128,
        stream=True,
    )
    name, arguments, text, reasons = "", "", "", []
    for chunk in stream:
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for call in choice.delta.tool_calls or []:
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    function = calls_of(26)[0]["function"]
    assert (name, json.loads(arguments)) == (function["name"], function["arguments"])
    assert (text, reasons) == ("", ["tool_calls"])


def test_the_choice_of_tools_holds_whatever_the_model_prefers(tuned: Tuned, chats: openai.OpenAI) -> None:
    def ask(**asking: Any) -> Any:
        body = {"tools": TOOLS, "temperature": 0.0, "max_tokens": 160, "model": tuned.model, **asking}
        return chats.chat.completions.create(**{"messages": asked(24), **body}).choices[0]

    other = {"type": "function", "function": {"name": "cite"}}
    named = ask(tool_choice=other)
    assert [call["function"]["name"] for call in called(named.message)] == ["cite"]
    assert named.finish_reason == "tool_calls"
    none = ask(tool_choice="none")
    assert not none.message.tool_calls
    assert "<tool_call>" not in none.message.content
    # Words that are far from all that it was trained on.
    required = ask(
        messages=[{"role": "user", "content": "?"}], tool_choice="required", parallel_tool_calls=False
    )
    assert len(called(required.message)) == 1
    history = [
        *asked(24),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [t.model_dump() for t in named.message.tool_calls],
        },
        {"role": "tool", "tool_call_id": named.message.tool_calls[0].id, "content": "Housing Act 1988"},
    ]
    assert ask(messages=history, max_tokens=4).finish_reason in ("stop", "length", "tool_calls")
    for wrong in (
        {"tool_choice": {"type": "function", "function": {"name": "unknown"}}},
        {"tool_choice": "some"},
    ):
        with pytest.raises(openai.BadRequestError):
            ask(**wrong)


def test_data_flywheel_scores_tool_calls_and_reads_the_archive(tuned: Tuned, tmp_path: Path) -> None:
    logged = [
        {
            "request": {"model": "teacher", "messages": asked(number), "tools": TOOLS},
            "response": {"choices": [{"message": {"role": "assistant", "tool_calls": calls_of(number)}}]},
            "workload_id": "w",
            "client_id": "c",
            "timestamp": 1,
        }
        for number in (24, 25, 26)
    ]
    tuned.put_rows("logged/eval.jsonl", logged)
    judge = {"api_endpoint": {"url": f"{tuned.thread.inference_url}/v1", "model_id": tuned.model}}
    words = (
        "{{item.response.choices[0].message.tool_calls}} {{sample.response.choices[0].message.tool_calls}}"
    )
    rating = {"type": "int", "parser": {"type": "regex", "pattern": r"RATING:\s*(\d+)"}}
    metrics = {
        "tool-calling-accuracy": {
            "type": "tool-calling",
            "params": {
                "model": judge,
                "tool_calls_ground_truth": "{{ item.response.choices[0].message.tool_calls | tojson }}",
            },
        },
        "correctness": {
            "type": "llm-judge",
            "params": {
                "model": judge,
                "template": {"messages": [{"role": "user", "content": words}], "max_tokens": 8},
                "scores": {"rating": rating},
            },
        },
    }
    template = {
        "messages": "{{ item.request.messages | tojson }}",
        "tools": "{{ item.request.tools | tojson }}",
        "tool_choice": "required",
        "temperature": 0.0,
    }
    task = {
        "type": "chat-completion",
        "dataset": {"files_url": f"hf://datasets/{NAMESPACE}/rows/logged/eval.jsonl", "limit": 3},
        "params": {"template": template},
        "metrics": metrics,
    }
    config = {"type": "custom", "tasks": {"custom-tool-calling": task}}
    job, result = tuned.evaluated(config, {"type": "model", "model": tuned.model})
    scores = result["tasks"]["custom-tool-calling"]["metrics"]
    accuracy = scores["tool-calling-accuracy"]["scores"]
    assert accuracy["function_name_accuracy"]["value"] == 1.0
    assert accuracy["function_name_and_args_accuracy"]["value"] == 1.0
    assert "rating" in scores["correctness"]["scores"]

    path = f"/v1/evaluation/jobs/{job['id']}"
    archive = tmp_path / "result.zip"
    archive.write_bytes(
        tuned.http.get(f"{path}/download-results", headers={"accept": "application/json"}).content
    )
    zipfile.ZipFile(archive).extractall(tmp_path / "out")
    found = [*(tmp_path / "out").glob("**/results.json")]
    assert [each.parent.name for each in found] == ["results"]
    rows = json.loads(found[0].read_text("utf-8"))["custom-tool-calling"]
    assert [row["item"]["workload_id"] for row in rows] == ["w"] * 3
    for row in rows:
        assert row["metrics"]["tool-calling-accuracy"]["scores"]["function_name_accuracy"]["value"] == 1.0
        assert row["sample"]["response"]["usage"]["total_tokens"] > 0
        assert row["sample"]["response"]["model"] == tuned.model
        assert row["requests"][0]["request"]["tool_choice"] == "required"
        assert len(row["requests"]) == 2  # the model, and then the judge
    assert tuned.http.delete(path).status_code in (200, 204)


def test_the_notebooks_on_tool_calling_evaluate_by_the_sdk(tuned: Tuned) -> None:
    template = {
        "messages": "{{ item.messages | tojson}}",
        "tools": "{{ item.tools | tojson }}",
        "tool_choice": "auto",
    }
    metric = {"type": "tool-calling", "params": {"tool_calls_ground_truth": "{{ item.tool_calls | tojson }}"}}
    task = {
        "type": "chat-completion",
        "params": {"template": template},
        "dataset": {"files_url": f"hf://datasets/{NAMESPACE}/rows/testing/testing.jsonl", "limit": 3},
        "metrics": {"tool-calling-accuracy": metric},
    }
    config: Any = {"type": "custom", "params": {"temperature": 0.0}, "tasks": {"custom-tool-calling": task}}
    url = tuned.thread.platform_url
    with NeMoMicroservices(base_url=url, inference_base_url=tuned.thread.inference_url) as sdk:
        # The operator's notebook names the path of completions, for a task of chats.
        endpoint = {"url": f"{tuned.thread.inference_url}/v1/completions", "model_id": tuned.model}
        target: Any = {"type": "model", "model": {"api_endpoint": endpoint}}
        job = sdk.evaluation.jobs.create(config=config, target=target)
        assert job.config.groups is None  # type: ignore[union-attr]
        wait_for(lambda: sdk.evaluation.jobs.retrieve(str(job.id)).status in FINAL, PATIENCE)
        results = sdk.evaluation.jobs.results(str(job.id)).to_dict()
        status = sdk.evaluation.jobs.status(str(job.id))
    scores: Any = results["tasks"]
    accuracy = scores["custom-tool-calling"]["metrics"]["tool-calling-accuracy"]["scores"]
    assert accuracy["function_name_and_args_accuracy"]["value"] == 1.0
    assert accuracy["function_name_accuracy"]["stats"]["count"] == 3
    assert status.task_status == {"custom-tool-calling": "completed"}


def test_live_evaluation_with_a_judge_at_a_base_address(tuned: Tuned) -> None:
    judge = {
        "api_endpoint": {"url": f"{tuned.thread.inference_url}/v1", "model_id": tuned.model, "api_key": "k"}
    }
    question = "SUMMARY: {{summary}} OF: {{content}}"
    template = {
        "messages": [{"role": "system", "content": "/no_think"}, {"role": "user", "content": question}],
        "nvext": {"guided_regex": "SCORE: [0-4]"},
        "max_tokens": 32,
    }
    score = {"type": "int", "parser": {"type": "regex", "pattern": "SCORE: (\\d)"}}
    metric = {
        "type": "llm-judge",
        "params": {"model": judge, "template": template, "scores": {"correct": score}},
    }
    body = {
        "config": {
            "type": "custom",
            "tasks": {"correctness": {"type": "data", "metrics": {"likert": metric}}},
        },
        "target": {"type": "rows", "rows": [{"ID": "C1", "content": "a lease", "summary": "lease"}]},
    }
    live = tuned.http.post("/v1/evaluation/live", json=body, timeout=PATIENCE).json()
    assert live["status"] == "completed", live["status_details"]
    result = live["result"]
    assert result["id"].startswith("evaluation_result-")
    assert result["job"].startswith("eval-")
    assert result["namespace"] == "default"
    assert result["created_at"] and result["updated_at"]
    scores = result["tasks"]["correctness"]["metrics"]["likert"]["scores"]["correct"]
    assert 0 <= scores["value"] <= 4
    assert scores["stats"]["count"] == 1


def test_the_notebook_on_judges_reads_a_folder_and_keeps_its_name(tuned: Tuned) -> None:
    tuned.put_rows("consults/first.jsonl", [{"content": "a lease"}])
    tuned.put_rows("consults/second.jsonl", [{"content": "a photo"}])
    template = {
        "messages": [{"role": "user", "content": "Sum up: {{ item.content }}"}],
        "max_tokens": 2,
    }
    check = {"type": "string-check", "params": {"check": ["{{ sample.output_text }}", "contains", ""]}}
    task = {
        "type": "chat-completion",
        "params": {"template": template},
        "dataset": {"files_url": f"hf://datasets/{NAMESPACE}/rows/consults/", "limit": 25},
        "metrics": {"any": check},
    }
    config = {"type": "custom", "name": "consult_summary", "tasks": {"summary": task}}
    url = f"{tuned.thread.inference_url}/v1/chat/completions"
    endpoint = {"url": url, "model_id": tuned.model, "api_key": "secret"}
    job, result = tuned.evaluated(config, {"type": "model", "model": {"api_endpoint": endpoint}})
    assert job["config"]["name"] == "consult_summary"
    assert job["config"]["namespace"] == "default"
    assert job["target"]["model"]["api_endpoint"]["api_key"] == "******"
    assert job["target"]["model"]["api_endpoint"]["format"] == "nim"
    assert job["target"]["cached_outputs"] is None
    assert job["config"]["params"] is None
    assert job["config"]["tasks"]["summary"]["dataset"]["version_tags"] == []
    assert result["tasks"]["summary"]["metrics"]["any"]["scores"]["string-check"]["stats"]["count"] == 2


def test_llama_stack_registers_a_benchmark_and_follows_jobs(tuned: Tuned) -> None:
    tuned.put_rows("squad/rows.jsonl", [{"question": "lease?", "answer": "a"}])
    metadata = {
        "type": "custom",
        "params": {"parallelism": 2},
        "tasks": {
            "qa": {
                "type": "completion",
                "params": {"template": {"prompt": "{{question}}", "max_tokens": 2}},
                "dataset": {"files_url": f"hf://datasets/{NAMESPACE}/rows/squad/rows.jsonl"},
                "metrics": {
                    "bleu": {"type": "bleu", "params": {"references": ["{{answer}}"]}},
                    "same": {
                        "type": "string-check",
                        "params": {"check": ["{{output_text}}", "equals", "{{sample.output_text}}"]},
                    },
                },
            }
        },
    }
    body = {"namespace": "nvidia", "name": "squad-qa", **metadata}
    assert tuned.http.post("/v1/evaluation/configs", json=body).status_code == 200
    _, result = tuned.evaluated("nvidia/squad-qa", {"type": "model", "model": tuned.model})
    scores = result["tasks"]["qa"]["metrics"]
    assert scores["same"]["scores"]["string-check"]["value"] == 1.0
    assert set(scores["bleu"]["scores"]) == {"sentence", "corpus"}

    query = {"page": 1, "page_size": 10, "sort": "created_at"}
    listed = tuned.http.get("/v1/customization/jobs", params=query).json()["data"]
    assert tuned.job["id"] in {each["id"] for each in listed}
    path = f"/v1/customization/jobs/{tuned.job['id']}/status"
    status = tuned.http.get(path, params={"job_id": tuned.job["id"]}).json()
    assert {
        "status",
        "created_at",
        "updated_at",
        "steps_completed",
        "metrics",
        "status_logs",
    } <= status.keys()


def test_the_agent_toolkit_submits_preference_pairs_and_models_are_listed_as_recorded(tuned: Tuned) -> None:
    pair = {"prompt": asked(1), "chosen_response": "housing", "rejected_response": "traffic"}
    tuned.put_rows("pairs/training/training_file.jsonl", 4 * [pair])
    tuned.put_rows("pairs/validation/validation_file.jsonl", [pair])
    dpo = {"ref_policy_kl_penalty": 0.1, "preference_loss_weight": 1.0, "sft_loss_weight": 0.0}
    body = {
        "config": f"{BASE}@v1.0.0+cpu",
        "dataset": {"files_url": f"hf://datasets/{NAMESPACE}/rows/pairs"},
        "hyperparameters": {
            "training_type": "dpo",
            "finetuning_type": "lora",
            "epochs": 3,
            "batch_size": 4,
            "learning_rate": 5e-5,
            "dpo": {**dpo, "preference_average_log_probs": False},
        },
        "output_model": f"{NAMESPACE}/preferred",
    }
    job = tuned.http.post("/v1/customization/jobs", json=body).json()
    assert job["hyperparameters"]["dpo"]["sft_loss_weight"] == 0.0
    assert tuned.http.post(f"/v1/customization/jobs/{job['id']}/cancel").status_code == 200
    query = {"filter[namespace]": NAMESPACE, "sort": "-created_at"}
    models = tuned.http.get("/v1/models", params=query).json()["data"]
    entity = next(each for each in models if each["name"] == job["output_model"].partition("/")[2])
    assert entity["peft"] == {"finetuning_type": "lora"}
    assert entity["spec"]["is_chat"] is True
    assert entity["schema_version"] == "1.0"
    assert entity["description"] == "None"
    assert entity["artifact"]["files_url"] == f"hf://{job['output_model']}"


def test_rows_for_embedding_models_are_refused_at_once(tuned: Tuned) -> None:
    row = {"query": "random fields", "pos_doc": "an introduction", "neg_doc": ["random forests"]}
    tuned.put_rows("triplets/training/training.jsonl", [row])
    body = {
        "config": f"{BASE}@v1.0.0+cpu",
        "dataset": f"hf://datasets/{NAMESPACE}/rows/triplets",
        "hyperparameters": {"finetuning_type": "all_weights", "epochs": 1, "batch_size": 256},
    }
    answer = tuned.http.post("/v1/customization/jobs", json=body)
    assert answer.status_code == 400
    assert "embedding" in answer.json()["detail"]
    assert "prompt and completion" in answer.json()["detail"]


def test_prompt_optimization_is_refused_with_what_is_offered(tuned: Tuned) -> None:
    optimizer = {"type": "miprov2", "instruction": "Rate.", "signature": "prompt -> score: int"}
    task = {"type": "prompt-optimization", "params": {"optimizer": optimizer}, "metrics": {}}
    config = {"type": "custom", "tasks": {"best": task}}
    body = {"config": config, "target": {"type": "model", "model": tuned.model}}
    answer = tuned.http.post("/v1/evaluation/jobs", json=body)
    assert answer.status_code == 400
    assert "optimize a prompt" in answer.json()["detail"]
    assert "chat-completion" in answer.json()["detail"]
