"""The runner carries out jobs of the embedded Helix dialect; tests/helix_real does the same with NVIDIA's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from free_ports import free_ports
from full_disk_worker import FullDiskLauncher
from shared_launcher import shared_launcher
from tiny_models import make_model, write_rows

from lawtags_client.client import NeMo
from lawtags_client.errors import JobFailedError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.automodel import (
    AutomodelBatch,
    AutomodelDataset,
    AutomodelLora,
    AutomodelOptimizer,
    AutomodelOutput,
    AutomodelSchedule,
    AutomodelSpec,
    AutomodelTraining,
)
from lawtags_client.helix.types.jobs import JobStatus
from lawtags_client.helix.types.training import ProgressReporting
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.choice import training_jobs
from lawtags_client.platform.failure_causes import FailureCause
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.platform.helix_diagnosis import diagnose_on_helix
from lawtags_client.settings import Settings
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.runner.loop import Runner
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.start import offer_base_model
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

# Only what hangs takes so long.
PATIENCE = 240.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    folder = tmp_path_factory.mktemp("helix") / "stack"
    with StackThread(folder, options=StackOptions(dialect="helix"), launcher=shared_launcher()) as thread:
        yield thread


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest_asyncio.fixture
async def helix(stack: StackThread, tiny_model: Path, tmp_path: Path) -> AsyncIterator[Helix]:
    """The platform, with a workspace for each test."""
    async with prepared(stack.platform_url, tiny_model, tmp_path) as client:
        yield client


@contextlib.asynccontextmanager
async def prepared(url: str, tiny_model: Path, tmp_path: Path) -> AsyncIterator[Helix]:
    """A client with a workspace, a base model and rows."""
    workspace = f"t-{secrets.token_hex(4)}"
    intents = SqliteIntents(tmp_path / "intents.sqlite")
    async with Helix(base_url=url, workspace=workspace, intents=intents) as client:
        await offer_base_model(client, f"{workspace}/tiny", tiny_model)
        for name, count in (("few", 24), ("many", 1600)):
            write_rows(tmp_path / name / "train.jsonl", count)
            write_rows(tmp_path / name / "validation.jsonl", 4, start=count)
            await client.filesets.create(name=name)
            await client.filesets.upload(name, tmp_path / name)
        yield client


async def submit(helix: Helix, name: str, rows: str, *, precision: str | None = None) -> None:
    spec = AutomodelSpec(
        model=f"{helix.workspace}/tiny",
        dataset=AutomodelDataset(training=rows),
        training=AutomodelTraining(finetuning_type="lora", lora=AutomodelLora(rank=4, alpha=8)),
        schedule=AutomodelSchedule(progress_reporting=ProgressReporting(min_report_interval_seconds=0.1)),
        batch=AutomodelBatch(global_batch_size=4, micro_batch_size=4),
        optimizer=AutomodelOptimizer(learning_rate=0.01),
        output=AutomodelOutput(name=name),
    )
    if precision is not None:
        assert spec.training is not None
        spec.training.precision = precision
    await helix.customization.automodel.submit(spec, name=name)


@contextlib.asynccontextmanager
async def running(
    helix: Helix, folder: Path, lines: list[str], launcher: Launcher | None = None, **settings: float
) -> AsyncIterator[None]:
    """A runner, stopped as by Ctrl-C at the end."""
    options = RunnerOptions(
        folder=folder, device="cpu", workspace=helix.workspace, threads=1, poll_seconds=0.1, **settings
    )
    started_by = launcher or shared_launcher()
    runner = Runner(helix, options, runner=folder.name, launcher=started_by, say=lines.append)
    task = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(helix: Helix, job: str, reached: Callable[[JobStatus], bool]) -> JobStatus:
    deadline = time.monotonic() + PATIENCE
    while not reached(found := await helix.jobs.status(job)):
        assert not found.is_final, f"{found.status}: {found.reason}"
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    return found


async def emptied(folder: Path) -> None:
    """Wait until the runner has deleted what it no longer needs, which it does after a job's end."""
    deadline = time.monotonic() + PATIENCE
    while list((folder / "jobs").iterdir()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def is_completed(status: JobStatus) -> bool:
    return status.status == "completed"


def steps_of(status: JobStatus) -> int:
    tasks = [task for step in status.steps if step.name == "training" for task in step.tasks]
    found = tasks[-1].status_details.get("step", 0) if tasks else 0
    return found if isinstance(found, int) else 0


async def test_a_job_is_carried_out_to_its_adapter(helix: Helix, tmp_path: Path) -> None:
    await submit(helix, "law-lora", "few")
    lines: list[str] = []
    async with running(helix, tmp_path / "runner", lines):
        status = await until(helix, "law-lora", is_completed)
        await emptied(tmp_path / "runner")
    assert [step.status for step in status.steps] == ["completed"] * 4
    assert steps_of(status) == 6
    (cause,) = (await diagnose_on_helix(helix, f"{helix.workspace}/law-lora")).causes
    assert cause.name == "output-not-served"
    assert cause.command.endswith(f" --serve {helix.workspace}/tiny")
    [adapter] = (await helix.models.get("tiny")).adapters
    assert (adapter.name, adapter.fileset) == ("law-lora", f"{helix.workspace}/law-lora")
    files = {file.path for file in await helix.filesets.files("law-lora")}
    assert files == {"adapter_config.json", "adapter_model.safetensors", "checkpoint_stats.json"}
    logged = [line.message async for line in helix.jobs.logs("law-lora")]
    assert any(line.startswith("step 6: train_loss") for line in logged)


async def test_pause_resume_and_another_runner_that_keeps_off(helix: Helix, tmp_path: Path) -> None:
    await submit(helix, "law-pause", "many")
    lines: list[str] = []
    others: list[str] = []
    async with running(helix, tmp_path / "one", lines):
        await until(helix, "law-pause", lambda status: steps_of(status) > 5)
        async with running(helix, tmp_path / "two", others):
            await helix.jobs.pause("law-pause")
            paused = await until(helix, "law-pause", lambda status: status.status == "paused")
            assert steps_of(paused) < 400
            await helix.jobs.resume("law-pause")
            done = await until(helix, "law-pause", is_completed)
    assert steps_of(done) == 400
    assert any("goes on from the last checkpoint" in line for line in lines)
    assert not others
    claims = [one.name for one in await helix.jobs.results("law-pause") if one.name.startswith("runner-")]
    assert claims == ["runner-claim-1"]


async def test_a_cancelled_job_leaves_no_adapter_and_no_files(helix: Helix, tmp_path: Path) -> None:
    await submit(helix, "law-cancel", "many")
    async with running(helix, tmp_path / "runner", []):
        await until(helix, "law-cancel", lambda status: steps_of(status) > 5)
        await helix.jobs.cancel("law-cancel")
        await until(helix, "law-cancel", lambda status: status.status == "cancelled")
        await emptied(tmp_path / "runner")
    assert not (await helix.models.get("tiny")).adapters


async def test_a_workspace_that_is_deleted_ends_its_training_and_leaves_no_files(
    helix: Helix, tmp_path: Path
) -> None:
    await submit(helix, "law-gone", "many")
    lines: list[str] = []
    async with running(helix, tmp_path / "runner", lines):
        await until(helix, "law-gone", lambda status: steps_of(status) > 5)
        await helix.workspaces.delete(helix.workspace)
        await emptied(tmp_path / "runner")
    assert lines[-1].endswith("training: the job is gone: it was deleted, or its workspace was")


async def test_no_point_of_a_runner_that_was_stopped_is_missing(helix: Helix, tmp_path: Path) -> None:
    await submit(helix, "law-gap", "many")
    lines: list[str] = []
    async with running(helix, tmp_path / "one", lines):
        await until(helix, "law-gap", lambda status: steps_of(status) > 5)
    async with running(helix, tmp_path / "one", lines):
        status = await until(helix, "law-gap", is_completed)
    [task] = next(step for step in status.steps if step.name == "training").tasks
    metrics = task.status_details["metrics"]
    assert isinstance(metrics, dict)
    points = metrics["train_loss"]
    assert isinstance(points, list)
    assert [point["step"] for point in points if isinstance(point, dict)] == list(range(1, 401))


async def test_a_stopped_runner_goes_on_and_a_dead_one_is_replaced(helix: Helix, tmp_path: Path) -> None:
    await submit(helix, "law-stop", "many")
    lines: list[str] = []
    async with running(helix, tmp_path / "one", lines):
        await until(helix, "law-stop", lambda status: steps_of(status) > 5)
    async with running(helix, tmp_path / "one", lines):
        await until(helix, "law-stop", lambda status: steps_of(status) > 100)
    assert any("goes on from the last checkpoint" in line for line in lines)
    async with running(helix, tmp_path / "two", lines, stale_seconds=1.0):
        done = await until(helix, "law-stop", is_completed)
    assert steps_of(done) == 400
    assert [adapter.name for adapter in (await helix.models.get("tiny")).adapters] == ["law-stop"]
    claims = {one.name for one in await helix.jobs.results("law-stop") if one.name.startswith("runner-")}
    assert claims == {"runner-claim-1", "runner-claim-2"}
    # The first runner finds out at its next start, and leaves nothing behind.
    lines.clear()
    await submit(helix, "law-next", "few")
    async with running(helix, tmp_path / "one", lines):
        await until(helix, "law-next", is_completed)
        await emptied(tmp_path / "one")
    assert not any("/law-stop" in line for line in lines)


async def test_a_name_under_another_base_and_a_model_without_weights_fail_in_words(
    helix: Helix, tiny_model: Path, tmp_path: Path
) -> None:
    await submit(helix, "law-taken", "few")
    other = await offer_base_model(helix, f"{helix.workspace}/other", tiny_model)
    await helix.adapters.create_under(other, name="law-taken", fileset=f"{helix.workspace}/tiny")
    await submit(helix, "law-empty", "few")
    await helix.filesets.delete_file("tiny", "model.safetensors")
    async with running(helix, tmp_path / "runner", []):
        taken = await until(helix, "law-taken", lambda status: status.status == "error")
        empty = await until(helix, "law-empty", lambda status: status.status == "error")
    # Before its training, not after.
    assert [step.name for step in taken.steps if step.status == "error"] == ["model-and-dataset-download"]
    (cause,) = (await diagnose_on_helix(helix, f"{helix.workspace}/law-taken")).causes
    assert cause.name == "adapter-name-taken"
    assert cause.command == "lawtags run RECIPE --set model.output=WORKSPACE/NAME"
    assert "has no safetensors weights" in str(empty.reason)
    assert empty.steps[0].status == "error"
    (cause,) = (await diagnose_on_helix(helix, f"{helix.workspace}/law-empty")).causes
    assert cause.name == "no-weights"
    assert cause.command.endswith(" --base-model WORKSPACE/NAME=FOLDER")


async def test_what_a_runner_refuses_is_explained_with_the_command_that_cures_it(
    helix: Helix, stack: StackThread, tmp_path: Path
) -> None:
    bad = json.dumps({"prompt": "no answer"}).encode()
    for name, path, rows in (("bad", "train.jsonl", bad), ("lost", "notes.txt", b"none")):
        await helix.filesets.create(name=name)
        await helix.filesets.upload(name, {path: rows})
        await submit(helix, f"law-{name}", name)
    await submit(helix, "law-fp8", "few", precision="fp8")
    found: dict[str, FailureCause] = {}
    async with running(helix, tmp_path / "runner", []):
        for name in ("bad", "lost", "fp8"):
            job = f"law-{name}"
            await until(helix, job, lambda status: status.status == "error")
            (found[name],) = (await diagnose_on_helix(helix, f"{helix.workspace}/{job}")).causes
    assert {name: cause.name for name, cause in found.items()} == {
        "bad": "dataset-schema",
        "lost": "dataset-files",
        "fp8": "unsupported-setting",
    }
    assert found["bad"].command == "lawtags run RECIPE --data QUESTIONS"
    assert found["fp8"].command == f"lawtags jobs show {helix.workspace}/law-fp8"
    assert "model.precision" in found["fp8"].evidence

    # Whoever follows the job is told the same.
    with pytest.raises(JobFailedError) as failed:
        async for _ in HelixPlatform(helix).follow(f"{helix.workspace}/law-fp8", timeout=60, stall=60):
            pass
    assert (failed.value.hint or "").startswith(str(found["fp8"]))
    settings = Settings(platform_url=stack.platform_url, trust_env=False)
    async with NeMo(settings, intents=helix.intents) as nemo, training_jobs(nemo) as jobs:
        assert (await jobs.why(f"{helix.workspace}/law-fp8")).causes == (found["fp8"],)


async def test_a_disk_that_fills_up_in_a_training_fails_in_words_and_leaves_nothing(
    helix: Helix, tmp_path: Path
) -> None:
    await submit(helix, "law-disk", "many")
    lines: list[str] = []
    folder = tmp_path / "runner"
    async with running(helix, folder, lines, FullDiskLauncher()):
        with contextlib.suppress(AssertionError):
            await until(helix, "law-disk", is_completed)
        await emptied(folder)
    status = await helix.jobs.status("law-disk")
    assert status.status == "error"
    assert status.reason == "no space is left on the disk of the machine that trains"
    assert {step.name: step.status for step in status.steps} == {
        "model-and-dataset-download": "completed",
        "training": "error",
    }
    said = [line.message async for line in helix.jobs.logs("law-disk", step="training")]
    assert any("no space is left" in line and "another --dir" in line for line in said)
    assert not any("starting again" in line for line in said)
    assert await helix.filesets.find("law-disk") is None
    assert await helix.adapters.find("law-disk") is None
    (cause,) = (await diagnose_on_helix(helix, f"{helix.workspace}/law-disk")).causes
    assert (cause.name, cause.command[-13:]) == ("disk-full", " --dir FOLDER")


async def test_a_platform_that_stops_meanwhile_gets_the_whole_report_later(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder, options, lines = tmp_path / "stack", StackOptions(dialect="helix"), list[str]()
    # While it is away, nobody else must be given its ports.
    port = free_ports()
    with StackThread(folder, port, options=options, launcher=shared_launcher()) as first:
        url = first.platform_url
        async with contextlib.AsyncExitStack() as open_until_the_end:
            helix = await open_until_the_end.enter_async_context(prepared(url, tiny_model, tmp_path))
            await submit(helix, "law-away", "many")
            await open_until_the_end.enter_async_context(running(helix, tmp_path / "runner", lines))
            await until(helix, "law-away", lambda status: steps_of(status) > 5)
            await asyncio.to_thread(first.stop)
            deadline = time.monotonic() + PATIENCE
            while not any("does not answer" in line for line in lines):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            with StackThread(folder, port, options=options, launcher=shared_launcher()):
                status = await until(helix, "law-away", is_completed)
                [task] = next(step for step in status.steps if step.name == "training").tasks
                metrics = task.status_details["metrics"]
                assert isinstance(metrics, dict)
                assert isinstance(metrics["train_loss"], list)
                assert len(metrics["train_loss"]) == 400
                await open_until_the_end.aclose()
    assert "the platform answers again" in lines
