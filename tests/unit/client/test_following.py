"""Many jobs followed through the list, against a list that moves as simulated time goes on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client

from lawtags_client.errors import ProtocolError, ServerError
from lawtags_client.services.watching import Patience


class Jobs:
    """A service with numbered jobs, of which each ends at its own moment."""

    def __init__(self, time: StillTime, ends: list[float], *, largest_page: int = 1000) -> None:
        self.time = time
        self.ends = ends
        self.largest_page = largest_page
        self.refuse_large = False
        self.gone: set[int] = set()
        self.hidden: Callable[[int], bool] = lambda _: False
        self.down = (0.0, 0.0)
        self.asked: list[tuple[float, str]] = []

    def entry(self, number: int) -> dict[str, Any]:
        status = "completed" if self.time.seconds >= self.ends[number] else "running"
        return {"id": f"cust-{number}", "status": status, "status_details": {"percentage_done": 0.0}}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((self.time.seconds, request.url.path))
        if self.down[0] <= self.time.seconds < self.down[1]:
            return httpx.Response(503, json={"detail": "restarting"})
        name = request.url.path.removeprefix("/v1/customization/jobs").strip("/")
        if name:
            number = int(name.removeprefix("cust-"))
            known = number < len(self.ends) and number not in self.gone
            return httpx.Response(200, json=self.entry(number)) if known else httpx.Response(404)
        return self.page(int(request.url.params["page"]), int(request.url.params["page_size"]))

    def page(self, number: int, size: int) -> httpx.Response:
        if size > self.largest_page and self.refuse_large:
            return httpx.Response(422, json={"detail": "page_size"})
        size = min(size, self.largest_page)
        listed = [n for n in reversed(range(len(self.ends))) if n not in self.gone and not self.hidden(n)]
        data = [self.entry(n) for n in listed[(number - 1) * size : number * size]]
        pages = -(-len(listed) // size)
        found = {"page": number, "page_size": size, "total_pages": pages}
        return httpx.Response(200, json={"object": "list", "data": data, "pagination": found})


def names(count: int) -> list[str]:
    return [f"cust-{number}" for number in range(count)]


async def test_a_thousand_jobs_cost_less_than_a_request_per_second_and_end_promptly(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [60.0 * number / 1000 for number in range(1000)])
    seen: dict[str, float] = {}
    async for change in client(server, tmp_path, time).customizer.watch_many(names(1000)):
        if change.final:
            assert change.job is not None and change.job.status == "completed"
            seen[change.id] = time.seconds
    assert len(seen) == 1000
    assert all(0 <= seen[f"cust-{n}"] - end < 5 for n, end in enumerate(server.ends))
    assert len(server.asked) < 60
    assert {path for _, path in server.asked} == {"/v1/customization/jobs"}


@pytest.mark.parametrize("refuse", [True, False])
async def test_small_pages_keep_the_pace(refuse: bool, tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [30.0] * 350, largest_page=100)
    server.refuse_large = refuse
    changes = [c async for c in client(server, tmp_path, time).customizer.watch_many(names(350))]
    assert [sum(c.state == state for c in changes) for state in ("running", "completed")] == [350, 350]
    moments = [moment for moment, _ in server.asked]
    assert all(b - a >= 0.999 for a, b in pairwise(moments))


async def test_only_as_much_of_the_list_is_read_as_is_needed(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [0.0] * 900, largest_page=100)
    changes = [
        c async for c in client(server, tmp_path, time).customizer.watch_many(["cust-899", "cust-750"])
    ]
    assert [(c.id, c.state, c.before) for c in changes] == [
        ("cust-899", "completed", None),
        ("cust-750", "completed", None),
    ]
    assert len(server.asked) == 2


async def test_job_that_is_no_more_is_told_once(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [9.0] * 3)
    server.gone = {1}
    changes = [c async for c in client(server, tmp_path, time).customizer.watch_many(names(5))]
    lost = [c for c in changes if c.job is None]
    assert [(c.id, c.state, c.final) for c in lost] == [
        ("cust-1", None, True),
        ("cust-3", None, True),
        ("cust-4", None, True),
    ]
    assert sum(c.state == "completed" for c in changes) == 2


async def test_job_that_the_list_leaves_out_is_asked_for_by_itself(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [20.0] * 3)
    server.hidden = lambda number: number == 1
    changes = [c async for c in client(server, tmp_path, time).customizer.watch_many(names(3))]
    assert sorted(c.id for c in changes if c.final) == names(3)


async def test_outage_is_outlived_and_a_long_one_is_not(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [50.0] * 3)
    server.down = (10.0, 40.0)
    nemo = client(server, tmp_path, time)
    assert sum([c.final async for c in nemo.customizer.watch_many(names(3))]) == 3
    server.down = (time.seconds, time.seconds + 500.0)
    server.ends = [1e9]
    with pytest.raises(ServerError):
        [c async for c in nemo.customizer.watch_many(["cust-0"], patience=Patience(silence=60.0))]


async def test_what_is_no_list_is_told(tmp_path: Path) -> None:
    nemo = client(lambda _: httpx.Response(200, json=[1]), tmp_path)
    with pytest.raises(ProtocolError):
        [c async for c in nemo.customizer.watch_many(["cust-0"])]


async def test_nothing_to_follow_asks_nothing(tmp_path: Path) -> None:
    time = StillTime()
    server = Jobs(time, [])
    assert [c async for c in client(server, tmp_path, time).customizer.watch_many([])] == []
    assert server.asked == []


@pytest.mark.parametrize("job", [[], "gone", 7, True])
async def test_a_job_of_another_form_is_a_protocol_error(job: object, tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        listed = request.url.path.endswith("/jobs")
        return httpx.Response(200, json={"data": ["odd", {"id": 7}, {"id": ["x"]}]} if listed else job)

    with pytest.raises(ProtocolError, match="not a job"):
        async for _ in client(answer, tmp_path, StillTime()).customizer.watch_many(["cust-1"]):
            pass
