"""``lawtags runs metrics``: the runs of a folder and the jobs of the platform, for Prometheus."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Runs
from lawtags_client.cli.session import Session
from lawtags_client.errors import LawtagsError

Listen = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Serve them at /metrics; without it, print them once."
    ),
]
Jobs = Annotated[bool, typer.Option("--jobs/--no-jobs", help="Also ask the platform for its training jobs.")]
Every = Annotated[float, typer.Option("--every", min=1, help="Seconds between requests to the platform.")]


@command
def metrics(
    session: Session,
    runs: Runs = DEFAULT_RUNS,
    listen: Listen = None,
    jobs: Jobs = False,
    every: Every = 30.0,
) -> None:
    """Print or serve metrics of the runs in this folder, in the text format of Prometheus.

    Example: lawtags runs metrics > /var/lib/node_exporter/lawtags.prom

    Example: lawtags runs metrics --runs /data/runs --jobs --listen 127.0.0.1:9109
    """
    from lawtags_client.platform.job_states import count_job_states
    from lawtags_client.runs.exposition import Gauge, RunMetrics, exposition, job_gauges
    from lawtags_client.runs.metrics_server import MetricsServer, listen_address

    address = listen_address(listen) if listen else None
    of_platform: list[Gauge] = []

    def text() -> str:
        def gauges() -> Iterator[Gauge]:
            yield from RunMetrics(runs).gauges()
            yield from of_platform

        return exposition(gauges())

    async def look() -> None:
        if not jobs:
            return
        try:
            async with session.client(total_timeout=20.0) as nemo:
                of_platform[:] = job_gauges(await count_job_states(nemo))
        except LawtagsError as problem:
            session.report(problem.message)
            of_platform[:] = job_gauges(None)

    async def work() -> None:
        if address is None:
            await look()
            sys.stdout.write(text())
            return
        with MetricsServer(address, text) as server:
            session.report(f"Metrics at http://{address[0]}:{server.port}/metrics")
            while True:
                await look()
                await asyncio.sleep(every)

    session.run(work())
