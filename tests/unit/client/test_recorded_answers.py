"""Answers as real services gave them, with fields added, left out, or null: all of that is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lawtags_client.types.customizer import CustomizationJob, CustomizationStatusDetails
from lawtags_client.types.entity_store import Dataset, Model
from lawtags_client.types.evaluator import EvaluationJob, EvaluationResult
from lawtags_client.types.inference import ServedModel

JOB = {
    "id": "cust-FarcM8gwhL1XFDXQ57qGLL", "namespace": "default", "description": None, "project": None,
    "created_at": "2025-06-20T04:20:21.387984", "updated_at": "2025-06-20T04:20:21.387989",
    "config": "meta/llama-3.2-1b-instruct@v1.0.0+80GB",
    "config_snapshot": {
        "base_model": "meta/llama-3.2-1b-instruct", "precision": "bf16-mixed", "max_seq_length": 4096,
        "prompt_template": "{prompt} {completion}", "chat_prompt_template": None, "tokenizer": None,
        "training_option": {
            "training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "num_nodes": 1,
            "tensor_parallel_size": 1, "micro_batch_size": 1, "use_sequence_parallel": False,
        },
    },
    "dataset": "demo/reviews", "dataset_parameters": None,
    "hyperparameters": {
        "training_type": "sft", "finetuning_type": "lora", "epochs": 2, "batch_size": 16,
        "learning_rate": 0.0001, "weight_decay": None, "sequence_packing_enabled": False, "sft": None,
        "lora": {"adapter_dim": 32, "alpha": 16, "adapter_dropout": 0.1, "target_modules": None},
    },
    "output_model": "demo/reviews-lora@cust-FarcM8gwhL1XFDXQ57qGLL",
    "integrations": None, "ownership": None, "custom_fields": {}, "warnings": None, "status": "created",
    "status_details": {
        "created_at": "2025-06-20T04:20:22.061480", "elapsed_time": 0.0, "steps_completed": 0,
        "percentage_done": 0.0,
        "status_logs": [{"updated_at": "2025-06-20T04:20:22.061480", "message": "created"}],
    },
}  # fmt: skip
STATUS = {
    "status": "running", "created_at": "2025-06-20T04:20:22.061480",
    "updated_at": "2025-06-20T04:39:45.000000", "elapsed_time": 0.0, "percentage_done": 50.0,
    "epochs_completed": 1, "best_epoch": 1, "steps_completed": 219, "steps_per_epoch": 219,
    "train_loss": 0.0295, "val_loss": 0.0483,
    "metrics": {
        "keys": ["train_loss", "val_loss"],
        "metrics": {
            "train_loss": [{"step": 9, "timestamp": "2025-06-20T04:32:50.973138", "value": 1.8577}],
            "val_loss": [{"step": 218, "timestamp": "2025-06-20T04:39:44.782580", "value": 0.0483}],
        },
    },
    "status_logs": [{"updated_at": "2025-06-20T04:20:22", "message": "created", "detail": None}],
}  # fmt: skip
RESULT = {
    "created_at": "2025-06-20T05:10:11.111111", "id": "evaluation_result-B8PqbKeE9KrzMUxGRCcpF2",
    "job": "eval-6QisJKdfmRquYXdFBNBAD7", "namespace": "default", "files_url": None, "groups": {},
    "custom_fields": {},
    "tasks": {
        "sentiment": {
            "metrics": {
                "acc": {"scores": {"string-check": {"value": 0.92, "stats": {"count": 100, "sum": 92.0}}}}
            }
        }
    },
}  # fmt: skip
DATASET = {
    "created_at": "2025-06-20T03:56:40.123456", "updated_at": "2025-06-20T03:56:40.123459",
    "name": "reviews", "namespace": "demo", "description": "SFT data", "format": None,
    "files_url": "hf://datasets/demo/reviews", "hf_endpoint": None, "split": None, "limit": None,
    "id": "dataset-3G75hURMVmSLfNahcqQZd5", "project": "demo-project", "custom_fields": {},
}  # fmt: skip
MODEL = {
    "created_at": "2025-06-20T03:56:40.123456", "updated_at": "2025-06-20T03:56:40.123459",
    "name": "reviews@cust-BhMuWx96Q25LWXuTMbAGP9", "namespace": "demo", "description": "None",
    "spec": {"num_parameters": 1000000000, "context_size": 4096, "num_virtual_tokens": 0, "is_chat": True},
    "artifact": {
        "gpu_arch": "Ampere", "precision": "bf16-mixed", "tensor_parallelism": 1, "backend_engine": "nemo",
        "status": "upload_completed", "files_url": "hf://demo/reviews@cust-BhMuWx96Q25LWXuTMbAGP9",
    },
    "base_model": "meta/llama-3.2-1b-instruct", "peft": {"finetuning_type": "lora"},
    "schema_version": "1.0", "custom_fields": {},
}  # fmt: skip
PERMISSION = {"id": "modelperm-7ad2", "object": "model_permission", "group": None, "is_blocking": False}
SERVED = {
    "id": "demo/reviews@cust-B", "object": "model", "created": 1745354426, "owned_by": "system",
    "root": "hf://demo/reviews@cust-B", "parent": "meta/llama-3.2-1b-instruct", "max_model_len": None,
    "permission": [PERMISSION],
}  # fmt: skip
ENTITY = {
    "schema_version": "1.0", "description": None, "namespace": "default", "project": None,
    "created_at": "2025-07-08T19:28:46.640661", "updated_at": "2025-07-08T19:28:46.640663",
    "custom_fields": {}, "ownership": None,
}  # fmt: skip
EVALUATION = {
    "created_at": "2025-07-08T19:28:46.640661", "updated_at": "2025-07-08T19:28:46.640663",
    "id": "eval-PLUWikEJpyH7WkcYj6sWZb", "namespace": "demo", "description": None, "project": None,
    "target": {
        **ENTITY, "id": "eval-target-G", "name": "chats", "type_prefix": "eval-target", "type": "model",
        "cached_outputs": None, "retriever": None, "rag": None, "rows": None, "dataset": None,
        "model": {
            **ENTITY, "id": "model-R", "name": "model-R", "type_prefix": "model", "version_id": "main",
            "version_tags": [], "spec": None, "artifact": None, "base_model": None, "peft": None,
            "prompt": None, "guardrails": None,
            "api_endpoint": {
                "url": "http://nim.test/v1", "model_id": "m", "api_key": "******", "format": "nim"
            },
        },
    },
    "config": {
        **ENTITY, "id": "eval-config-M", "name": "consults", "type_prefix": "eval-config", "type": "custom",
        "params": None, "groups": None,
        "tasks": {"sentiment": {"type": "chat-completion", "params": None, "metrics": None, "dataset": None}},
    },
    "result": "evaluation_result-1", "output_files_url": None, "status": "completed",
    "status_details": {"message": None, "task_status": {}, "progress": 100.0},
    "custom_fields": {}, "ownership": None,
}  # fmt: skip
RECORDED: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (CustomizationJob, JOB),
    (CustomizationStatusDetails, STATUS),
    (EvaluationResult, RESULT),
    (Dataset, DATASET),
    (Model, MODEL),
    (ServedModel, SERVED),
    (EvaluationJob, EVALUATION),
]
# What the API always gives, and names that its users chose.
NEEDED = {
    "id",
    "job",
    "files_url",
    "training_type",
    "finetuning_type",
    "type",
    "url",
    "model_id",
    "sentiment",
    "acc",
    "string-check",
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a field of any object stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def holder(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        value = value[step]
    return value


@pytest.mark.parametrize(("kind", "recorded"), RECORDED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_was_recorded_is_kept_whole(kind: type[BaseModel], recorded: dict[str, Any]) -> None:
    written = kind.model_validate(recorded).model_dump(mode="json")

    def covered(part: Any, whole: Any) -> bool:
        if isinstance(part, dict):
            return isinstance(whole, dict) and all(covered(v, whole.get(k)) for k, v in part.items())
        if isinstance(part, list):
            return isinstance(whole, list) and all(covered(p, w) for p, w in zip(part, whole, strict=True))
        # Null is read as empty where a list or a map belongs; times get their offset.
        if isinstance(part, str) and isinstance(whole, str) and part[:2] == "20":
            return datetime.fromisoformat(whole) == datetime.fromisoformat(part).replace(tzinfo=UTC)
        return part == whole or (part is None and not whole)

    assert covered(recorded, written)


@pytest.mark.parametrize(("kind", "recorded"), RECORDED, ids=lambda value: getattr(value, "__name__", ""))
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_new_missing_and_null_fields_are_accepted(
    kind: type[BaseModel], recorded: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(recorded)
    for _ in range(data.draw(st.integers(1, 4))):
        where = [path for path in places(changed) if path[-1] not in NEEDED]
        path = data.draw(st.sampled_from(where))
        inside, change = holder(changed, path), data.draw(st.sampled_from(["drop", "null", "add"]))
        if change == "drop":
            del inside[path[-1]]
        elif change == "null":
            inside[path[-1]] = None
        else:
            inside["x_new"] = {"of": [1, "later release"]}
    read = kind.model_validate(changed)
    if "x_new" in changed:
        assert read.model_extra is not None and read.model_extra["x_new"] == changed["x_new"]
