"""A stack that serves a tiny model and an adapter, stored as a customization job would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from shared_launcher import shared_launcher

from lawtags_stack.chaos import ChaosPlan
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

BASE = "tests/tiny"
ADAPTER = "tests/tagger@cust-1"
REFRESH = 0.1


@dataclass(frozen=True, slots=True)
class ServedStack:
    """A running stack and its parts."""

    thread: StackThread
    base: Path
    adapter: Path

    def put_model(self, name: str, files: Path, **fields: object) -> None:
        """Store a model's files and register it, over HTTP as any client would."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=f"{self.thread.data_store_url}/v1/hf", token="test")
        repo = f"tests/{name.partition('@')[0]}"
        api.create_repo(repo, exist_ok=True)
        api.upload_folder(folder_path=files, repo_id=repo, ignore_patterns=["README.md"])
        body = {
            "namespace": "tests",
            "name": name,
            "artifact": {"files_url": f"hf://{repo}", "status": "upload_completed"},
            **fields,
        }
        httpx.post(f"{self.thread.platform_url}/v1/models", json=body).raise_for_status()

    def wait_until_served(self, model: str, seconds: float = 240.0) -> None:
        """Poll the inference server until it lists a model."""
        wait_for(lambda: model in self.served(), seconds)

    def served(self) -> list[str]:
        """The ids that the inference server lists."""
        listed = httpx.get(f"{self.thread.inference_url}/v1/models").json()
        return [model["id"] for model in listed["data"]]


def wait_for(condition: Callable[[], bool], seconds: float = 240.0) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@contextmanager
def served_stack(
    folder: Path, base: Path, adapter: Path, *, chaos: ChaosPlan | None = None
) -> Iterator[ServedStack]:
    """Run a stack on a tiny base model with one adapter that is visible."""
    options = StackOptions(
        refresh_interval=REFRESH, base_models={BASE: base}, inference_threads=1, chaos=chaos
    )
    with StackThread(folder, options=options, launcher=shared_launcher()) as thread:
        httpx.post(f"{thread.platform_url}/v1/namespaces", json={"id": "tests"}).raise_for_status()
        httpx.post(
            f"{thread.data_store_url}/v1/datastore/namespaces", data={"namespace": "tests"}
        ).raise_for_status()
        stack = ServedStack(thread, base, adapter)
        stack.put_model("tagger@cust-1", adapter, base_model=BASE, peft={"finetuning_type": "lora"})
        stack.wait_until_served(ADAPTER)
        yield stack
