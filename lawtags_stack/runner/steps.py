"""Carries out the steps of a training job: download, training, upload, registration."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lawtags_client.errors import ConfigurationError, ConflictError, LawtagsError, NotFoundError
from lawtags_client.files import publish_folder
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.jobs import HelixJob, QueuedStep, StepSpec
from lawtags_client.helix.types.models import HelixModelRequest, ModelChanges
from lawtags_client.json_value import JsonValue
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.runner.attendant import Attendant
from lawtags_stack.runner.claims import reference
from lawtags_stack.runner.follow import TrainingRun
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.plan import (
    AUTOMODEL_STEP,
    DPO_STEP,
    TrainingStepConfig,
    notes,
    read_config,
    trainer_job,
)
from lawtags_stack.runner.progress import TrainingReport, TransferReport
from lawtags_stack.runner.rows import check_model, find_pairs, find_rows
from lawtags_stack.runner.work import RunnerWork

DOWNLOAD_STEP = "model-and-dataset-download"
UPLOAD_STEP = "model-upload"
REGISTER_STEP = "model-entity-creation"
TRAINING_STEPS = (AUTOMODEL_STEP, DPO_STEP)
_OUTPUT = "output_model"
_INTERVAL = 10.0


@dataclass(slots=True)
class StepContext:
    """What is needed to carry out a step.

    Args:
        helix: the platform.
        options: of the runner.
        launcher: starts training processes.
        job: with the plan of all its steps.
        step: as the queue lists it.
        task: the name of its task.
        work: the job's folder.
        attendant: reports.
        storage: the job's folder on a platform that downloads and uploads itself; None: the runner does.
        say: prints a line.
        training: the training while it runs.
        stopping: set to stop the training with a checkpoint.
    """

    helix: Helix
    options: RunnerOptions
    launcher: Launcher
    job: HelixJob
    step: QueuedStep
    task: str
    work: RunnerWork
    attendant: Attendant
    storage: Path | None
    say: Callable[[str], None]
    training: TrainingRun | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, line: str) -> None:
        """Print a line, and add it to the job's log."""
        self.say(line)
        self.attendant.log(line)


class Stopped(Exception):
    """The step was asked to stop, and what it did so far is saved."""


async def download(context: StepContext) -> None:
    """Download base model and dataset."""
    # What the training would refuse is refused before gigabytes are downloaded.
    read_config(_training_step(context.job).config)
    await _check_adapter_name(context)
    await _fetch(context)


async def train(context: StepContext) -> None:
    """Train, and leave the result where the next step finds it."""
    if not context.work.attempts:
        await _check_adapter_name(context)
    await _ensure_trained(context, await _stored_details(context))
    if context.storage is not None:
        await asyncio.to_thread(_hand_over, context.work.result, context.storage / _OUTPUT)


async def upload(context: StepContext) -> None:
    """Upload the result to the output's fileset."""
    await _ensure_trained(context, {})
    for item in _list(context.step, "upload"):
        if PurePosixPath(str(item.get("src"))).name != _OUTPUT:
            raise ConfigurationError(f"the step uploads {item.get('src')!r}, which is not the job's result")
        fileset = _fileset(context.step, item.get("dest"))
        await _ensure_fileset(context, fileset)
        report = TransferReport("uploading", "uploaded", interval=_INTERVAL)
        context.attendant.source = report
        sent = await context.helix.filesets.upload(fileset, context.work.result, on_bytes=report.bytes)
        report.note(phase="completed", uploaded_files=len(sent.files), fileset=fileset)
        context.tell(f"uploaded {len(sent.files)} files to {fileset}")


async def register(context: StepContext) -> None:
    """Register the output: an adapter under its base model, or a model."""
    config = _config(context.step)
    name, workspace = str(config.get("name")), str(config.get("workspace") or context.step.workspace)
    fileset = _fileset(context.step, config.get("fileset"))
    peft = config.get("peft")
    description = config.get("description")
    finetuning = read_config(_training_step(context.job).config).training.finetuning_type
    if isinstance(peft, dict) and finetuning == "lora":
        size = {key: peft[key] for key in ("rank", "alpha") if peft.get(key) is not None}
        base = _base_of(context, config)
        await context.helix.adapters.register(
            base,
            name=name,
            fileset=fileset,
            finetuning_type="lora",
            lora_config=size,
            description=description,
            enabled=True,
        )
        context.tell(f"registered the adapter {workspace}/{name} of {base}")
    else:
        request = HelixModelRequest(name=name, fileset=fileset, finetuning_type=finetuning)
        if original := config.get("base_model"):
            request.base_model = str(original)
        if description:
            request.description = str(description)
        try:
            await context.helix.models.create(request, workspace=workspace)
        except ConflictError:
            fields = request.model_dump(exclude={"name"}, exclude_unset=True)
            changes = ModelChanges.model_validate(fields)
            await context.helix.models.update(f"{workspace}/{name}", changes)
        context.tell(f"registered the model {workspace}/{name}")
    if config.get("deployment_config"):
        context.tell("the job asks for a deployment; this runner does not deploy models")


STEPS: Mapping[str, Callable[[StepContext], Awaitable[None]]] = {
    DOWNLOAD_STEP: download,
    AUTOMODEL_STEP: train,
    DPO_STEP: train,
    UPLOAD_STEP: upload,
    REGISTER_STEP: register,
}


def training_config(job: HelixJob) -> TrainingStepConfig | None:
    """The config of a job's training step; None if it is of a kind that this runner does not know.

    Raises:
        ConfigurationError: the runner cannot do what the config asks for.
    """
    try:
        step = _training_step(job)
    except NotFoundError:
        return None
    # Unsloth's step is called like automodel's, and holds the spec as a whole.
    return None if "spec" in step.config else read_config(step.config)


async def _check_adapter_name(context: StepContext) -> None:
    """Refuse a job before its training if another base model has an adapter of the name by now.

    Raises:
        ConflictError: it has.
    """
    try:
        config = _planned(context.job, REGISTER_STEP).config
    except NotFoundError:
        return
    peft, name = config.get("peft"), config.get("name")
    finetuning = read_config(_training_step(context.job).config).training.finetuning_type
    if isinstance(peft, dict) and isinstance(name, str) and finetuning == "lora":
        await context.helix.adapters.check_base(_base_of(context, config), name)


def _base_of(context: StepContext, config: Mapping[str, Any]) -> str:
    """The base model of the adapter that a job registers."""
    return _qualified(context.step, str(config.get("model_entity") or config.get("base_model")))


async def _fetch(context: StepContext) -> None:
    """Download what is not here yet; after a takeover, that is everything."""
    work = context.work
    items = []
    for item in _list(_planned(context.job, DOWNLOAD_STEP), "download"):
        what = PurePosixPath(str(item.get("dest"))).name
        if what not in ("model", "dataset"):
            raise ConfigurationError(f"the step downloads {what!r}, which this runner does not know")
        if not work.is_fetched(what):
            source = item.get("src")
            items.append((what, _fileset(context.step, source), _folder_of(source)))
    report = TransferReport("downloading", "downloaded", interval=_INTERVAL)
    report.note(total_filesets=len(items), completed_filesets=0)
    context.attendant.source = report
    sizes = {}
    for what, fileset, below in items:
        files = await context.helix.filesets.files(fileset, folder=below)
        if what == "model":
            names = (file.path.removeprefix(f"{below}/") for file in files)
            check_model(names, where=f"the fileset {fileset}")
        sizes[fileset] = sum(file.size or 0 for file in files)
    await asyncio.to_thread(work.check_space, sum(sizes.values()))
    for number, (what, fileset, below) in enumerate(items, 1):
        context.tell(f"downloading {fileset} ({sizes[fileset] / 1e6:,.1f} MB)")
        report.note(current_fileset=fileset, fileset=fileset)
        target = work.model if what == "model" else work.data
        await context.helix.filesets.download(fileset, target, below=below, on_bytes=report.bytes)
        if below:
            await asyncio.to_thread(_lift, target, below)
        await asyncio.to_thread(work.note_fetched, what)
        report.note(completed_filesets=number)
    report.note(phase="completed", progress_pct=100)


async def _ensure_trained(context: StepContext, stored: Mapping[str, JsonValue]) -> None:
    work = context.work
    if work.result.is_dir():
        return
    config = read_config(_training_step(context.job).config)
    if not work.is_prepared:
        await _prepare(context, config)
    reporting = config.schedule.progress_reporting
    report = TrainingReport(
        config.schedule.epochs,
        stored,
        interval=reporting.min_report_interval_seconds,
        series=reporting.time_series_metrics,
    )
    # What a killed runner had not reported yet, and does not train again.
    for event in await asyncio.to_thread(list, work.events()):
        if event["event"] in ("data", "train", "validation"):
            report.add(event)
    context.attendant.source = report
    for note in notes(config):
        context.attendant.log(f"note: {note}")
    context.say("training" if not work.attempts else "training goes on from the last checkpoint")
    context.training = TrainingRun(
        work,
        context.launcher,
        context.options.device,
        report,
        context.attendant.log,
        stopping=context.stopping,
    )
    if not await context.training.finish():
        raise Stopped
    await asyncio.to_thread(work.write_stats)
    await asyncio.to_thread(work.clear_training)
    context.say("training completed")


async def _prepare(context: StepContext, config: TrainingStepConfig) -> None:
    work, model = context.work, context.work.model
    if context.storage is None:
        await _fetch(context)
    else:
        model = context.storage / "model"
        check_model((path.name for path in model.glob("*")), where=str(model))
        await asyncio.to_thread(shutil.copytree, context.storage / "dataset", work.data, dirs_exist_ok=True)
    find = find_pairs if config.is_dpo else find_rows
    rows = await asyncio.to_thread(find, work.data, config.dataset.prompt_template)
    base = context.job.spec.get("model")
    if config.model.name is None and isinstance(base, str):
        config.model.name = base
    # Helix 0.8.1 leaves the seed of the job out of the step, which has 1111 whatever was asked for.
    schedule = context.job.spec.get("schedule")
    seed = schedule.get("seed") if isinstance(schedule, dict) else None
    if isinstance(seed, int) and not config.is_dpo:
        config.seed = seed
    limits = {"threads": context.options.threads, "memory_limit_mb": context.options.memory_limit_mb}
    await asyncio.to_thread(trainer_job(config, model, rows, **limits).write, work.path)


async def _stored_details(context: StepContext) -> Mapping[str, JsonValue]:
    status = await context.helix.runner.status(reference(context.step))
    tasks = (task for step in status.steps if step.name == context.step.name for task in step.tasks)
    return next((task.status_details for task in tasks if task.name == context.task), {})


async def _ensure_fileset(context: StepContext, fileset: str) -> None:
    workspace, _, name = fileset.partition("/")
    try:
        await context.helix.filesets.create(name=name, workspace=workspace, purpose="model")
    except ConflictError:
        # The job replaces what an earlier job of that output left.
        await context.helix.filesets.unlock(fileset)


def _hand_over(result: Path, target: Path) -> None:
    """Put the result where the platform's own upload looks for it, complete or not at all."""
    if target.is_dir():
        return
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        shutil.copytree(result, temporary)
        publish_folder(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _lift(target: Path, below: str) -> None:
    """Move the files of a folder of a fileset up, as NVIDIA's download does."""
    inner = target / PurePosixPath(below)
    for path in sorted(inner.iterdir()):
        path.replace(target / path.name)
    shutil.rmtree(target / PurePosixPath(below).parts[0])


def _planned(job: HelixJob, name: str) -> StepSpec:
    steps = job.platform_spec.steps if job.platform_spec else []
    found = next((step for step in steps if step.name == name), None)
    if found is None:
        raise NotFoundError(f"the job {job.name} has no step {name}")
    return found


def _training_step(job: HelixJob) -> StepSpec:
    for name in TRAINING_STEPS:
        try:
            return _planned(job, name)
        except NotFoundError:
            continue
    raise NotFoundError(f"the job {job.name} has no training step that this runner knows")


def _config(step: QueuedStep | StepSpec) -> Mapping[str, Any]:
    spec = step if isinstance(step, StepSpec) else step.step_spec
    return spec.config if spec else {}


def _list(step: QueuedStep | StepSpec, name: str) -> list[dict[str, Any]]:
    found = _config(step).get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise LawtagsError(f"the config of the step {step.name} has no list {name!r}")
    return found


def _fileset(step: QueuedStep, given: JsonValue) -> str:
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        return f"{given.get('workspace') or step.workspace}/{given['name']}"
    raise LawtagsError(f"the config of the step {step.name} names no fileset")


def _folder_of(source: JsonValue) -> str:
    """The folder of a fileset that is wanted; empty for all of it."""
    path = str(source.get("path") or "") if isinstance(source, dict) else ""
    if ".." in PurePosixPath(path).parts:
        raise ConfigurationError(f"the step downloads the folder {path!r}, which leads out of the fileset")
    return path.strip("/")


def _qualified(step: QueuedStep, name: str) -> str:
    return name if "/" in name else f"{step.workspace}/{name}"
