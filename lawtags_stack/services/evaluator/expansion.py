"""Expands configs and targets to the full form that a job shows, with ids and nulls.

The forms and the field order are those of recorded responses of the real service.
"""

from __future__ import annotations

from collections.abc import Callable

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.http import new_id

_ENTITY = (
    "schema_version", "id", "description", "type_prefix", "namespace", "project", "created_at", "updated_at",
    "custom_fields", "ownership", "name",
)  # fmt: skip
_TARGET = (*_ENTITY, "type", "cached_outputs", "model", "retriever", "rag", "rows", "dataset")
_CONFIG = (*_ENTITY, "type", "params", "tasks", "groups")
_VERSIONED = (*_ENTITY, "version_id", "version_tags")
_DATASET = (*_VERSIONED, "format", "files_url", "hf_endpoint", "split", "limit")
_MODEL = (*_VERSIONED, "spec", "artifact", "base_model", "api_endpoint", "peft", "prompt", "guardrails")
_PARAMS = (
    "parallelism", "request_timeout", "max_retries", "limit_samples", "max_tokens", "temperature", "top_p",
    "stop", "extra",
)  # fmt: skip
_TASK = ("type", "params", "metrics", "dataset")
_ENDPOINT = ("url", "model_id", "api_key", "format")


def identified(entity: JsonObject, *, now: str) -> JsonObject:
    """Add ids to the inline datasets and models of a config or target.

    Args:
        entity: the config or target, as sent or stored.
        now: creation time of these parts.
    """

    def part(value: JsonValue, prefix: str, type_prefix: str | None) -> JsonValue:
        if not isinstance(value, dict) or "id" in value:
            return value
        identity = new_id(prefix)
        return {
            "schema_version": "1.0",
            "id": identity,
            "type_prefix": type_prefix,
            "namespace": "default",
            "created_at": now,
            "updated_at": now,
            "custom_fields": {},
            "name": identity,
            "version_id": "main",
            "version_tags": [],
            **{name: each for name, each in value.items() if each is not None},
        }

    def task_with_part(task: JsonValue) -> JsonValue:
        if not isinstance(task, dict) or not task.get("dataset"):
            return task
        return {**task, "dataset": part(task["dataset"], "dataset", None)}

    found = {**entity}
    tasks = found.get("tasks")
    if isinstance(tasks, dict):
        found["tasks"] = {name: task_with_part(task) for name, task in tasks.items()}
    if found.get("dataset"):
        found["dataset"] = part(found["dataset"], "dataset", None)
    if found.get("model"):
        found["model"] = part(found["model"], "model", "model")
    return found


def expanded_target(target: JsonObject) -> JsonObject:
    """A target with all possible fields."""
    return _filled(target, _TARGET, model=_model, dataset=_dataset)


def expanded_config(config: JsonObject) -> JsonObject:
    """A config with all possible fields; the params of tasks and metrics are not expanded."""
    return _filled(config, _CONFIG, params=_params, tasks=_tasks)


def _params(value: JsonValue) -> JsonValue:
    return _filled(value, _PARAMS) if isinstance(value, dict) else value


def _tasks(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    return {
        name: _filled(task, _TASK, dataset=_dataset) if isinstance(task, dict) else task
        for name, task in value.items()
    }


def _dataset(value: JsonValue) -> JsonValue:
    return _filled(value, _DATASET) if isinstance(value, dict) else value


def _model(value: JsonValue) -> JsonValue:
    return _filled(value, _MODEL, api_endpoint=_endpoint) if isinstance(value, dict) else value


def _endpoint(value: JsonValue) -> JsonValue:
    return _filled({"format": "nim", **value}, _ENDPOINT) if isinstance(value, dict) else value


def _filled(
    given: JsonObject, fields: tuple[str, ...], **parts: Callable[[JsonValue], JsonValue]
) -> JsonObject:
    """All fields in order, null if missing, followed by other fields."""
    found = {name: given.get(name) for name in dict.fromkeys((*fields, *given))}
    for name, expand in parts.items():
        if found[name] is not None:
            found[name] = expand(found[name])
    return found
