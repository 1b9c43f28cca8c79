"""Every endpoint, called by the client's method for it, at the embedded stack.

After each test the requests that went out are compared with the rows of ``docs/endpoints.csv`` that name it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from client_kit import connect
from endpoint_list import Recorder

from lawtags_client import LoRA, NeMo, scores
from lawtags_client.errors import NotFoundError
from lawtags_client.services.base import Entities
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.services.watching import Patience
from lawtags_client.types.common import APIEndpoint
from lawtags_client.types.customizer import (
    CustomizationConfigFilter,
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationJobFilter,
    CustomizationTargetFilter,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
    TrainingOption,
)
from lawtags_client.types.deployments import (
    DeploymentConfigRequest,
    DeploymentConfigUpdate,
    DeploymentFilter,
    ModelDeploymentRequest,
    ModelDeploymentUpdate,
    NIMDeploymentConfig,
)
from lawtags_client.types.entity_store import (
    Dataset,
    DatasetFilter,
    DatasetRequest,
    DatasetUpdate,
    ModelFilter,
    ModelRequest,
    ModelUpdate,
    NamespaceFilter,
    NamespaceRequest,
    NamespaceUpdate,
    ParameterEfficientFinetuning,
    ProjectFilter,
    ProjectRequest,
    ProjectUpdate,
)
from lawtags_client.types.evaluator import (
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationEntityFilter,
    EvaluationJobFilter,
    EvaluationResultFilter,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
    MetricConfig,
    ModelTarget,
    TaskConfig,
)
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage, CompletionRequest
from lawtags_client.types.platform_evaluation import PlatformEvaluationJobFilter
from lawtags_stack.stack import StackThread

BASE = "tiny/llama"
QUICK = Patience(shortest=0.05, longest=0.2)
CHECK = MetricConfig(type="string-check", params={"check": ["{{output}}", "equals", "{{reference}}"]})
ROWS = [{"output": "4", "reference": "4"}, {"output": "5", "reference": "4"}]


@pytest.fixture
async def nemo(stack: StackThread, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[NeMo]:
    recorder = Recorder()
    async with connect(stack, tmp_path, handler=recorder) as client:
        yield client
    assert recorder.missing(request.node.nodeid) == []


async def live_and_die(
    entities: Entities[Any, Any, Any, Any],
    reference: str,
    request: Any,
    update: Any,
    filter: Any,
    search: dict[str, Any] | None = None,
) -> None:
    """Make, find, list, change and drop one, and see each time that it is so."""
    made = await entities.create(request)
    again = await entities.create_or_get(request, compare=())
    assert made.created_at == again.created_at
    # A deployment rolls out meanwhile.
    moving = {"deployed", "status_details", "updated_at", "url"}
    assert (await entities.get(reference)).model_dump(exclude=moving) == again.model_dump(exclude=moving)
    options: dict[str, Any] = {"sort": "-created_at", "filter": filter}
    if search is not None:
        options["search"] = search
    listed = [found async for found in entities.list(page_size=1, **options)]
    assert [found.created_at for found in listed] == [made.created_at]
    changed = await entities.update(reference, update)
    wire = update.to_wire()
    assert {name: changed.model_dump(mode="json")[name] for name in wire} == wire
    assert await entities.delete(reference) is not None
    for _ in range(500):  # a deployment goes away in its own time
        if await entities.find(reference) is None:
            break
        await asyncio.sleep(0.02)
    assert await entities.delete(reference, missing_ok=True) is None


async def test_namespaces_of_the_data_store(nemo: NeMo) -> None:
    namespaces = nemo.data_store.namespaces
    assert (await namespaces.create("files-1")).namespace == "files-1"
    assert (await namespaces.create_or_get("files-1")).created_at
    assert (await namespaces.get("files-1")).namespace == "files-1"
    assert "files-1" in [found.namespace for found in await namespaces.list()]
    await namespaces.delete("files-1")
    with pytest.raises(NotFoundError):
        await namespaces.get("files-1")


async def test_repositories(nemo: NeMo) -> None:
    repositories = nemo.data_store.repositories
    await nemo.data_store.namespaces.create("files-2")
    rows, weights = Repository.of("files-2/rows"), Repository.of("files-2/weights", "model")
    for repository in (rows, weights):
        await repositories.create(repository)
        assert (await repositories.ready(repository)).sha
        await repositories.create_or_get(repository)
    assert [info.id for info in await repositories.list("files-2")] == ["files-2/rows"]
    assert [info.id for info in await repositories.list("files-2", "model")] == ["files-2/weights"]
    assert (await repositories.info(rows)).id == "files-2/rows"
    await repositories.delete(rows)
    await repositories.delete(rows, missing_ok=True)
    assert await repositories.list("files-2") == []


async def test_files_of_a_repository(nemo: NeMo, tmp_path: Path) -> None:
    store, name = nemo.data_store, "files-3/rows"
    repository = Repository.of(name)
    await store.prepare(repository)
    # What any test has sent to the shared stack already would not be sent again.
    large = os.urandom(12 << 20)
    sent = await store.upload_files(name, {"small.txt": b"a few words", "deep/large.bin": large})
    assert sent.sent == ("deep/large.bin", "small.txt")
    assert {entry.path for entry in await store.files(name)} >= {"small.txt", "deep/large.bin"}
    assert await store.repositories.has_file(repository, "deep/large.bin")
    got = await store.download(name, tmp_path / "down")
    assert (got.folder / "deep" / "large.bin").read_bytes() == large
    await store.delete_files(name, ["deep/large.bin"])
    assert not await store.repositories.has_file(repository, "deep/large.bin")


async def test_namespaces(nemo: NeMo) -> None:
    store = nemo.entity_store
    await store.namespaces.create(NamespaceRequest(id="kept", project="endpoints"))
    await live_and_die(
        store.namespaces,
        "passing",
        NamespaceRequest(id="passing", project="passing"),
        NamespaceUpdate(description="for a while"),
        NamespaceFilter(project="passing"),
    )


async def test_projects(nemo: NeMo) -> None:
    await nemo.entity_store.ensure_namespace("projects")
    await live_and_die(
        nemo.entity_store.projects,
        "projects/one",
        ProjectRequest(name="one", namespace="projects"),
        ProjectUpdate(description="for a while"),
        ProjectFilter(namespace="projects"),
    )


async def test_datasets(nemo: NeMo) -> None:
    store = nemo.entity_store
    await store.ensure_namespace("datasets")
    await live_and_die(
        store.datasets,
        "datasets/one",
        DatasetRequest(name="one", namespace="datasets", files_url="hf://datasets/datasets/one"),
        DatasetUpdate(files_url="hf://datasets/datasets/two", project="p"),
        DatasetFilter(namespace="datasets"),
        search={"name": ["one", "other"]},
    )
    for number in range(5):
        request = DatasetRequest(name=f"d{number}", namespace="datasets", files_url="hf://datasets/a/b")
        await store.datasets.create(request)
    options: dict[str, Any] = {"page_size": 2, "filter": DatasetFilter(namespace="datasets")}
    up = [found.name async for found in store.datasets.list(sort="name", **options)]
    down = [found.name async for found in store.datasets.list(sort="-name", **options)]
    assert (up, down) == ([f"d{n}" for n in range(5)], [f"d{n}" for n in reversed(range(5))])
    page = await store.datasets.page(3, sort="name", **options)
    assert [found.name for found in page.data] == ["d4"]


async def test_models(nemo: NeMo) -> None:
    await nemo.entity_store.ensure_namespace("models")
    peft = ParameterEfficientFinetuning(finetuning_type="lora")
    await live_and_die(
        nemo.entity_store.models,
        "models/adapter@v1",
        ModelRequest(name="adapter@v1", namespace="models", base_model="models/base", peft=peft),
        ModelUpdate(description="for a while"),
        ModelFilter(namespace="models", peft=True, base_model="models/base"),
    )


async def test_targets_and_configs(nemo: NeMo) -> None:
    customizer = nemo.customizer
    await nemo.entity_store.ensure_namespace("trained")
    await customizer.targets.create(
        CustomizationTargetRequest(
            name="base@v1", namespace="trained", base_model="trained/base", num_parameters=7, precision="bf16"
        )
    )
    lora = TrainingOption(training_type="sft", finetuning_type="lora", num_gpus=1)
    await live_and_die(
        customizer.configs,
        "trained/base@v1.0.0+80GB",
        CustomizationConfigRequest(
            name="base@v1.0.0+80GB",
            namespace="trained",
            target="trained/base@v1",
            max_seq_length=128,
            training_options=[lora],
        ),
        CustomizationConfigUpdate(max_seq_length=64),
        CustomizationConfigFilter(namespace="trained", finetuning_type="lora", target_name="base@v1"),
    )
    await customizer.targets.delete("trained/base@v1")
    await live_and_die(
        customizer.targets,
        "trained/other@v1",
        CustomizationTargetRequest(
            name="other@v1", namespace="trained", num_parameters=7, precision="bf16", enabled=True
        ),
        CustomizationTargetUpdate(enabled=False),
        CustomizationTargetFilter(namespace="trained", enabled=True),
    )


async def test_customization_jobs(nemo: NeMo, curated: Path) -> None:
    await nemo.data_store.upload_dataset("submitted/tags", curated)
    job = await nemo.customizer.fine_tune(
        config=BASE, dataset="submitted/tags", method=LoRA(adapter_dim=4), epochs=2000, batch_size=6,
        output_model="submitted/tagger", project="submitted", namespace="submitted",
    )  # fmt: skip
    wanted = CustomizationJobFilter(project="submitted", finetuning_type="lora", epochs=2000)
    assert [found.id async for found in nemo.customizer.jobs.list(filter=wanted)] == [job.id]
    assert (await nemo.customizer.jobs.get(job.id)).output_model == job.output_model
    assert (await nemo.customizer.status(job.id)).status in ("created", "pending", "running")
    assert (await nemo.customizer.logs(job.id)).entries is not None
    await nemo.customizer.cancel(job.id)
    taken_up = await nemo.customizer.job(job.id)
    states = [event async for event in taken_up.watch(patience=QUICK)]
    assert str(states[-1]).startswith("state cancelled")


async def test_evaluation_targets_and_configs(nemo: NeMo) -> None:
    evaluator = nemo.evaluator
    await nemo.entity_store.ensure_namespace("measured")
    await live_and_die(
        evaluator.targets,
        "measured/rows",
        EvaluationTargetRequest(type="rows", name="rows", namespace="measured", rows=ROWS),
        EvaluationTargetUpdate(rows=ROWS[:1]),
        EvaluationEntityFilter(namespace="measured", type="rows"),
    )
    task = TaskConfig(type="data", metrics={"same": CHECK})
    await live_and_die(
        evaluator.configs,
        "measured/same",
        EvaluationConfigRequest(type="custom", name="same", namespace="measured", tasks={"qa": task}),
        EvaluationConfigUpdate(description="for a while"),
        EvaluationEntityFilter(namespace="measured", name="same"),
    )


async def scored(nemo: NeMo, curated: Path, name: str) -> tuple[TaskConfig, APIEndpoint]:
    """A task over uploaded rows, and the model that is to carry it out."""
    dataset = await nemo.data_store.upload_dataset(name, curated)
    task = TaskConfig(
        type="completion",
        dataset=Dataset(files_url=f"{dataset.files_url}/testing/testing.jsonl"),
        params={"template": {"prompt": "{{item.prompt}}", "max_tokens": 2, "temperature": 0.0}},
        metrics={"f1": MetricConfig(type="f1", params={"ground_truth": "{{item.completion}}"})},
    )
    url = nemo.settings.address("inference").url
    return task, APIEndpoint(url=f"{url}/v1/completions", model_id=BASE)


@pytest.mark.slow
async def test_evaluations(nemo: NeMo, curated: Path) -> None:
    task, endpoint = await scored(nemo, curated, "evaluated/tags")
    config = EvaluationConfigRequest(type="custom", tasks={"tags": task})
    target = EvaluationTargetRequest(type="model", model=ModelTarget(api_endpoint=endpoint))
    evaluation = await nemo.evaluator.evaluate(config=config, target=target, namespace="evaluated")
    result = await evaluation.wait(patience=QUICK, timeout=60)
    assert scores(result).keys() == {"tags.f1"}
    assert scores(await nemo.evaluator.jobs.results(evaluation.id)) == scores(result)
    assert (await nemo.evaluator.jobs.status(evaluation.id)).progress == 100
    archive = zipfile.ZipFile(io.BytesIO(await nemo.evaluator.jobs.download_results(evaluation.id)))
    assert archive.namelist()
    assert await nemo.evaluator.jobs.logs(evaluation.id)
    wanted = EvaluationJobFilter(namespace="evaluated")
    assert [job.id async for job in nemo.evaluator.jobs.list(filter=wanted)] == [evaluation.id]
    other = await nemo.evaluator.evaluate(config=config, target=target, intent="another")
    assert (await nemo.evaluator.evaluation(other.id)).status
    await asyncio.gather(other.cancel(), return_exceptions=True)
    await nemo.evaluator.jobs.delete(evaluation.id)
    with pytest.raises(NotFoundError):
        await nemo.evaluator.jobs.get(evaluation.id)


async def test_evaluation_results(nemo: NeMo) -> None:
    results = nemo.evaluator.results
    made = await results.create(EvaluationResultRequest(job="eval-elsewhere", namespace="default"))
    assert made.id is not None
    assert (await results.get(made.id)).job == "eval-elsewhere"
    wanted = EvaluationResultFilter(job_id="eval-elsewhere")
    assert [found.id async for found in results.list(filter=wanted)] == [made.id]
    assert (await results.update(made.id, EvaluationResultUpdate(description="x"))).description == "x"
    await results.delete(made.id)
    assert await results.find(made.id) is None


async def test_live_evaluation(nemo: NeMo) -> None:
    task = TaskConfig(type="data", metrics={"same": CHECK})
    live = await nemo.evaluator.live(
        config=EvaluationConfigRequest(type="custom", tasks={"qa": task}),
        target=EvaluationTargetRequest(type="rows", rows=ROWS),
    )
    assert live.result is not None and scores(live.result) == {"qa.same": 0.5}


@pytest.mark.slow
async def test_evaluations_as_platform_jobs(nemo: NeMo, curated: Path) -> None:
    task, endpoint = await scored(nemo, curated, "platform-jobs/tags")
    config = EvaluationConfigRequest(type="custom", tasks={"tags": task})
    target = EvaluationTargetRequest(type="model", model=ModelTarget(api_endpoint=endpoint))
    start = partial(nemo.evaluator.evaluate_as_platform_job, config=config, target=target)
    evaluation = await start(name="first", namespace="platform-jobs")
    assert (await start(name="first", namespace="platform-jobs")).id == evaluation.id
    result = await evaluation.wait(patience=QUICK, timeout=60)
    assert scores(result).keys() == {"tags.f1"}
    jobs = nemo.evaluator.platform_jobs
    assert (await nemo.evaluator.platform_evaluation(evaluation.id)).status == "completed"
    assert [step.status for step in (await jobs.status(evaluation.id)).steps] == ["completed"]
    lines = [line.message async for line in jobs.logs(evaluation.id, limit=1)]
    assert lines and len(lines) == (await jobs.log_page(evaluation.id)).total
    names = [left.result_name for left in await jobs.results(evaluation.id)]
    assert "evaluation-results" in names
    assert (await jobs.result(evaluation.id, "evaluation-results")).job_id == evaluation.id
    raw = json.loads(await jobs.download_result(evaluation.id, "evaluation-results"))
    assert raw["tasks"].keys() == {"tags"}
    assert await jobs.artifacts(evaluation.id)
    wanted = PlatformEvaluationJobFilter(namespace="platform-jobs", status="completed")
    assert [job.id async for job in jobs.list(filter=wanted)] == [evaluation.id]
    other = await start(intent="another")
    await asyncio.gather(other.cancel(), return_exceptions=True)
    await jobs.delete(evaluation.id)
    with pytest.raises(NotFoundError):
        await jobs.get(evaluation.id)


async def test_deployments(nemo: NeMo) -> None:
    await nemo.entity_store.ensure_namespace("served")
    nim = NIMDeploymentConfig(image_name="nvcr.io/nim/tiny", image_tag="1", gpu=0)
    wanted = DeploymentConfigRequest(name="kept", namespace="served", model=BASE, nim_deployment=nim)
    await nemo.deployments.configs.create(wanted)
    await live_and_die(
        nemo.deployments.deployments,
        "served/one",
        ModelDeploymentRequest(name="one", namespace="served", config="served/kept"),
        ModelDeploymentUpdate(description="for a while"),
        DeploymentFilter(namespace="served"),
    )
    await nemo.deployments.configs.delete("served/kept")
    await live_and_die(
        nemo.deployments.configs,
        "served/two",
        DeploymentConfigRequest(name="two", namespace="served", model=BASE),
        DeploymentConfigUpdate(description="for a while"),
        DeploymentFilter(namespace="served"),
    )


@pytest.mark.slow
async def test_inference(nemo: NeMo) -> None:
    assert BASE in [model.id for model in await nemo.inference.models()]
    messages = [ChatMessage(role="user", content="Hello")]
    chat = ChatCompletionRequest(model=BASE, messages=messages, max_tokens=4, temperature=0.0)
    pieces = [chunk.text async for chunk in nemo.inference.stream_chat(chat)]
    assert "".join(pieces) == (await nemo.inference.chat(chat)).text
    plain = CompletionRequest(model=BASE, prompt="Hello", max_tokens=4, temperature=0.0)
    texts = [chunk.text async for chunk in nemo.inference.stream_completion(plain)]
    assert "".join(texts) == (await nemo.inference.complete(plain)).text
