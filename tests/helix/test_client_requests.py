"""The client sends what NVIDIA's server was seen to accept, and reads what it answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openapi
import pytest
from replay import replaying, same_request
from transcripts import Exchange, exchanges

from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.common import Page
from lawtags_client.helix.types.deployments import Deployment, HelixDeploymentConfig, Provider
from lawtags_client.helix.types.evaluations import (
    AggregateScores,
    HelixEvaluationJob,
    HelixEvaluationRecord,
    HelixEvaluationSpec,
    LiveScores,
    StoredMetric,
)
from lawtags_client.helix.types.filesets import Fileset, FilesetFile, FilesetListing
from lawtags_client.helix.types.gateway import VirtualModel
from lawtags_client.helix.types.jobs import (
    HelixJob,
    JobResult,
    JobResults,
    JobStatus,
    JobStep,
    JobTask,
    LogPage,
    QueuedStep,
)
from lawtags_client.helix.types.models import HelixAdapter, HelixModel
from lawtags_client.helix.types.platform import ClusterInfo, CustomizationHealth
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.helix.types.secrets import Secret, SecretValue
from lawtags_client.helix.types.unsloth import UnslothSpec
from lawtags_client.helix.types.workspaces import HelixProject, Workspace, WorkspaceDeletion
from lawtags_client.intents import FIELD, SqliteIntents

# The end of a path below its service, and what the answer is; lists are pages of it.
SHAPES: tuple[tuple[str, Any, Any], ...] = (
    ("/cluster-info", ClusterInfo, None),
    ("/customization/v2/healthz", CustomizationHealth, None),
    ("/workspaces", Workspace, Workspace),
    ("/workspaces/{}", Workspace, None),
    ("/workspace-deletions/{}", WorkspaceDeletion, None),
    ("/workspaces/{}/projects", HelixProject, HelixProject),
    ("/workspaces/{}/projects/{}", HelixProject, None),
    ("/workspaces/{}/filesets", Fileset, Fileset),
    ("/workspaces/{}/filesets/{}", Fileset, None),
    ("/workspaces/{}/filesets/{}/files", FilesetListing, None),
    ("/workspaces/{}/filesets/{}/-/{path}", FilesetFile, None),
    ("/workspaces/{}/secrets", Secret, Secret),
    ("/workspaces/{}/secrets/{}", Secret, None),
    ("/workspaces/{}/secrets/{}/access", SecretValue, None),
    ("/workspaces/{}/models", HelixModel, HelixModel),
    ("/workspaces/{}/models/{}", HelixModel, None),
    ("/workspaces/{}/models/{}/adapters", HelixAdapter, None),
    ("/workspaces/{}/models/{}/adapters/{}", HelixAdapter, None),
    ("/workspaces/{}/adapters", HelixAdapter, HelixAdapter),
    ("/workspaces/{}/adapters/{}", HelixAdapter, None),
    ("/workspaces/{}/{backend}/jobs", HelixJob, HelixJob),
    ("/workspaces/{}/{backend}/jobs/{}", HelixJob, None),
    ("/workspaces/{}/{backend}/jobs/{}/{action}", HelixJob, None),
    ("/workspaces/{}/{backend}/jobs/{}/status", JobStatus, None),
    ("/workspaces/{}/{backend}/jobs/{}/logs", LogPage, None),
    ("/workspaces/{}/{backend}/jobs/{}/results", JobResults, None),
    ("/workspaces/{}/{backend}/jobs/{}/results/{}", JobResult, None),
    ("/workspaces/{}/jobs/-/steps", None, QueuedStep),
    ("/workspaces/{}/jobs/{}/steps", None, JobStep),
    ("/workspaces/{}/jobs/{}/steps/{}", JobStep, None),
    ("/workspaces/{}/jobs/{}/steps/{}/status", JobStep, None),
    ("/workspaces/{}/jobs/{}/steps/{}/tasks/{}", JobTask, None),
    ("/workspaces/{}/deployment-configs", HelixDeploymentConfig, HelixDeploymentConfig),
    ("/workspaces/{}/deployment-configs/{}", HelixDeploymentConfig, None),
    ("/workspaces/{}/deployments", Deployment, Deployment),
    ("/workspaces/{}/deployments/{}", Deployment, None),
    ("/workspaces/{}/deployments/{}/status", Deployment, None),
    ("/workspaces/{}/providers", Provider, Provider),
    ("/workspaces/{}/providers/{}", Provider, None),
    ("/workspaces/{}/providers/{}/status", Provider, None),
    ("/workspaces/{}/virtual-models", VirtualModel, VirtualModel),
    ("/workspaces/{}/virtual-models/{}", VirtualModel, None),
    ("/workspaces/{}/evaluate/jobs", HelixEvaluationJob, HelixEvaluationJob),
    ("/workspaces/{}/evaluate/live", LiveScores, None),
    ("/workspaces/{}/eval-results", HelixEvaluationRecord, HelixEvaluationRecord),
    ("/workspaces/{}/eval-results/{}", HelixEvaluationRecord, None),
    ("/workspaces/{}/metrics", StoredMetric, StoredMetric),
    ("/workspaces/{}/metrics/{}", StoredMetric, None),
    ("/workspaces/{}/evaluate/jobs/{}/results/aggregate-scores/download", AggregateScores, None),
)


def pattern(template: str) -> str:
    import re

    marked = re.escape(template).replace(r"\{\}", "[^/]+").replace(r"\{path\}", ".+")
    marked = marked.replace(r"\{backend\}/", "(?:automodel/|unsloth/|rl/|evaluate/)?")
    return marked.replace(r"\{action\}", "(?:cancel|pause|resume)") + r"\Z"


def shape_of(exchange: Exchange) -> Any:
    import re

    path = exchange.path.partition("?")[0]
    tail = re.sub(r"^/apis/[^/]+/v\d", "", path)
    for template, single, many in sorted(SHAPES, key=lambda shape: -len(shape[0])):
        if re.match(pattern(template), tail) or re.match(pattern(template), path.removeprefix("/apis")):
            listed = isinstance(exchange.answer, dict) and "pagination" in exchange.answer
            return Page[many] if listed and many is not None else single
    return None


def test_every_recorded_answer_is_read() -> None:
    read = 0
    for exchange in exchanges():
        if exchange.status >= 300 or not isinstance(exchange.answer, dict):
            continue
        kind = shape_of(exchange)
        if kind is None or (exchange.method == "DELETE" and "message" in exchange.answer):
            continue
        found = kind.model_validate(exchange.answer)
        name = exchange.answer.get("name")
        assert name is None or found.name == name, exchange.label
        entries = exchange.answer.get("data")
        assert entries is None or len(found.data) == len(entries), exchange.label
        read += 1
    assert read > 200


Calling = Callable[[Helix], Awaitable[Any]]


def accepted(method: str, end: str, note: str | None = None) -> Exchange:
    """The first accepted exchange of a method whose path has an end."""
    return next(
        each
        for each in exchanges()
        if each.method == method
        and each.path.partition("?")[0].endswith(end)
        and each.status < 300
        and (note is None or each.note == note)
    )


def body(exchange: Exchange) -> dict[str, Any]:
    assert isinstance(exchange.body, dict)
    return exchange.body


CREATED: dict[str, Callable[[Helix], Any]] = {
    "/v2/workspaces": lambda helix: helix.workspaces,
    "/lawtags/projects": lambda helix: helix.projects,
    "/lawtags/filesets": lambda helix: helix.filesets,
    "/lawtags/secrets": lambda helix: helix.secrets,
    "/lawtags/models": lambda helix: helix.models,
    "/lawtags/deployment-configs": lambda helix: helix.deployment_configs,
    "/lawtags/deployments": lambda helix: helix.deployments,
    "/lawtags/providers": lambda helix: helix.providers,
    "/lawtags/virtual-models": lambda helix: helix.gateway.virtual_models,
}


@pytest.mark.parametrize("end", CREATED)
def test_entities_are_created_as_recorded(end: str) -> None:
    exchange = accepted("POST", end)

    async def create() -> Any:
        with replaying([exchange]) as server:
            async with Helix(base_url=server.url, workspace="lawtags") as helix:
                made = await CREATED[end](helix).create(**body(exchange))
            same_request(server.received[0], exchange)
            return made

    assert asyncio.run(create()).name == body(exchange)["name"]


TRAINED = (
    ("many fields", "automodel", AutomodelSpec),
    ("full SFT", "automodel", AutomodelSpec),
    ("merged LoRA", "automodel", AutomodelSpec),
    ("many fields, merged", "unsloth", UnslothSpec),
    ("DPO", "rl", RlSpec),
)


@pytest.mark.parametrize(("note", "backend", "kind"), TRAINED)
def test_training_jobs_are_submitted_as_recorded(note: str, backend: str, kind: Any, tmp_path: Path) -> None:
    exchange = next(
        each for each in exchanges() if each.note == note and f"/{backend}/jobs" in each.path and each.body
    )
    asked = body(exchange)

    async def submit() -> tuple[Any, dict[str, Any]]:
        import json

        with replaying([exchange]) as server:
            intents = SqliteIntents(tmp_path / "intents.sqlite")
            async with Helix(base_url=server.url, workspace="lawtags", intents=intents) as helix:
                job = await getattr(helix.customization, backend).submit(
                    kind.model_validate(asked["spec"]),
                    name=asked.get("name"),
                    description=asked.get("description"),
                    custom_fields=asked.get("custom_fields"),
                )
            return job, json.loads(server.received[0][2])

    job, sent = asyncio.run(submit())
    openapi.check_request("POST", exchange.path, sent)
    token = sent["custom_fields"].pop(FIELD)
    assert len(token) == 32
    assert sent["custom_fields"] == asked.get("custom_fields", {})
    assert sent["name"] == asked["name"]
    output = {"output": {"name": asked["name"]}} if not asked["spec"].get("output") else {}
    assert sent["spec"] == {**asked["spec"], **output}
    assert job.status == "created"


def test_evaluations_are_submitted_as_recorded(tmp_path: Path) -> None:
    for note in ("rows in the body, six metrics", "file of a fileset, stored metric"):
        exchange = next(each for each in exchanges() if each.note == note)

        async def submit(exchange: Exchange = exchange) -> Any:
            with replaying([accepted("GET", "/apis/evals/v1/healthz"), exchange]) as server:
                intents = SqliteIntents(tmp_path / "intents.sqlite")
                async with Helix(base_url=server.url, workspace="lawtags", intents=intents) as helix:
                    spec = HelixEvaluationSpec.model_validate(body(exchange)["spec"])
                    await helix.evaluations.submit(spec, name=body(exchange)["name"])
            import json

            return json.loads(server.received[-1][2])

        sent = asyncio.run(submit())
        assert sent["spec"] == body(exchange)["spec"]
        openapi.check_request("POST", exchange.path, sent)


def calls() -> list[tuple[str, Calling, Exchange]]:
    """Calls without bodies of their own making, and the exchanges that they are like."""
    job = "lawtags/law-lora"
    jobs = "/automodel/jobs/law-lora"
    return [
        ("cluster info", lambda helix: helix.cluster_info(), accepted("GET", "/cluster-info")),
        ("backends", lambda helix: helix.customization.backends(), accepted("GET", "v2/healthz")),
        ("files", lambda helix: helix.filesets.files("law-tags"), accepted("GET", "/law-tags/files")),
        (
            "files of a folder",
            lambda helix: helix.filesets.files("law-tags", folder="sub"),
            next(each for each in exchanges() if each.path.endswith("files?path=sub/")),
        ),
        ("secret value", lambda helix: helix.secrets.value("hf-token"), accepted("GET", "/access")),
        (
            "status",
            lambda helix: helix.customization.automodel.status(job),
            accepted("GET", f"{jobs}/status", "done"),
        ),
        (
            "generic job",
            lambda helix: helix.jobs.get(job),
            accepted("GET", "v2/workspaces/lawtags/jobs/law-lora"),
        ),
        (
            "cancel",
            lambda helix: helix.customization.automodel.cancel("lc-created"),
            accepted("POST", "/lc-created/cancel"),
        ),
        ("pause", lambda helix: helix.jobs.pause("lc-created"), accepted("POST", "/lc-created/pause")),
        ("resume", lambda helix: helix.jobs.resume("lc-created"), accepted("POST", "/lc-created/resume")),
        (
            "results",
            lambda helix: helix.customization.automodel.results(job),
            accepted("GET", f"{jobs}/results"),
        ),
        (
            "step",
            lambda helix: helix.runner.step("law-lora", "training"),
            accepted("GET", "/law-lora/steps/training"),
        ),
        (
            "claim",
            lambda helix: helix.runner.move_step("law-lora", "training", "active"),
            next(
                each
                for each in exchanges()
                if each.path.endswith("law-lora/steps/training/status")
                and each.body == {"status": "active"}
                and each.status == 200
            ),
        ),
        (
            "report",
            lambda helix: helix.runner.report(
                "law-lora",
                "model-and-dataset-download",
                "task-1",
                "active",
                details={"phase": "downloading", "progress_pct": 10},
            ),
            accepted("PUT", "/tasks/task-1"),
        ),
        (
            "result",
            lambda helix: helix.runner.add_result(
                "law-lora", "metrics", "lawtags/job-fileset-law-lora#results/metrics.json"
            ),
            accepted("POST", "/results/metrics"),
        ),
        (
            "adapter",
            lambda helix: helix.adapters.create_under(
                "gemma-2-2b-it",
                name="first-lora",
                fileset="lawtags/ad-w",
                finetuning_type="lora",
                lora_config={"rank": 16, "alpha": 32},
            ),
            accepted("POST", "/gemma-2-2b-it/adapters"),
        ),
        (
            "chat",
            lambda helix: helix.gateway.models().chat(
                model="lawtags/gemma-2-2b-it&adapters/lawtags/law-lora",
                messages=[{"role": "user", "content": "tag this"}],
                max_tokens=8,
                logprobs=True,
                top_logprobs=2,
            ),
            next(each for each in exchanges() if each.note == "logprobs" and "/openai/" in each.path),
        ),
    ]


@pytest.mark.parametrize(("call", "exchange"), [pytest.param(*each[1:], id=each[0]) for each in calls()])
def test_calls_are_made_as_recorded(call: Calling, exchange: Exchange) -> None:
    async def ask() -> Any:
        with replaying([exchange]) as server:
            async with Helix(base_url=server.url, workspace="lawtags") as helix:
                found = await call(helix)
            same_request(server.received[0], exchange)
            return found

    assert asyncio.run(ask()) is not None
    if exchange.body is not None:
        openapi.check_request(exchange.method, exchange.path, exchange.body)
