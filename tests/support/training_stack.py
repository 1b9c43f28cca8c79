"""A stack that trains a tiny model, and helpers for its tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from shared_launcher import shared_launcher
from tiny_models import write_rows

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

BASE = "test/llama"
CONFIG = "test/llama@v1.0.0+cpu"
FAST = {"finetuning_type": "lora", "batch_size": 6, "epochs": 2, "learning_rate": 0.02, "warmup_steps": 1}


def start_stack(folder: Path, base_model: Path, **settings: Any) -> StackThread:
    """Start a stack with the given base model."""
    options = StackOptions(base_models={BASE: base_model}, training_threads=1, **settings)
    return StackThread(folder, options=options, launcher=shared_launcher())


def upload_rows(
    stack: StackThread, name: str, folder: Path, rows: int = 24, write: Callable[..., None] = write_rows
) -> None:
    """Upload a dataset in the namespace ``law``, with six additional rows for validation."""
    write(folder / "training.jsonl", rows)
    write(folder / "validation.jsonl", 6, start=rows)
    store = next(each.state for each in stack.stack.services if each.name == "data_store")
    store.repo_create("dataset", "law", name, make_namespace=True)
    files = {f"{kind}/{kind}.jsonl": folder / f"{kind}.jsonl" for kind in ("training", "validation")}
    store.commit("dataset", "law", name, files, "add rows")
    with httpx.Client(base_url=stack.platform_url) as client:
        client.post("/v1/namespaces", json={"id": "law"})
        entity = {"name": name, "namespace": "law", "files_url": f"hf://datasets/law/{name}"}
        client.post("/v1/datasets", json=entity).raise_for_status()


def wait(
    client: httpx.Client, job: str, until: Callable[[dict[str, Any]], bool], seconds: float = 120
) -> dict[str, Any]:
    """Wait for a job's status to meet a condition, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        status: dict[str, Any] = client.get(f"/v1/customization/jobs/{job}/status").json()
        if until(status):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def ended(status: dict[str, Any]) -> bool:
    """Whether a job has ended."""
    return status["status"] in ("completed", "failed", "cancelled")


def body(**fields: Any) -> dict[str, Any]:
    """A job on the dataset ``law/rows``."""
    return {"config": CONFIG, "dataset": "law/rows", "hyperparameters": FAST} | fields


def long(epochs: int = 10_000, **fields: Any) -> dict[str, Any]:
    """A job on ``law/many`` with 100 steps per epoch, without early stopping in the first thousand steps."""
    return body(dataset="law/many", hyperparameters=FAST | {"epochs": epochs}, **fields)


def at_work(status: dict[str, Any]) -> bool:
    """Whether a training has completed its first steps."""
    return status["steps_completed"] >= 3


def worker_pid(stack: StackThread, job: str) -> int:
    """The pid of a job's training process."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").split()
            except OSError:
                continue
            if any(word.endswith(f"/jobs/{job}".encode()) for word in words):
                return int(process.name)
    raise AssertionError(f"no worker of {job}")
