"""Large answers leave the event loop its turns, and are read as small ones are."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from client_kit import PLATFORM, client

from lawtags_client.errors import ProtocolError
from lawtags_client.services.data_store.repositories import Repository

T = TypeVar("T")


def _job(number: int) -> dict[str, Any]:
    moment = "2026-11-01T00:00:00"
    logs = [{"updated_at": moment, "message": "created", "detail": f"step {n}"} for n in range(3)]
    return {
        "id": f"cust-{number}",
        "created_at": moment,
        "config": "law/config",
        "dataset": {"name": "tags", "namespace": "law"},
        "hyperparameters": {"finetuning_type": "lora", "batch_size": 8, "lora": {"adapter_dim": 8}},
        "output_model": f"law/tagger-{number} 😀",
        "status": "completed",
        "status_details": {"created_at": moment, "updated_at": moment, "status_logs": logs},
        "custom_fields": {"lawtags_intent": "a" * 32},
    }


def _jobs(number: int) -> dict[str, Any]:
    jobs = [_job(each) for each in range(number)]
    return {"object": "list", "data": jobs, "pagination": {"page": 1, "page_size": number, "total_pages": 1}}


def _files(number: int) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": f"{each}.jsonl", "size": each, "oid": "a" * 40} for each in range(number)
    ]


def _vectors(number: int) -> dict[str, Any]:
    vectors = [{"object": "embedding", "index": each, "embedding": [0.5] * 256} for each in range(number)]
    return {"object": "list", "model": "m", "data": vectors, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


async def _longest_gap(work: Callable[[], Awaitable[T]]) -> tuple[T, float, float]:
    """What the work returns, and CPU seconds of this process between turns of the loop: at most, and in all.

    CPU time does not grow while other processes have the machine.
    """
    gaps: list[float] = []

    async def take_turns() -> None:
        before = time.process_time()
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            gaps.append(now - before)
            before = now

    turns = asyncio.create_task(take_turns())
    # A collection of garbage holds all threads for as long as the objects of all earlier tests need.
    gc.collect()
    gc.freeze()
    try:
        await asyncio.sleep(0)
        gaps.clear()
        found = await work()
        await asyncio.sleep(0)
    finally:
        gc.unfreeze()
        turns.cancel()
    return found, max(gaps), sum(gaps)


@pytest.mark.parametrize(("kind", "number"), [("jobs", 6000), ("files", 40_000), ("vectors", 4000)])
async def test_a_large_answer_leaves_the_loop_its_turns(kind: str, number: int, tmp_path: Path) -> None:
    made: Any = {"jobs": _jobs, "files": _files, "vectors": _vectors}[kind](number)
    body = json.dumps(made).encode()
    urls = {"data_store_url": PLATFORM, "inference_url": PLATFORM}
    async with client(lambda _: httpx.Response(200, content=body), tmp_path, **urls) as nemo:

        async def read() -> int:
            if kind == "jobs":
                return len([job async for job in nemo.customizer.jobs.list(page_size=number)])
            if kind == "files":
                return len(await nemo.data_store.repositories.tree(Repository.of("law/tags")))
            return len((await nemo.inference.embed(model="m", input="a")).data)

        # Threads that an earlier test has left may take the processor once, but not each time.
        tries = [await _longest_gap(read) for _ in range(3)]
    for read_in_all, _, _ in tries:
        assert read_in_all == len(made if isinstance(made, list) else made["data"])
    assert any(longest < whole / 3 for _, longest, whole in tries), tries


@pytest.mark.parametrize("number", [3, 3000])
async def test_what_is_wrong_in_an_answer_is_named_whatever_its_size(number: int, tmp_path: Path) -> None:
    answer = _jobs(number)
    answer["data"][number - 1]["created_at"] = "yesterday"
    async with client(lambda _: httpx.Response(200, json=answer), tmp_path) as nemo:
        with pytest.raises(ProtocolError, match=rf"data\.{number - 1}\.created_at"):
            await nemo.customizer.jobs.page()
