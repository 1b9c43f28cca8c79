"""What ``jobs watch`` shows of a job that it attaches to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from client_kit import Script, StillTime, client

from lawtags_client.cli import job_watch
from lawtags_client.client import NeMo
from lawtags_client.platform import JobUpdate
from lawtags_client.runs.progress import LoggedProgress


class Noted(LoggedProgress):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (0, []),
        (20, []),
        (21, ["left out: an earlier line of its log; lawtags jobs logs cust-1 prints them"]),
        (5000, ["left out: 4,980 earlier lines of its log; lawtags jobs logs cust-1 prints them"]),
    ],
)
async def test_a_command_that_attaches_shows_the_newest_lines_and_then_all_that_come(
    before: int, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Platform:
        async def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
            yield JobUpdate("running", lines=tuple(f"old {number}" for number in range(before)))
            yield JobUpdate("running", lines=tuple(f"new {number}" for number in range(30)))
            yield JobUpdate("completed")

    @asynccontextmanager
    async def platform(nemo: NeMo) -> AsyncIterator[Platform]:
        yield Platform()

    monkeypatch.setattr(job_watch, "run_platform", platform)
    progress = Noted()
    async with client(Script([httpx.Response(200)]), tmp_path, StillTime()) as nemo:
        await job_watch.show_job(nemo, "cust-1", progress)
    old = [f"old {number}" for number in range(max(before - 20, 0), before)]
    new = [f"new {number}" for number in range(30)]
    assert progress.lines == [*told, *old, "cust-1 is running", *new, "cust-1 is completed"]
