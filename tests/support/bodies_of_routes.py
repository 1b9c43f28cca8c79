"""A valid request for every route of the embedded stack that reads a body, with its prerequisites."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx

Port = Literal["platform", "data_store", "inference"]
BASE_CONFIG = "huggingfacetb/smollm2-135m-instruct@v1.0.0+cpu"
NDJSON = {"Content-Type": "application/x-ndjson"}

_ROWS = b'{"prompt": "law question", "completion": " tags"}\n' * 4
_OWNED = {"ownership": {"created_by": "a", "access_policies": {"b": "c"}}, "custom_fields": {"a": "b"}}
_COMMON = {**_OWNED, "description": "d", "project": "p"}
_LFS = {"oid": "a" * 64, "size": 10}
_ENDPOINT = {"url": "http://127.0.0.1:9/v1", "model_id": "m", "api_key": "k", "format": "nim"}
_TARGET = {
    "num_parameters": 1000,
    "precision": "fp32",
    "base_model": "a/b",
    "model_uri": "hf://fuzz/rows",
    "model_path": "x",
    "hf_endpoint": "http://localhost/v1/hf",
    "enabled": False,
    "tokenizer": {"a": 1},
    **_COMMON,
}
_OPTION = {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
_POD = {
    "annotations": {"a": "b"},
    "node_affinity": {"a": {"b": []}},
    "tolerations": [{"key": "k", "tolerationSeconds": 1}],
}
_CONFIG = {
    "max_seq_length": 128,
    "training_options": [_OPTION],
    "target": "fuzz/there",
    "prompt_template": "{prompt} {completion}",
    "chat_prompt_template": "{{ messages }}",
    "dataset_schemas": [{"a": {}}],
    "pod_spec": _POD,
    "training_precision": "fp32",
    **_COMMON,
}
_CHANGED_CONFIG = {name: value for name, value in _CONFIG.items() if name != "target"} | {
    "add_training_options": [_OPTION],
    "remove_training_options": [{"training_type": "sft", "finetuning_type": "lora"}],
}
_JOB = {
    "config": BASE_CONFIG,
    "dataset": {"namespace": "fuzz", "name": "there"},
    "hyperparameters": {
        "training_type": "sft",
        "finetuning_type": "lora",
        "epochs": 1,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "max_steps": 2,
        "val_check_interval": 0.5,
        "log_every_n_steps": 1,
        "weight_decay": 0.1,
        "seed": 3,
        "sequence_packing_enabled": False,
        "lora": {"adapter_dim": 4, "alpha": 8, "adapter_dropout": 0.1, "target_modules": ["q_proj"]},
    },
    "dataset_parameters": {"tools": [{"a": 1}], "num_hard_negatives": 1},
    "integrations": [{"type": "wandb", "wandb": {"project": "p", "tags": ["a"]}}],
    "name": "job",
    "namespace": "fuzz",
    **_COMMON,
}
_INLINE = {**_CONFIG, "target": _TARGET}
_DEPLOYMENT_CONFIG = {
    "model": {"name": "there", "namespace": "fuzz"},
    "nim_deployment": {"image_name": "a", "image_tag": "b", "gpu": 1, "additional_envs": {"a": "b"}},
    **_COMMON,
}
_EXTERNAL = {"external_endpoint": {"host_url": "http://a/v1", "api_key": "k", "enabled_models": ["a/b"]}}
_DEPLOYMENT = {"config": _DEPLOYMENT_CONFIG, "models": ["fuzz/there"], "hf_token": "t", **_COMMON}
_JUDGE = {
    "type": "llm-judge",
    "params": {
        "model": {"api_endpoint": _ENDPOINT},
        "template": {"messages": [{"role": "user", "content": "{{ item.reference }}"}], "max_tokens": 4},
        "scores": {"good": {"type": "int", "parser": {"type": "regex", "pattern": "([0-9])"}}},
    },
}
_METRICS = {
    "string": {"type": "string-check", "params": {"check": ["{{output}}", "equals", "{{reference}}"]}},
    "number": {
        "type": "number-check",
        "params": {"check": ["1", "absolute difference", "2"], "epsilon": 0.5},
    },
    "em": {"type": "em", "params": {"ground_truth": "{{reference}}"}},
    "f1": {"type": "f1", "params": {"ground_truth": "{{reference}}", "prediction": "{{output}}"}},
    "bleu": {"type": "bleu", "params": {"references": ["{{reference}}"]}},
    "rouge": {"type": "rouge", "params": {"ground_truth": "{{reference}}"}},
    "tools": {"type": "tool-calling", "params": {"tool_calls_ground_truth": "{{ item.calls | tojson }}"}},
}
_CALLS = [{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]
_ROW = {"output": "a b", "reference": "a", "calls": _CALLS, "prompt": "p"}
_EVALUATED = {"type": "rows", "rows": [_ROW]}
_MODEL = {"type": "model", "model": {"api_endpoint": _ENDPOINT}}
_PARAMS = {
    "parallelism": 1,
    "request_timeout": 1,
    "max_retries": 0,
    "limit_samples": 1,
    "max_tokens": 1,
    "temperature": 0.1,
    "top_p": 0.5,
    "stop": ["a"],
    "extra": {"top_k": 1},
}
_GROUPS = {"all": {"tasks": ["t"], "metrics": {"em": _METRICS["em"]}, "groups": {"g": {"tasks": ["t"]}}}}
_DATA = {
    "type": "custom",
    "params": _PARAMS,
    "tasks": {"t": {"type": "data", "metrics": _METRICS}},
    "groups": _GROUPS,
    **_COMMON,
}
# Without the metrics whose libraries take seconds to import.
_QUICK = {
    **_DATA,
    "tasks": {
        "t": {
            "type": "data",
            "metrics": {k: v for k, v in _METRICS.items() if k not in ("bleu", "rouge")},
        }
    },
}
_ASKING = {
    "type": "custom",
    "params": _PARAMS,
    "tasks": {
        "t": {
            "type": "chat-completion",
            "dataset": {"files_url": "hf://datasets/fuzz/rows/training/a.jsonl", "limit": 1},
            "params": {"template": {"messages": [{"role": "user", "content": "{{item.prompt}}"}]}},
            "metrics": {"em": _METRICS["em"], "judge": _JUDGE},
        }
    },
}
_SCORE = {"value": 0.5, "stats": {"count": 2}}
_SCORES = {"t": {"metrics": {"em": {"scores": {"em": _SCORE}}}, "data": {"a": 1}}}
_SAMPLING = {
    "model": "fuzz/none",
    "max_tokens": 4,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 1,
    "seed": 1,
    "stop": ["x"],
    "stream": False,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "ignore_eos": False,
    "user": "u",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A valid request.

    Args:
        port: the port to send it to.
        method: the HTTP method.
        route: the path in the OpenAPI document.
        body: the body; a list is sent as JSON Lines if ``lines`` is true.
        names: values of the path parameters.
        lines: whether to send JSON Lines.
        status: the expected status of the first, unmodified request.
    """

    port: Port
    method: str
    route: str
    body: Any
    names: tuple[tuple[str, str], ...] = ()
    lines: bool = False
    status: int = 200

    @property
    def path(self) -> str:
        """The path with its parameters."""
        names = {"namespace": "fuzz", "name": "there", "repo": "rows", "result": "{result}"}
        return self.route.format_map({**names, **dict(self.names)})


def _entities(port: Port, path: str, body: Any, changed: Any = None) -> list[Example]:
    return [
        Example(port, "POST", path, body),
        Example(port, "PATCH", f"{path}/{{namespace}}/{{name}}", changed or body),
    ]


def _repository(kind: str) -> list[Example]:
    api, prefix = f"/v1/hf/api/{kind}s/{{namespace}}/{{repo}}", "datasets/" if kind == "dataset" else ""
    main = (("revision", "main"), ("branch", "b"))
    content = {"path": "b.txt", "content": "YQ==", "encoding": "base64"}
    lines = [
        {"key": "header", "value": {"summary": "s", "description": "d", "parentCommit": None}},
        {"key": "file", "value": content},
        {"key": "file", "value": {**content, "path": "c/d.txt", "encoding": "utf-8"}},
        {"key": "lfsFile", "value": {"path": "l", "algo": "sha256", **_LFS}},
        {"key": "deletedFile", "value": {"path": "none"}},
    ]
    announced = {"files": [{"path": "a", "size": 3, "sample": "YQ=="}], "gitAttributes": "x"}
    batch = {"operation": "upload", "objects": [_LFS], "transfers": ["basic"], "ref": {"name": "main"}}
    objects = f"/v1/hf/{prefix}{{namespace}}/{{repo}}.git/info/lfs/objects/batch"
    return [
        Example("data_store", "POST", api + "/preupload/{revision}", announced, main),
        Example("data_store", "POST", api + "/commit/{revision}", lines, main, lines=True, status=400),
        Example("data_store", "POST", api + "/paths-info/{revision}", {"paths": ["training"]}, main),
        Example("data_store", "POST", api + "/tag/{revision}", {"tag": "t"}, main),
        Example("data_store", "POST", api + "/branch/{branch}", {"startingPoint": "main"}, main),
        Example("data_store", "POST", objects, batch),
    ]


def _embedded(request: dict[str, Any]) -> list[Example]:
    model = request["model"]
    guided = {"guided_choice": ["a", "b"], "nvext": {"guided_choice": ["a"]}, "logit_bias": {"1": 1.0}}
    chat = {
        "messages": [
            {"role": "system", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}], "name": "n"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "i", **_CALLS[0]}]},
        ],
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 3,
    }
    tokens = {"prompt": [[1, 2], [3]]}
    prompt = {"prompt": ["a", "b"], "logprobs": 1, "echo": False, "suffix": "", "best_of": 1}
    inputs = {"input": ["a", "b"], "input_type": "query", "encoding_format": "float", "truncate": "END"}
    return [
        Example("inference", "POST", "/v1/completions", {**request, **prompt}, status=404),
        Example("inference", "POST", "/v1/completions", {**request, **tokens, **guided}, status=404),
        Example("inference", "POST", "/v1/chat/completions", {**request, **chat}, status=404),
        Example(
            "inference",
            "POST",
            "/v1/embeddings",
            {"model": model, "dimensions": 4, "user": "u", **inputs},
            status=501,
        ),
    ]


EXAMPLES: list[Example] = [
    Example("platform", "POST", "/v1/namespaces", {"id": "made", **_COMMON}),
    Example("platform", "PATCH", "/v1/namespaces/{name}", _COMMON, (("name", "fuzz"),)),
    *_entities("platform", "/v1/projects", _OWNED),
    *_entities(
        "platform",
        "/v1/datasets",
        {"files_url": "hf://datasets/fuzz/rows", "format": "json", "limit": 3, "split": "s", **_COMMON},
    ),
    *_entities(
        "platform",
        "/v1/models",
        {
            "base_model": {"name": "a", "namespace": "b"},
            "artifact": {"files_url": "hf://fuzz/rows", "status": "created", "precision": "fp32"},
            "spec": {"num_parameters": 1, "context_size": 2},
            "peft": {"finetuning_type": "lora"},
            "api_endpoint": _ENDPOINT,
            "prompt": {"system_prompt": "s", "icl_few_shot_examples": "e"},
            **_COMMON,
        },
    ),
    *_entities("platform", "/v1/deployment/configs", {**_DEPLOYMENT_CONFIG, **_EXTERNAL}),
    *_entities("platform", "/v1/deployment/model-deployments", _DEPLOYMENT),
    *_entities("platform", "/v1/customization/targets", _TARGET),
    *_entities("platform", "/v1/customization/configs", _CONFIG, _CHANGED_CONFIG),
    Example("platform", "POST", "/v1/customization/jobs", _JOB),
    Example("platform", "POST", "/v1/customization/jobs", {**_JOB, "config": _INLINE}, status=400),
    *_entities("platform", "/v1/evaluation/targets", {**_MODEL, **_EVALUATED, **_COMMON}),
    *_entities("platform", "/v1/evaluation/configs", _DATA),
    Example("platform", "POST", "/v1/evaluation/jobs", {"config": _ASKING, "target": _MODEL, **_COMMON}),
    Example("platform", "POST", "/v1/evaluation/results", {"job": "j", "tasks": _SCORES, "groups": _SCORES}),
    Example("platform", "PATCH", "/v1/evaluation/results/{result}", {"tasks": _SCORES, **_COMMON}),
    Example("platform", "POST", "/v1/evaluation/live", {"config": _QUICK, "target": _EVALUATED}),
    Example("platform", "POST", "/v1/evaluation/live", {"config": _ASKING, "target": _MODEL}),
    Example(
        "platform",
        "POST",
        "/v2/evaluation/jobs",
        {"name": "j", "namespace": "fuzz", "spec": {"config": _QUICK, "target": _EVALUATED}, **_COMMON},
    ),
    Example("data_store", "POST", "/v1/datastore/namespaces", {"namespace": "made"}, status=201),
    Example("data_store", "POST", "/v1/datastore/namespaces/", {"namespace": "made"}, status=409),
    Example(
        "data_store",
        "POST",
        "/v1/hf/api/repos/create",
        {"organization": "fuzz", "name": "made", "type": "dataset", "private": False},
    ),
    Example(
        "data_store",
        "DELETE",
        "/v1/hf/api/repos/delete",
        {"organization": "fuzz", "name": "none", "type": "model"},
        status=404,
    ),
    Example("data_store", "POST", "/v1/hf/api/validate-yaml", {"content": "---", "repoType": "dataset"}),
    Example("data_store", "POST", "/v1/hf/lfs/verify", _LFS, status=404),
    *_repository("dataset"),
    *_repository("model"),
    *_embedded(_SAMPLING),
]


def prepare(url: Callable[[Port], str], http: httpx.Client) -> None:
    """Create what the examples refer to."""
    platform, store = url("platform"), url("data_store")
    http.post(f"{platform}/v1/namespaces", json={"id": "fuzz"}).raise_for_status()
    http.post(f"{store}/v1/datastore/namespaces", data={"namespace": "fuzz"}).raise_for_status()
    for kind in ("dataset", "model"):
        made = {"organization": "fuzz", "name": "rows", "type": kind}
        http.post(f"{store}/v1/hf/api/repos/create", json=made).raise_for_status()
    lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "rows"}}]
    for path in ("training/a.jsonl", "validation/a.jsonl"):
        content = base64.b64encode(_ROWS).decode()
        lines.append({"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}})
    sent = "\n".join(map(json.dumps, lines))
    commit = f"{store}/v1/hf/api/datasets/fuzz/rows/commit/main"
    http.post(commit, content=sent, headers=NDJSON).raise_for_status()
    for example in EXAMPLES:
        if example.method == "POST" and f"{example.route}/{{namespace}}/{{name}}" in _CHANGED:
            body = {**example.body, "name": "there", "namespace": "fuzz"}
            http.post(f"{platform}{example.path}", json=body).raise_for_status()


_CHANGED = {example.route for example in EXAMPLES if example.method == "PATCH"}
