from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.rl import DpoTraining, RlOutput, RlSpec

from .conftest import OWN_TASKS, RunnerProcess, spec, steps_trained, training_task, until

StartRunner = Callable[..., RunnerProcess]
Dataset = Callable[[int], Awaitable[str]]
CLI = shlex.split(os.environ.get("LAWTAGS_HELIX_CLI", ""))
"""NVIDIA's own command line, from the wheel of the platform."""

by_runner = pytest.mark.skipif(OWN_TASKS, reason="the platform carries out this step itself")


def completed(status: object) -> bool:
    return getattr(status, "status", None) == "completed"


async def test_a_lora_job_is_trained_reported_and_registered(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    job = await helix.customization.automodel.submit(
        spec(base, await dataset(48), "law-lora"), name="law-lora"
    )
    assert job.status == "created"
    runner = start_runner()
    status = await until(helix, "law-lora", completed, runner)

    assert [step.status for step in status.steps] == ["completed"] * 4
    task = training_task(status)
    assert task is not None
    details = task.status_details
    assert (details["max_steps"], details["num_epochs"], details["step"]) == (36, 3, 36)
    assert details["phase"] == "completed"
    assert details["percentage_done"] == 100
    series = details["metrics"]
    assert isinstance(series, dict)
    losses, validation = series["train_loss"], series["val_loss"]
    assert isinstance(losses, list)
    assert isinstance(validation, list)
    assert [point["step"] for point in losses] == list(range(1, 37))  # type: ignore[index,call-overload]
    assert [point["epoch"] for point in validation] == [1, 2, 3]  # type: ignore[index,call-overload]
    assert losses[-1]["value"] < losses[0]["value"]  # type: ignore[index,call-overload,operator]
    assert {"train_lr", "train_grad_norm"} <= series.keys()

    lines = [line.message async for line in helix.jobs.logs("law-lora")]
    assert any(line.startswith("step 36: train_loss") for line in lines)

    adapter = (await helix.models.get("tiny")).adapters
    assert [(one.name, one.fileset) for one in adapter] == [("law-lora", f"{helix.workspace}/law-lora")]
    assert adapter[0].lora_config is not None
    assert (adapter[0].lora_config.rank, adapter[0].lora_config.alpha) == (4, 8)
    files = {file.path for file in await helix.filesets.files("law-lora")}
    assert files == {"adapter_config.json", "adapter_model.safetensors", "checkpoint_stats.json"}
    config = json.loads(await helix.filesets.read("law-lora", "adapter_config.json"))
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 8, base)
    stats = json.loads(await helix.filesets.read("law-lora", "checkpoint_stats.json"))
    assert [point["step"] for point in stats["checkpoints"]] == [12, 24, 36]
    assert runner.stop() == 143


@pytest.mark.skipif(not CLI, reason="LAWTAGS_HELIX_CLI is not set")
async def test_the_command_line_of_nvidia_reads_our_job(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    await helix.customization.automodel.submit(spec(base, await dataset(48), "law-cli"), name="law-cli")
    start_runner()
    await until(helix, "law-cli", completed)

    def shown(*words: str) -> str:
        arguments = [*CLI, *words, "--workspace", helix.workspace]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        print(done.stdout)
        return done.stdout

    status = json.loads(await asyncio.to_thread(shown, "jobs", "get-status", "law-cli", "-f", "json"))
    assert status["status"] == "completed"
    assert (
        status["status_details"]["train_loss"] < status["status_details"]["metrics"]["train_loss"][0]["value"]
    )
    assert "train_loss" in await asyncio.to_thread(shown, "jobs", "get-logs", "law-cli")


async def test_a_killed_runner_goes_on_and_there_is_one_adapter(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    await helix.customization.automodel.submit(
        spec(base, await dataset(4000), "law-kill", epochs=1), name="law-kill"
    )
    first = start_runner()
    seen = await until(helix, "law-kill", lambda status: steps_trained(status) > 40, first)
    first.kill()
    before = training_task(seen)
    assert before is not None
    second = start_runner()
    status = await until(helix, "law-kill", completed, second)
    assert "goes on from the last checkpoint" in second.said
    task = training_task(status)
    assert task is not None
    assert task.name == before.name
    points = task.status_details["metrics"]["train_loss"]  # type: ignore[index,call-overload]
    assert [point["step"] for point in points] == list(range(1, 1001))  # type: ignore[index,union-attr,call-overload]
    assert [one.name for one in (await helix.models.get("tiny")).adapters] == ["law-kill"]
    claims = [one.name for one in await helix.jobs.results("law-kill") if one.name.startswith("runner-")]
    assert claims == ["runner-claim-1"]
    second.wait_until_empty()


async def test_a_cancelled_training_stops_and_leaves_nothing(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    await helix.customization.automodel.submit(
        spec(base, await dataset(8000), "law-stop", epochs=1), name="law-stop"
    )
    runner = start_runner()
    await until(helix, "law-stop", lambda status: steps_trained(status) > 5, runner)
    assert (await helix.jobs.cancel("law-stop")).status == "cancelling"
    status = await until(helix, "law-stop", lambda status: status.status == "cancelled", runner)
    assert status.steps[-1].status == "cancelled"
    assert not (await helix.models.get("tiny")).adapters
    assert runner.process.poll() is None
    runner.wait_until_empty()


async def test_a_paused_training_goes_on_where_it_was(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    await helix.customization.automodel.submit(
        spec(base, await dataset(4000), "law-pause", epochs=1), name="law-pause"
    )
    runner = start_runner()
    await until(helix, "law-pause", lambda status: steps_trained(status) > 5, runner)
    assert (await helix.jobs.pause("law-pause")).status == "pausing"
    paused = await until(helix, "law-pause", lambda status: status.status == "paused", runner)
    done = steps_trained(paused)
    assert 5 < done < 1000
    assert (await helix.jobs.resume("law-pause")).status == "resuming"
    status = await until(helix, "law-pause", completed, runner)
    assert steps_trained(status) == 1000
    assert "goes on from the last checkpoint" in runner.said


@by_runner
async def test_two_runners_share_the_jobs_and_each_is_done_once(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner
) -> None:
    data = await dataset(48)
    names = [f"law-{number}" for number in range(4)]
    for name in names:
        await helix.customization.automodel.submit(spec(base, data, name, epochs=1), name=name)
    runners = [start_runner("one"), start_runner("two")]
    for name in names:
        await until(helix, name, completed)
    for name in names:
        assert sum(f"/{name} training: training completed" in runner.said for runner in runners) == 1
        assert len([one for one in await helix.jobs.results(name) if one.name.startswith("runner-")]) == 1
    assert sorted(one.name for one in (await helix.models.get("tiny")).adapters) == names


@by_runner
@pytest.mark.parametrize("method", ["lora_merged", "all_weights"])
async def test_whole_models_are_registered_as_models(
    helix: Helix, base: str, dataset: Dataset, start_runner: StartRunner, method: str
) -> None:
    await helix.customization.automodel.submit(
        spec(base, await dataset(24), "law-full", method=method, epochs=1), name="law-full"
    )
    await until(helix, "law-full", completed, start_runner())
    model = await helix.models.get("law-full")
    assert (model.finetuning_type, model.base_model) == (method, base)
    files = {file.path for file in await helix.filesets.files("law-full")}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files


@by_runner
async def test_a_model_without_safetensors_fails_the_job_before_it_is_downloaded(
    helix: Helix, dataset: Dataset, start_runner: StartRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "weightless"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    await helix.filesets.create(name="weightless", purpose="model")
    await helix.filesets.upload("weightless", folder)
    await helix.models.create(name="weightless", fileset=f"{helix.workspace}/weightless")
    await helix.customization.automodel.submit(
        spec(f"{helix.workspace}/weightless", await dataset(24), "law-none"), name="law-none"
    )
    start_runner()
    status = await until(helix, "law-none", lambda status: status.status == "error")
    assert status.error_details is not None
    assert "has no safetensors weights; it holds config.json, pytorch_model.bin" in str(
        status.error_details.message
    )


@by_runner
async def test_an_adapter_name_that_belongs_to_another_base_fails_the_job(
    helix: Helix, base: str, tiny_model: Path, dataset: Dataset, start_runner: StartRunner
) -> None:
    from lawtags_stack.runner.start import offer_base_model

    await helix.customization.automodel.submit(
        spec(base, await dataset(24), "law-taken", epochs=1), name="law-taken"
    )
    other = await offer_base_model(helix, f"{helix.workspace}/other", tiny_model)
    await helix.adapters.create_under(other, name="law-taken", fileset=f"{helix.workspace}/tiny")
    start_runner()
    status = await until(helix, "law-taken", lambda status: status.status == "error")
    assert status.error_details is not None
    assert f"belongs to the base model {other}" in str(status.error_details.message)


@pytest.mark.skipif(not OWN_TASKS, reason="the steps around DPO are child processes of the platform")
async def test_a_training_on_preferences_is_uploaded_by_the_platform(
    helix: Helix, base: str, start_runner: StartRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    pair = {"prompt": "Title: lease\nTags:", "chosen": "landlord", "rejected": "trademark"}
    (folder / "train.jsonl").write_text(f"{json.dumps(pair)}\n" * 16)
    (folder / "validation.jsonl").write_text(f"{json.dumps(pair)}\n" * 4)
    await helix.filesets.create(name="pairs", purpose="dataset")
    await helix.filesets.upload("pairs", folder)
    await helix.customization.rl.submit(
        RlSpec(
            model=base,
            dataset="pairs",
            training=DpoTraining(type="dpo", epochs=1, batch_size=4),
            output=RlOutput(name="law-dpo"),
        ),
        name="law-dpo",
    )
    await until(helix, "law-dpo", completed, start_runner())
    model = await helix.models.get("law-dpo")
    assert model.fileset == f"{helix.workspace}/law-dpo"
    files = {file.path for file in await helix.filesets.files("law-dpo")}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
