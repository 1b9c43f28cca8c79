"""Platform, runner and pipeline are killed at random moments; one job and one adapter are left."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from recipe_runs import LAWTAGS, RECIPE, counted_by

from lawtags_client import sample
from lawtags_client.helix.client import Helix

from .conftest import OWN_TASKS, PATIENCE, URL, RunnerProcess, steps_trained, training_task

SERVER = os.environ.get("LAWTAGS_HELIX_SERVER", "")
"""The folder of the platform, which this test restarts."""
KILLS = int(os.environ.get("LAWTAGS_HELIX_KILLS", "6"))
STEPS = 400
VICTIMS = ("platform", "runner", "pipeline")
_SCRIPT = Path(__file__).parents[2] / "scripts" / "helix" / "server.py"


class KilledPlatform:
    """NVIDIA's platform, killed and started again on the same data."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def kill(self) -> None:
        for pid in json.loads((self.folder / "run.json").read_text("utf-8"))["pids"]:
            os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        port = str(urlsplit(URL).port)
        words = ["start", "--mode", "customization", "--port", port, "--dir", str(self.folder)]
        subprocess.run([sys.executable, _SCRIPT, *words], check=True, stdout=subprocess.DEVNULL)


class Pipeline:
    """``lawtags run``, started again whenever it has ended without a result."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.words = words
        self.log = folder / "pipeline.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "LAWTAGS_PLATFORM_URL": URL, "LAWTAGS_DIALECT": "helix"}
        with self.log.open("ab") as stream:
            return subprocess.Popen(
                [LAWTAGS, *self.words], cwd=self.folder, env=environment, stdout=stream, stderr=stream
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def go_on(self) -> bool:
        """Start it again if need be; returns whether it has come to its end."""
        code = self.process.poll()
        if code not in (None, 0):
            self.process = self._start()
        return code == 0


@pytest.mark.skipif(OWN_TASKS or not SERVER, reason="the platform is not this test's to restart")
async def test_random_kills_of_platform_runner_and_pipeline_leave_one_job_and_one_adapter(
    helix: Helix, tiny_model: Path, start_runner: Callable[..., RunnerProcess], tmp_path: Path
) -> None:
    seed = os.environ.get("LAWTAGS_HELIX_SEED") or secrets.token_hex(4)
    print(f"LAWTAGS_HELIX_SEED={seed}")
    chance, workspace, began = random.Random(seed), helix.workspace, time.monotonic()
    offered = ("--base-model", f"{workspace}/tiny={tiny_model}", "--serve", f"{workspace}/tiny")
    runner = start_runner("runner", *offered)

    def go_on() -> bool:
        """Start again what has ended too early; returns whether the pipeline has come to its end."""
        nonlocal runner
        if runner.process.poll() is not None:
            runner = start_runner("runner", *offered)
        return pipeline.go_on()

    def said() -> str:
        return pipeline.log.read_text("utf-8")[-4000:] + runner.said[-2000:]

    pipeline = Pipeline(tmp_path, "run", str(_recipe(tmp_path, tiny_model, workspace)), "--name", "killed",
                        "--data", str(_questions(tmp_path)))  # fmt: skip
    platform = KilledPlatform(SERVER)
    # The second half of the kills comes once the training has begun.
    rounds = [chance.sample(VICTIMS, len(VICTIMS)) for _ in range(KILLS // len(VICTIMS))]
    late = {number for number in range(len(rounds)) if number >= len(rounds) // 2}
    victims = [(number, victim) for number, names in enumerate(rounds) for victim in names]
    done = False
    try:
        for number, victim in victims:
            if number in late:
                await _trained(helix, chance.randint(1, STEPS // 4), go_on, said)
            await asyncio.sleep(chance.uniform(0, 15))
            print(f"{time.monotonic() - began:6.1f} s: kill -9 of the {victim}")
            if victim == "platform":
                platform.kill()
                await asyncio.to_thread(platform.start)
            elif victim == "runner":
                runner.kill()
            else:
                pipeline.kill()
            done = go_on()
        deadline = time.monotonic() + 2 * PATIENCE
        while not done:
            assert time.monotonic() < deadline, said()
            done = go_on()
            await asyncio.sleep(1)
    finally:
        print(f"{time.monotonic() - began:6.1f} s: the end")
        if not done:
            pipeline.kill()
    await _check_what_is_left(helix, workspace)


async def _trained(helix: Helix, steps: int, go_on: Callable[[], bool], said: Callable[[], str]) -> None:
    """Wait until the platform knows of so many steps, or the job has ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        jobs = [job async for job in helix.customization.jobs()]
        if jobs and (jobs[0].is_final or steps_trained(await helix.jobs.status(jobs[0].reference)) >= steps):
            return
        assert time.monotonic() < deadline, said()
        go_on()
        await asyncio.sleep(1)


async def _check_what_is_left(helix: Helix, workspace: str) -> None:
    [job] = [job async for job in helix.customization.jobs(workspace=workspace)]
    assert job.status == "completed"
    [adapter] = (await helix.models.get("tiny")).adapters
    assert f"{workspace}/{adapter.name}" == job.output
    task = training_task(await helix.jobs.status(job.reference))
    assert task is not None
    losses = task.status_details["metrics"]["train_loss"]  # type: ignore[index,call-overload]
    assert [point["step"] for point in losses] == list(range(1, STEPS + 1))  # type: ignore[index,union-attr,call-overload]
    claims = [one.name for one in await helix.jobs.results(job.reference) if one.name.startswith("runner-")]
    assert claims == ["runner-claim-1"]
    files = {file.path for file in await helix.filesets.files(str(adapter.fileset))}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "tagger/tagger.json"} <= files
    assert not [path for path in files if path.endswith((".part", ".tmp"))]


def _recipe(folder: Path, model: Path, workspace: str) -> Path:
    changes = counted_by(model, config=f"{workspace}/tiny@helix", output=f"{workspace}/tagger")
    training = {"epochs": 50, "batch_size": 4, "learning_rate": 1e-3, "max_steps": STEPS}
    wait = {"training": PATIENCE, "served": PATIENCE, "evaluation": PATIENCE}
    # Evaluations are child processes of the platform, which this mode of it does not start.
    evaluation = {"bootstrap": 100, "platform_rows": 0}
    path = folder / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(
            RECIPE
            | changes
            | {
                "dataset": {"name": f"{workspace}/questions"},
                "training": training,
                "evaluation": evaluation,
                "wait": wait,
            }
        )
    )
    return path


def _questions(folder: Path) -> Path:
    path = folder / "questions.jsonl"
    with sample.path().open(encoding="utf-8") as source:
        path.write_text("".join(next(source) for _ in range(160)), encoding="utf-8")
    return path
