"""Measures one client of NeMo Helix in its own process; ``helix_client.py`` starts these.

python benchmarks/helix_client_sides.py PART '{"side": …, …}'      prints one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Call = Callable[[], Awaitable[Any]]


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """The most memory that this program has had, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def lawtags_calls(url: str, workspace: str) -> dict[str, Call]:
    """The calls of this project's client."""
    from lawtags_client.helix import Helix

    helix = Helix(base_url=url, workspace=workspace)
    return {
        "model": lambda: helix.models.get("base"),
        "status": lambda: helix.jobs.status("tagger"),
        "filesets": lambda: helix.filesets.page(page_size=100),
    }


def nvidia_calls(url: str, workspace: str) -> dict[str, Call]:
    """The same calls of NVIDIA's client, each with its answer as a typed object."""
    from nemo_helix_plugin.files.client import AsyncFilesClient
    from nemo_helix_plugin.jobs.client import AsyncJobsClient
    from nemo_helix_plugin.models.client import AsyncModelsClient

    models = AsyncModelsClient(base_url=url, workspace=workspace)
    jobs = AsyncJobsClient(base_url=url, workspace=workspace)
    files = AsyncFilesClient(base_url=url, workspace=workspace)

    async def model() -> Any:
        return (await models.get_model(name="base")).data()

    async def filesets() -> Any:
        return (await files.list_filesets(query_params={"page_size": 100})).page()

    return {"model": model, "status": lambda: jobs.get_status("tagger"), "filesets": filesets}


SIDES: dict[str, Callable[[str, str], dict[str, Call]]] = {
    "lawtags": lawtags_calls,
    "nemo-helix": nvidia_calls,
}


def ready(side: str, url: str) -> dict[str, float]:
    """CPU time and memory until a client can send its first call."""
    SIDES[side](url, "bench")
    return {"cpu_milliseconds": cpu() * 1000, "mib": peak()}


async def calls(
    side: str, url: str, workspace: str, kind: str, in_flight: int, total: int
) -> dict[str, float]:
    """CPU time per call at a constant concurrency."""
    call = SIDES[side](url, workspace)[kind]

    async def some(number: int) -> None:
        for _ in range(number):
            await call()

    await asyncio.gather(*(some(2) for _ in range(in_flight)))
    begin, started = cpu(), time.perf_counter()
    each = max(1, total // in_flight)
    await asyncio.gather(*(some(each) for _ in range(in_flight)))
    done = each * in_flight
    return {
        "cpu_microseconds": (cpu() - begin) / done * 1e6,
        "calls_per_second": done / (time.perf_counter() - started),
    }


def main() -> None:
    """Measure one part."""
    part, options = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(ready(**options) if part == "ready" else asyncio.run(calls(**options))))


if __name__ == "__main__":
    main()
