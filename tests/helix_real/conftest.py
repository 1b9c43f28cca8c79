"""Tests on a real NeMo Helix, which ``make helix`` starts; deselected unless its address is given."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tiny_models import make_model, write_rows

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
from lawtags_client.helix.types.jobs import JobStatus, JobTask
from lawtags_client.helix.types.training import ProgressReporting
from lawtags_client.intents import SqliteIntents
from lawtags_stack.runner.start import offer_base_model

URL = os.environ.get("LAWTAGS_HELIX_URL", "")
OWN_TASKS = bool(os.environ.get("LAWTAGS_HELIX_OWN_TASKS"))
"""Whether the platform downloads, uploads and registers by itself."""
STORAGE = os.environ.get("LAWTAGS_HELIX_STORAGE")
"""The folder that is ``/`` to the platform."""
# NVIDIA's tasks take half a minute each to import what they need, more on a busy machine.
PATIENCE = 900.0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    for item in ours:
        item.add_marker("helix_real")
    if not URL and ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest_asyncio.fixture
async def helix(tmp_path: Path) -> AsyncIterator[Helix]:
    """The platform, with a workspace of its own for each test."""
    intents = SqliteIntents(tmp_path / "intents.sqlite")
    async with Helix(base_url=URL, workspace=f"t-{secrets.token_hex(4)}", intents=intents) as client:
        await client.workspaces.create(name=client.workspace)
        yield client


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base"))


@pytest_asyncio.fixture
async def base(helix: Helix, tiny_model: Path) -> str:
    """A base model on the platform."""
    return await offer_base_model(helix, f"{helix.workspace}/tiny", tiny_model)


@pytest.fixture
def dataset(helix: Helix, tmp_path: Path) -> Callable[[int], Awaitable[str]]:
    """Uploads rows, and returns the fileset."""

    async def made(rows: int) -> str:
        folder = tmp_path / f"rows-{rows}"
        write_rows(folder / "train.jsonl", rows)
        write_rows(folder / "validation.jsonl", 8, start=rows)
        name = f"rows-{rows}"
        await helix.filesets.create(name=name, purpose="dataset")
        await helix.filesets.upload(name, folder)
        return name

    return made


def spec(base: str, data: str, output: str, *, method: str = "lora", epochs: int = 3) -> AutomodelSpec:
    """A training that reports every second."""
    return AutomodelSpec(
        model=base,
        dataset=AutomodelDataset(training=data),
        training=AutomodelTraining(finetuning_type=method, lora=AutomodelLora(rank=4, alpha=8)),
        schedule=AutomodelSchedule(
            epochs=epochs, progress_reporting=ProgressReporting(min_report_interval_seconds=1.0)
        ),
        batch=AutomodelBatch(global_batch_size=4, micro_batch_size=4),
        optimizer=AutomodelOptimizer(learning_rate=0.01, warmup_steps=2),
        output=AutomodelOutput(name=output),
    )


class RunnerProcess:
    """A runner as people start it."""

    def __init__(self, folder: Path, workspace: str, *options: str) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".log")
        words = ["--platform", URL, "--workspace", workspace, "--dir", str(folder), "--device", "cpu"]
        words += ["--job-storage", STORAGE] if STORAGE else []
        words += options
        with self.output.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lawtags_client.cli.local", "runner", *words],
                stdout=stream,
                stderr=stream,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8")

    def wait_until_empty(self) -> None:
        """Wait until it has deleted what it no longer needs."""
        deadline = time.monotonic() + PATIENCE
        while list((self.folder / "jobs").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@pytest.fixture
def start_runner(helix: Helix, tmp_path: Path) -> Iterator[Callable[..., RunnerProcess]]:
    started: list[RunnerProcess] = []

    def start(name: str = "runner", *options: str) -> RunnerProcess:
        started.append(RunnerProcess(tmp_path / name, helix.workspace, *options))
        return started[-1]

    yield start
    for runner in started:
        if runner.process.poll() is None:
            runner.kill()
        print(runner.said)


async def until(
    helix: Helix, job: str, reached: Callable[[JobStatus], bool], runner: RunnerProcess | None = None
) -> JobStatus:
    """Wait for a state of a job."""
    import asyncio

    deadline = time.monotonic() + PATIENCE
    while True:
        found = await helix.jobs.status(job)
        if reached(found):
            return found
        said = runner.said if runner else ""
        assert not found.is_final, f"{found.status}: {found.reason}\n{said}"
        assert time.monotonic() < deadline, f"{found}\n{said}"
        assert runner is None or runner.process.poll() is None, said
        await asyncio.sleep(0.5)


def training_task(status: JobStatus) -> JobTask | None:
    """The task that reports the training."""
    tasks = [task for step in status.steps if "training" in step.name for task in step.tasks]
    return tasks[-1] if tasks else None


def steps_trained(status: JobStatus) -> int:
    """How many steps the platform knows of."""
    task = training_task(status)
    step = task.status_details.get("step") if task else 0
    return step if isinstance(step, int) else 0
