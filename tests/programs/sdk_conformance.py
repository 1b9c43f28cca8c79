"""Calls every method of the official SDK for the stack's services once, and tabulates the results.

``python tests/programs/sdk_conformance.py FILE`` writes the table to a file.
"""

from __future__ import annotations

import functools
import inspect
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from nemo_microservices import APIStatusError, NeMoMicroservices
from nemo_microservices import BaseModel as SdkModel
from nemo_microservices._resource import SyncAPIResource
from pydantic import ValidationError
from served_stack import ADAPTER, BASE, ServedStack, served_stack, wait_for
from tiny_models import make_adapter, make_model, write_rows

from lawtags_stack.chaos import ChaosPlan

SERVICES = {
    "Entity Store": ("namespaces", "projects", "datasets", "models"),
    "Customizer": ("customization",),
    "Evaluator": ("evaluation", "v2.evaluation"),
    "Deployment Management": ("deployment",),
    "Inference": ("chat", "completions", "embeddings", "classify", "inference"),
}
NO_GPU = ChaosPlan.model_validate({"schema_version": 1, "customizer": {"pending": 600}})
"""Jobs are submitted and cancelled; none needs to train."""

_ENDED = ("completed", "failed", "cancelled", "error")
_ROWS = [{"output": "a", "reference": "a"}, {"output": "b", "reference": "a"}]
_CHECK = {"type": "string-check", "params": {"check": ["{{output}}", "equals", "{{reference}}"]}}
_EVALUATION: Any = {
    "config": {"type": "custom", "tasks": {"qa": {"type": "data", "metrics": {"check": _CHECK}}}},
    "target": {"type": "rows", "rows": _ROWS},
}
_TARGET: Any = {"num_parameters": 135, "precision": "fp32", "model_uri": "hf://sdk/weights", "enabled": True}
_OPTION: Any = {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
_NIM: Any = {"image_name": "nim", "image_tag": "1", "gpu": 1}
_CHAT: Any = {"messages": [{"role": "user", "content": "lease"}], "model": ADAPTER, "max_tokens": 2}
_TEXT: Any = {"prompt": "Title: lease\nTags:", "model": ADAPTER, "max_tokens": 2}


@dataclass(slots=True)
class Outcome:
    """The outcome of one method: its name, the response, and what is wrong with it."""

    method: str
    answer: httpx.Response
    fault: str | None = None

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.answer.status_code

    @property
    def request(self) -> str:
        """The request that was sent."""
        return f"{self.answer.request.method} {self.answer.request.url.path}"

    @property
    def ok(self) -> bool:
        """Whether the call succeeded, and the response matches the SDK's types."""
        return self.status < 300 and self.fault is None


@dataclass
class Caller:
    """Calls methods of the SDK by name and records the outcomes."""

    sdk: NeMoMicroservices
    sent: list[httpx.Response] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method; returns its result, or ``None`` if it failed."""
        *path, name = method.split(".")
        resource: Any = functools.reduce(getattr, path, self.sdk)
        self.sent.clear()
        try:
            answer = getattr(resource, name)(*arguments, **named)
        except APIStatusError:
            self.outcomes.append(Outcome(method, self.sent[0]))
            return None
        self.outcomes.append(Outcome(method, self.sent[0], _fault(answer)))
        return answer


def _fault(answer: Any) -> str | None:
    """Validate a response with the SDK's own types, which the SDK itself does not do."""
    if not isinstance(answer, SdkModel):
        return None
    try:
        type(answer).model_validate(answer.to_dict())
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return None


def methods(sdk: NeMoMicroservices) -> list[str]:
    """All methods of the SDK that send a request.

    ``create_from_dict`` is inherited by every resource, but sends something only if there is ``create``.
    """

    def walk(resource: Any, prefix: str) -> Iterator[str]:
        kind = type(resource)
        for name in dir(kind):
            found = inspect.getattr_static(kind, name)
            if name.startswith(("_", "with_")):
                continue
            if isinstance(found, property | functools.cached_property):
                inner = getattr(resource, name)
                if isinstance(inner, SyncAPIResource):
                    yield from walk(inner, f"{prefix}{name}.")
            elif not isinstance(resource, SyncAPIResource) or not inspect.isfunction(found):
                continue
            elif name != "create_from_dict" or hasattr(kind, "create"):
                yield f"{prefix}{name}"

    return sorted(walk(sdk, ""))


def service_of(method: str) -> str | None:
    """The service that a method calls; ``None`` if the stack does not have it."""
    for service, prefixes in SERVICES.items():
        if any(method.startswith(f"{prefix}.") for prefix in prefixes):
            return service
    return None


def call_all(stack: ServedStack) -> list[Outcome]:
    """Call every method on a running stack."""
    sent: list[httpx.Response] = []
    with httpx.Client(event_hooks={"response": [sent.append]}, timeout=60) as http:
        sdk = NeMoMicroservices(
            base_url=stack.thread.platform_url,
            inference_base_url=stack.thread.inference_url,
            http_client=http,
            max_retries=0,
        )
        call = Caller(sdk, sent)
        for service in (_entities, _customizer, _evaluator, _platform_jobs, _deployments, _inference):
            service(call, stack)
    return call.outcomes


def _entities(call: Caller, stack: ServedStack) -> None:
    call("namespaces.create", id="sdk", description="d")
    call("namespaces.create_from_dict", {"id": "sdk-two"})
    call("namespaces.retrieve", "sdk")
    call("namespaces.update", "sdk", project="p")
    call("namespaces.list", search={"id": "sdk"}, sort="-created_at")
    call("namespaces.delete", "sdk-two")
    for kind, fields, change in (
        ("projects", {}, {"description": "d"}),
        ("datasets", {"files_url": "hf://datasets/sdk/rows"}, {"limit": 5}),
        ("models", {"base_model": "tests/tiny"}, {"description": "d"}),
    ):
        call(f"{kind}.create", name="one@v1.0+a", namespace="sdk", **fields)
        call(f"{kind}.create_from_dict", {"name": "two", "namespace": "sdk", **fields})
        call(f"{kind}.retrieve", "one@v1.0+a", namespace="sdk")
        call(f"{kind}.update", "one@v1.0+a", namespace="sdk", **change)
        call(f"{kind}.list", filter={"namespace": "sdk"}, search={"name": "one"}, page_size=1)
        call(f"{kind}.delete", "one@v1.0+a", namespace="sdk")
        call(f"{kind}.delete", "two", namespace="sdk")


def _customizer(call: Caller, stack: ServedStack) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=f"{stack.thread.data_store_url}/v1/hf", token="test")
    api.create_repo("tests/sdk-rows", repo_type="dataset")
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "training" / "rows.jsonl", 8)
        write_rows(Path(folder) / "validation" / "rows.jsonl", 4)
        api.upload_folder(folder_path=folder, repo_id="tests/sdk-rows", repo_type="dataset")
    httpx.post(f"{stack.thread.data_store_url}/v1/datastore/namespaces", json={"namespace": "sdk"})
    api.create_repo("sdk/weights")
    api.upload_folder(folder_path=stack.base, repo_id="sdk/weights")

    call("customization.targets.create", name="own@v1", namespace="sdk", **_TARGET)
    call("customization.targets.create_from_dict", {"name": "own@v2", "namespace": "sdk", **_TARGET})
    call("customization.targets.retrieve", "own@v1", namespace="sdk")
    call("customization.targets.update", "own@v2", namespace="sdk", description="d")
    call("customization.targets.list", filter={"namespace": "sdk", "enabled": True})
    call("customization.targets.delete", "own@v2", namespace="sdk")
    fields = {"namespace": "sdk", "max_seq_length": 128, "training_options": [_OPTION]}
    call("customization.configs.create", name="own@v1+cpu", target="sdk/own@v1", **fields)
    call("customization.configs.create_from_dict", {"name": "own@v2+cpu", "target": "sdk/own@v1", **fields})
    call("customization.configs.retrieve", "own@v1+cpu", namespace="sdk")
    call("customization.configs.update", "own@v2+cpu", namespace="sdk", max_seq_length=64)
    call("customization.configs.list", filter={"target_name": "sdk/own@v1"}, sort="-name")
    call("customization.configs.delete", "own@v2+cpu", namespace="sdk")
    wanted = {
        "config": f"{BASE}@v1.0.0+cpu",
        "dataset": "hf://datasets/tests/sdk-rows",
        "hyperparameters": {"finetuning_type": "lora", "epochs": 1, "batch_size": 4, "learning_rate": 1e-3},
    }
    job = call("customization.jobs.create", output_model="sdk/tuned", **wanted)
    other = call("customization.jobs.create_from_dict", wanted)
    call("customization.jobs.cancel", job.id)
    call("customization.jobs.cancel", other.id)
    call("customization.jobs.retrieve", job.id)
    call("customization.jobs.status", job.id)
    call("customization.jobs.container_logs", job.id)
    call("customization.jobs.list", filter={"epochs": 1}, sort="-created_at")


def _evaluator(call: Caller, stack: ServedStack) -> None:
    for kind, fields in (("targets", _EVALUATION["target"]), ("configs", _EVALUATION["config"])):
        one = f"evaluation.{kind}"
        where = {"path_namespace": "sdk"} if kind == "configs" else {"namespace": "sdk"}
        call(f"{one}.create", name="one", namespace="sdk", **fields)
        call(f"{one}.create_from_dict", {"name": "two", "namespace": "sdk", **fields})
        call(f"{one}.retrieve", "one", namespace="sdk")
        call(f"{one}.update", "one", **where, description="d")
        call(f"{one}.list", filter={"namespace": "sdk"}, search={"name": "one"})
        call(f"{one}.delete", "two", namespace="sdk")
    job = call("evaluation.jobs.create", config="sdk/one", target="sdk/one")
    other = call("evaluation.jobs.create_from_dict", _EVALUATION)
    jobs = call.sdk.evaluation.jobs
    wait_for(lambda: all(jobs.retrieve(each.id).status in _ENDED for each in (job, other)))
    call("evaluation.jobs.retrieve", job.id)
    call("evaluation.jobs.status", job.id)
    call("evaluation.jobs.results", job.id)
    call("evaluation.jobs.download_results", job.id)
    call("evaluation.jobs.download_logs", job.id)
    call("evaluation.jobs.list", filter={"config": "sdk/one"}, sort="created_at")
    call("evaluation.jobs.delete", job.id)
    call("evaluation.jobs.cancel", jobs.create(**_endless()).id)
    call("evaluation.live", **_EVALUATION)
    result = call("evaluation.results.create", job=other.id, namespace="sdk")
    call("evaluation.results.create_from_dict", {"job": other.id})
    call("evaluation.results.retrieve", result.id)
    call("evaluation.results.update", result.id, description="d")
    call("evaluation.results.list", filter={"job_id": other.id})
    call("evaluation.results.delete", result.id)


def _platform_jobs(call: Caller, stack: ServedStack) -> None:
    one, jobs = "v2.evaluation.jobs", call.sdk.v2.evaluation.jobs
    job = call(f"{one}.create", name="sdk", spec=_EVALUATION)
    other = call(f"{one}.create_from_dict", {"spec": _EVALUATION})
    wait_for(lambda: all(jobs.retrieve(each.id).status in _ENDED for each in (job, other)))
    call(f"{one}.retrieve", job.id)
    call(f"{one}.list", filter={"name": "sdk"})
    call(f"{one}.status.retrieve", job.id)
    call(f"{one}.logs.list", job.id, limit=1)
    call(f"{one}.results.list", job.id)
    call(f"{one}.results.retrieve", "artifacts", job_id=job.id)
    call(f"{one}.results.download", "evaluation-results", job_id=job.id)
    call(f"{one}.results.evaluation_results.retrieve", job.id)
    call(f"{one}.results.artifacts.retrieve", job.id)
    call(f"{one}.delete", job.id)
    call(f"{one}.cancel", jobs.create(spec=_endless()).id)


def _endless() -> Any:
    """An evaluation that never ends: its endpoint does not respond."""
    endpoint = {"url": "http://127.0.0.1:9/v1/completions", "model_id": "m"}
    task = {
        "type": "completion",
        "dataset": {"files_url": "hf://datasets/tests/sdk-rows/training/rows.jsonl"},
    }
    return {
        "config": {"type": "custom", "params": {"max_retries": 20}, "tasks": {"qa": task}},
        "target": {"type": "model", "model": {"api_endpoint": endpoint}},
    }


def _deployments(call: Caller, stack: ServedStack) -> None:
    fields = {"namespace": "sdk", "model": BASE, "nim_deployment": _NIM}
    call("deployment.configs.create", name="one", **fields)
    call("deployment.configs.create_from_dict", {"name": "two", **fields})
    call("deployment.configs.retrieve", "one", namespace="sdk")
    call("deployment.configs.update", "one", namespace="sdk", description="d")
    call("deployment.configs.list", filter={"namespace": "sdk"})
    call("deployment.configs.delete", "two", namespace="sdk")
    one = "deployment.model_deployments"
    call(f"{one}.create", name="one", namespace="sdk", config="sdk/one")
    call(f"{one}.create_from_dict", {"name": "two", "namespace": "sdk", "config": {"model": BASE}})
    call(f"{one}.retrieve", "one", namespace="sdk")
    call(f"{one}.update", "one", namespace="sdk", description="d")
    call(f"{one}.list", sort="-created_at")
    call(f"{one}.delete", "two", namespace="sdk")


def _inference(call: Caller, stack: ServedStack) -> None:
    call("inference.models.list")
    call("chat.completions.create", **_CHAT)
    call("chat.completions.create_from_dict", _CHAT)
    call("completions.create", **_TEXT)
    call("completions.create_from_dict", _TEXT)
    for name in ("embeddings", "classify"):
        call(f"{name}.create", input="lease", model=ADAPTER)
        call(f"{name}.create_from_dict", {"input": "lease", "model": ADAPTER})


REASONS = {
    "embeddings": "no embedding model is installed; with one it answers",
    "classify": "the API leaves open what comes back",
}
"""Why a method gets 501."""


def rendered(outcomes: list[Outcome], everything: list[str]) -> str:
    """The results as a table."""
    first = {each.method: each for each in reversed(outcomes)}
    refused = [each for each in first.values() if not each.ok]
    others = [method for method in everything if service_of(method) is None]
    lines = [
        "# The official SDK on the embedded stack",
        "",
        f"`nemo-microservices` 1.5.0 has {len(first)} methods for the services of the stack. Each is called "
        f"once, and its response is validated with the SDK's own types: {len(first) - len(refused)} are "
        f"supported, {len(refused)} return 501. Its {len(others)} methods for other services (guardrails, "
        "data designer, intake, auditor, safe synthesizer, platform jobs, and the second versions of models "
        "and inference) return 501, with a link to the supported ones.",
        "",
        "Generated by `make conformance`; a test keeps it up to date. The tests also chat and stream with "
        "`openai`, load a repository with `datasets`, and send generated requests with schemathesis to all "
        "operations that the stack's OpenAPI documents describe.",
    ]
    for service in SERVICES:
        lines += ["", f"## {service}", "", "| SDK method | request | answer |", "| --- | --- | --- |"]
        for method in everything:
            if service_of(method) == service:
                each = first[method]
                reason = REASONS.get(method.partition(".")[0], "")
                shown = "ok" if each.ok else f"{each.status}: {each.fault or reason}"
                lines.append(f"| `{method}` | `{_pattern(each.request)}` | {shown} |")
    return "\n".join(lines) + "\n"


def _pattern(request: str) -> str:
    """A request without generated values."""
    parts = request.split("/")
    return "/".join(_PREFIXES.get(part.partition("-")[0], part) if "-" in part else part for part in parts)


_PREFIXES = {"cust": "{id}", "eval": "{id}", "job": "{id}", "evaluation_result": "{id}"}


def main(path: Path) -> None:
    """Run everything and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        base = make_model(Path(folder) / "base")
        adapter = make_adapter(Path(folder) / "adapter", base)
        with served_stack(Path(folder) / "stack", base, adapter, chaos=NO_GPU) as stack:
            outcomes = call_all(stack)
            with NeMoMicroservices(base_url=stack.thread.platform_url) as sdk:
                path.write_text(rendered(outcomes, methods(sdk)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
