"""Known causes of failures, each against a failure that really happens, or an answer as others quote it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from client_kit import connect
from full_disk_worker import FullDiskLauncher
from tiny_models import make_model
from training_stack import BASE, FAST, at_work, body, ended, long, start_stack, upload_rows, wait

from lawtags_client.errors import BadRequestError, JobFailedError
from lawtags_client.platform.diagnosis import advised, diagnose
from lawtags_client.platform.failure_causes import FailureCause, FailureEvidence, find_causes
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    base = make_model(tmp_path_factory.mktemp("base") / "llama")
    with start_stack(tmp_path_factory.mktemp("stack"), base, training_memory_mb=600) as running:
        upload_rows(running, "rows", tmp_path_factory.mktemp("rows"))
        upload_rows(running, "many", tmp_path_factory.mktemp("many"), rows=600)
        folder = tmp_path_factory.mktemp("bad")
        upload_rows(running, "bad", folder)
        path = folder / "training.jsonl"
        path.write_text(path.read_text() + '{"prompt": "no answer"}\n')
        store = next(each.state for each in running.stack.services if each.name == "data_store")
        store.commit("dataset", "law", "bad", {"training/training.jsonl": path}, "spoil it")
        yield running


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.platform_url, timeout=30) as client:
        yield client


def submitted(http: httpx.Client, **fields: object) -> str:
    response = http.post("/v1/customization/jobs", json=body(**fields))
    return str(response.raise_for_status().json()["id"])


def causes(stack: StackThread, folder: Path, job: str) -> list[FailureCause]:
    async def work() -> list[FailureCause]:
        async with connect(stack, folder) as nemo:
            return list((await diagnose(nemo, job)).causes)

    return asyncio.run(work())


def names(found: list[FailureCause]) -> list[str]:
    return [cause.name for cause in found]


@pytest.mark.slow
def test_a_bad_row_is_named_with_the_command_that_uploads_again(
    http: httpx.Client, stack: StackThread, tmp_path: Path
) -> None:
    job = submitted(http, dataset="law/bad")
    wait(http, job, ended)
    (cause,) = causes(stack, tmp_path, job)
    assert cause.name == "dataset-schema"
    assert cause.command == "lawtags upload FOLDER law/bad"
    assert "training/training.jsonl:25: field 'completion'" in cause.evidence

    async def followed() -> None:
        async with connect(stack, tmp_path) as nemo:
            async for _ in V1Platform(nemo).follow(job, timeout=60, stall=60):
                pass

    # Whoever follows the job is told the same.
    with pytest.raises(JobFailedError) as caught:
        asyncio.run(followed())
    assert caught.value.hint is not None and caught.value.hint.startswith(str(cause))


@pytest.mark.slow
def test_too_little_memory_wants_a_smaller_batch(
    http: httpx.Client, stack: StackThread, tmp_path: Path
) -> None:
    job = submitted(http, hyperparameters=FAST | {"lora": {"adapter_dim": 1 << 20}})
    wait(http, job, ended)
    (cause,) = causes(stack, tmp_path, job)
    assert cause.name == "gpu-memory"
    assert cause.command == "lawtags run RECIPE --set training.batch_size=3"


@pytest.mark.slow
def test_a_waiting_job_waits_for_a_gpu_until_it_has_one(
    http: httpx.Client, stack: StackThread, tmp_path: Path
) -> None:
    first = http.post("/v1/customization/jobs", json=long()).json()["id"]
    wait(http, first, at_work)
    second = submitted(http)
    wait(http, second, lambda status: status["status"] == "pending")
    assert names(causes(stack, tmp_path, second)) == ["no-free-gpu"]
    http.post(f"/v1/customization/jobs/{first}/cancel").raise_for_status()
    wait(http, second, ended)
    assert causes(stack, tmp_path, second) == []


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("batch_size is 64, but there are only 11 validation rows", 8),
        ("batch_size is 64, but there are only 1 validation rows", 1),
        ("batch size 64 is larger than the 32 validation samples", 32),
        ("the batch size exceeds the validation set", 32),
        ("batch_size is 64, but there are only 0 validation rows", 32),
    ],
)
def test_a_batch_that_the_validation_rows_fill_is_proposed(text: str, batch: int) -> None:
    (cause,) = find_causes(FailureEvidence(job="cust-1", texts=[text], batch_size=64))
    assert cause.name == "batch-larger-than-validation"
    assert cause.command == f"lawtags run RECIPE --set training.batch_size={batch}"


@pytest.mark.slow
def test_an_adapter_that_is_not_listed_and_a_batch_above_the_validation_rows(
    http: httpx.Client, stack: StackThread, tmp_path: Path
) -> None:
    job = submitted(http, hyperparameters=FAST | {"batch_size": 12}, output_model="law/unlisted@v1")
    status = wait(http, job, ended)
    assert status["status"] == "completed"
    http.delete("/v1/models/law/unlisted@v1").raise_for_status()
    found = causes(stack, tmp_path, job)
    assert names(found) == ["batch-larger-than-validation", "adapter-not-listed"]
    assert found[0].command == "lawtags run RECIPE --set training.batch_size=4"
    assert "test/llama" in found[1].evidence


def test_a_config_without_its_version_is_refused_with_the_way_to_list_them(
    stack: StackThread, tmp_path: Path
) -> None:
    async def work() -> None:
        async with connect(stack, tmp_path) as nemo:
            request = CustomizationJobRequest(
                config="test/llama",
                dataset="law/rows",
                hyperparameters=Hyperparameters(finetuning_type="lora"),
            )
            await nemo.customizer.jobs.create(request)

    with pytest.raises(BadRequestError) as caught:
        asyncio.run(work())
    hint = advised(caught.value).hint
    assert hint is not None and "without its version" in hint and hint.endswith(": lawtags models ls")


@pytest.mark.slow
def test_a_full_disk_and_a_base_model_that_is_damaged_or_gone(tmp_path: Path) -> None:
    base = make_model(tmp_path / "llama")
    options = StackOptions(base_models={BASE: base}, training_threads=1)
    with (
        StackThread(tmp_path / "stack", options=options, launcher=FullDiskLauncher()) as stack,
        httpx.Client(base_url=stack.platform_url, timeout=30) as http,
    ):
        (tmp_path / "rows").mkdir()
        upload_rows(stack, "rows", tmp_path / "rows")

        def cause() -> FailureCause:
            job = submitted(http)
            assert wait(http, job, ended)["status"] == "failed"
            (found,) = causes(stack, tmp_path, job)
            return found

        full = cause()
        assert (full.name, full.command) == ("disk-full", "lawtags local up --dir FOLDER")
        config = (base / "config.json").read_text()
        damages = {
            "is not a safetensors file": lambda: (base / "model.safetensors").write_bytes(b"junk"),
            "cannot be loaded": lambda: (base / "config.json").write_text(config[:-20]),
            "does not exist": lambda: shutil.rmtree(base),
        }
        for said, damage in damages.items():
            damage()
            found = cause()
            assert (found.name, said in found.evidence) == ("no-weights", True), found
            assert found.command == "lawtags local up --base-model NAME=FOLDER"


# As users and the vendor's pages quote them.
@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "gpu-memory",
        ),
        (
            "403 Client Error. Cannot access gated repo for url https://huggingface.co/google/gemma-2-2b/resolve/",
            "hub-token",
        ),
        ("Access to model google/gemma-2-2b is restricted. You must have access to it", "hub-token"),
        ("OOMKilled: Container main was terminated", "gpu-memory"),
        ("NotEnoughResources: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "no-free-gpu"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {nvidia.com/gpu: present}.", "no-node"),
        (
            "FailedScheduling: 0/4 nodes are available: 1 node(s) had untolerated taint "
            "{nvidia.com/gpu: present}, 3 Insufficient nvidia.com/gpu. preemption: 0/4 nodes are available: "
            "4 No preemption victims found",
            "no-free-gpu",
        ),
        ("FailedScheduling: 0/2 nodes are unavailable: 2 Insufficient nvidia.com/gpu.", "no-free-gpu"),
        ("0/2 nodes are available: 2 Insufficient nvidia.com/mig-3g.40gb.", "no-free-gpu"),
        (
            "Unschedulable: No nodes with enough resources were found: "
            "2 node(s) didn't have enough resources: GPUs.",
            "no-free-gpu",
        ),
        ("Unschedulable: 0/3 nodes are available: 3 cannot allocate all claims.", "no-free-gpu"),
        (
            "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor "
            "default-flavor, 1 more needed",
            "no-free-gpu",
        ),
        (
            'pods "train-0" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, '
            "used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4",
            "no-free-gpu",
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1",
            "no-volume",
        ),
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", "no-volume"),
        ('FailedAttachVolume: Multi-Attach error for volume "pvc-1"', "no-volume"),
        ('Failed: Failed to pull image "nvcr.io/nvidia/x:25.08": 401 Unauthorized', "no-image"),
        ("Unschedulable: 0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.", "no-room"),
        ("0/2 nodes are unavailable: 2 node(s) didn't match Pod's node affinity/selector.", "no-node"),
        ("KeyError: 'completion'", "dataset-schema"),
        ("Batch size 16 is larger than the number of validation samples", "batch-larger-than-validation"),
        ("the training loss became nan at step 7. Lower learning_rate", "diverged"),
        ("killed by SIGKILL", "killed"),
    ],
)
def test_quoted_failures_are_recognized(text: str, name: str) -> None:
    assert names(find_causes(FailureEvidence(job="j", texts=["created", text]))) == [name]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("created", ["no-free-gpu"]),
        ("pending", ["no-free-gpu"]),
        ("running", ["gpu-memory"]),
        ("failed", ["gpu-memory"]),
    ],
)
def test_what_a_job_waited_for_is_over_once_it_runs(status: str, expected: list[str]) -> None:
    waited = "FailedScheduling: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    volume = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    texts = [waited] if status in ("created", "pending") else [waited, "OOMKilled"]
    if status == "running":
        texts.insert(0, volume)
    assert names(find_causes(FailureEvidence(job="j", texts=texts, status=status))) == expected


def test_a_base_model_that_nobody_serves_wants_a_deployment() -> None:
    evidence = FailureEvidence(
        job="j",
        texts=(),
        status="completed",
        base_model="google/gemma-2-2b-it",
        output_model="law/tagger@v1",
        served=frozenset({"meta/llama-3.2-1b"}),
    )
    (cause,) = find_causes(evidence)
    assert cause.name == "nim-not-loaded"
    assert cause.command == "lawtags deploy google/gemma-2-2b-it --image IMAGE:TAG"


@pytest.mark.parametrize("text", ["completed", "Training: float32", "DatasetReady: 24 rows", "x" * 10**6])
def test_what_is_no_failure_has_no_cause(text: str) -> None:
    assert find_causes(FailureEvidence(job="j", texts=[text])) == []
