"""Measures one client in its own process; ``client.py`` starts these.

python benchmarks/client_sides.py PART '{"side": …, …}'      prints one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

Call = Callable[[], Awaitable[Any]]


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Peak memory of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def ours(url: str, **settings: Any) -> Any:
    """The lawtags client."""
    from lawtags_client import NeMo, Settings

    return NeMo(Settings(platform_url=url, max_connections=256, **settings))


def official(url: str) -> Any:
    """The official SDK's client."""
    from nemo_microservices import AsyncNeMoMicroservices

    return AsyncNeMoMicroservices(base_url=url, inference_base_url=url)


def fetch(url: str) -> Any:
    """The JSON at a URL, fetched without any of the clients."""
    with urlopen(url) as answer:
        return json.loads(answer.read())


def call_of(side: str, kind: str, url: str) -> Call:
    """One call, as each client makes it."""
    messages = [{"role": "user", "content": "Title: Can pricing be trademarked?\nTags:"}]
    if side == "lawtags":
        from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage

        nemo = ours(url)
        asked = ChatCompletionRequest(model="m", messages=[ChatMessage(**messages[0])], max_tokens=16)
        if kind == "job":
            return lambda: nemo.customizer.jobs.get("cust-still")
        return lambda: nemo.inference.chat(asked)
    if side == "nemo-microservices":
        client = official(url)
        if kind == "job":
            return lambda: client.customization.jobs.retrieve("cust-still")
    else:
        from openai import AsyncOpenAI

        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="x")
    return lambda: client.chat.completions.create(model="m", messages=messages, max_tokens=16)


async def calls(side: str, kind: str, url: str, in_flight: int, total: int) -> dict[str, float]:
    """CPU time per call at a constant concurrency."""
    call = call_of(side, kind, url)

    async def some(number: int) -> None:
        for _ in range(number):
            await call()

    await asyncio.gather(*(some(2) for _ in range(in_flight)))
    begin, started = cpu(), time.perf_counter()
    each = max(1, total // in_flight)
    await asyncio.gather(*(some(each) for _ in range(in_flight)))
    done = each * in_flight
    return {
        "microseconds": (cpu() - begin) / done * 1e6,
        "calls_a_second": done / (time.perf_counter() - started),
    }


async def follow(side: str, url: str, jobs: int, minute: float, every: float) -> dict[str, Any]:
    """Follow all jobs from the server's ``/begin`` until the last has ended."""
    await asyncio.to_thread(fetch, f"{url}/begin")
    begin, started = cpu(), time.monotonic()
    seen: dict[str, float] = {}
    ids = [f"cust-{number}" for number in range(jobs)]
    if side == "lawtags":
        async for change in ours(url).customizer.watch_many(ids):
            if change.final:
                seen[change.id] = time.monotonic() - started
    else:
        # As in the vendor's example, each job is polled separately; here evenly spread over time.
        client = official(url)

        async def one(job_id: str) -> None:
            await asyncio.sleep(every * ids.index(job_id) / jobs)
            while True:
                if (await client.customization.jobs.retrieve(job_id)).status == "completed":
                    break
                await asyncio.sleep(every)
            seen[job_id] = time.monotonic() - started

        await asyncio.gather(*map(one, ids))
    took = time.monotonic() - started
    late = sorted(seen[f"cust-{number}"] - minute * number / jobs for number in range(jobs))
    requests = (await asyncio.to_thread(fetch, f"{url}/stats"))["requests"]
    return {
        "requests_a_second": requests / took,
        "cpu_seconds": cpu() - begin,
        "seconds_late_median": late[jobs // 2],
        "seconds_late_most": late[-1],
        "peak_mib": peak(),
    }


async def tag(url: str, rows: int, concurrency: int | None) -> dict[str, float]:
    """Tag many questions; None for the concurrency means adaptive."""
    from lawtags_client import Question, tag_many

    def questions() -> Iterator[Question]:
        for number in range(rows):
            yield Question(
                id=str(number), title=f"Can pricing be trademarked, case {number}?", body=None, tags=()
            )

    begin, started, done = cpu(), time.perf_counter(), 0
    async for tagged in tag_many(ours(url), questions(), model="m", concurrency=concurrency):
        assert tagged.tags
        done += 1
    return {
        "rows_a_second": done / (time.perf_counter() - started),
        "cpu_microseconds_a_row": (cpu() - begin) / done * 1e6,
        "peak_mib": peak(),
    }


def check(side: str, folder: str) -> dict[str, float]:
    """Read and check rows."""
    size = sum(path.stat().st_size for path in Path(folder).rglob("*.jsonl"))
    if side == "lawtags":
        from lawtags_client.services.data_store.layout import check as check_folder

        check_folder(Path(folder))  # excludes imports and page cache
        begin = cpu()
        check_folder(Path(folder))
    else:
        import pandas

        begin = cpu()
        for path in Path(folder).rglob("*.jsonl"):
            with path.open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            frame = pandas.DataFrame(rows)
            good = frame[["prompt", "completion"]].map(
                lambda text: isinstance(text, str) and bool(text.strip())
            )
            assert good.all().all()
            (frame["prompt"].str.len() + frame["completion"].str.len()).max()
            frame["prompt"].duplicated().sum()
    used = cpu() - begin
    return {"megabytes_a_second": size / 1e6 / used, "cpu_seconds": used, "peak_mib": peak()}


async def upload(side: str, url: str, folder: str, name: str) -> dict[str, float]:
    """Upload a folder to a new or existing repository."""
    if side == "lawtags":
        from lawtags_client.services.data_store.repositories import Repository

        nemo = ours(url)
        repository = Repository.of(name)
        # Imports are excluded for both clients.
        await nemo.data_store.namespaces.create_or_get(repository.namespace)
        begin, started = cpu(), time.perf_counter()
        await nemo.data_store.prepare(repository)
        await nemo.data_store.upload_folder(name, folder)
    else:
        os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_OFFLINE="0")
        from huggingface_hub import HfApi

        api = HfApi(endpoint=f"{url}/v1/hf", token="x")
        await ours(url).data_store.namespaces.create_or_get(name.partition("/")[0])
        api.repo_exists(name, repo_type="dataset")
        begin, started = cpu(), time.perf_counter()
        api.create_repo(name, repo_type="dataset", exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, repo_type="dataset")
    return {"seconds": time.perf_counter() - started, "cpu_seconds": cpu() - begin, "peak_mib": peak()}


PARTS: dict[str, Callable[..., Any]] = {
    "calls": calls,
    "follow": follow,
    "tag": tag,
    "check": check,
    "upload": upload,
}


def main() -> None:
    """Run the measurement that the arguments name."""
    found = PARTS[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(asyncio.run(found) if asyncio.iscoroutine(found) else found))


if __name__ == "__main__":
    main()
