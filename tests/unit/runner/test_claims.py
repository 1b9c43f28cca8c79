from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.jobs import QueuedStep
from lawtags_stack.runner.claims import HEARTBEAT, RUNNER, Claims


class Results:
    """The results of one job, as the platform keeps them: a name can be registered once."""

    def __init__(self) -> None:
        self.registered: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.partition("/results")[2].strip("/")
        if request.method == "GET":
            data = [{"name": key, "artifact_url": value} for key, value in self.registered.items()]
            return httpx.Response(200, json={"data": data[::-1]})
        if name in self.registered:
            return httpx.Response(409, json={"detail": f"Entity with name '{name}' already exists"})
        self.registered[name] = json.loads(request.content)["artifact_url"]
        return httpx.Response(201, json={"name": name, "artifact_url": self.registered[name]})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def helix(results: Results) -> Iterator[Helix]:
    yield Helix(base_url="http://127.0.0.1:1", handler=httpx.MockTransport(results), max_retries=0)


def claims(helix: Helix, runner: str, clock: Clock) -> Claims:
    return Claims(helix.runner, runner, stale_seconds=60.0, monotonic=clock)


def step(beat: str = "", holder: str = "") -> QueuedStep:
    details: dict[str, Any] = {RUNNER: holder, HEARTBEAT: beat} if beat else {}
    return QueuedStep(
        id="platform-job-step-1",
        job="law",
        name="training",
        workspace="ws",
        fileset="job-fileset-law",
        status_details=details,
    )


async def test_only_the_first_of_two_runners_gets_a_job(helix: Helix, results: Results, clock: Clock) -> None:
    one, two = claims(helix, "one", clock), claims(helix, "two", clock)
    assert await one.take(step())
    assert not await two.take(step())
    assert await one.take(step())
    assert results.registered == {"runner-claim-1": "ws/job-fileset-law#runner/one"}
    assert (await one.holds("ws/law"), await two.holds("ws/law")) == (True, False)


async def test_a_job_is_taken_over_only_when_its_holder_shows_no_sign_of_life(
    helix: Helix, results: Results, clock: Clock
) -> None:
    one, two = claims(helix, "one", clock), claims(helix, "two", clock)
    await one.take(step())
    for minute in range(5):
        clock.now = 50.0 * minute
        assert not await two.take(step(f"beat-{minute}", "one"))
    clock.now += 59.0
    assert not await two.take(step("beat-4", "one"))
    clock.now += 1.0
    assert await two.take(step("beat-4", "one"))
    assert not await one.holds("ws/law")
    assert not await one.take(step("beat-4", "one"))
    assert sorted(results.registered) == ["runner-claim-1", "runner-claim-2"]


async def test_two_that_take_over_at_once_do_not_both_get_the_job(
    helix: Helix, results: Results, clock: Clock
) -> None:
    one, two, three = (claims(helix, name, clock) for name in ("one", "two", "three"))
    await one.take(step())
    assert not await two.take(step("beat", "one"))
    assert not await three.take(step("beat", "one"))
    clock.now = 60.0
    # The third has registered the next number just after the second looked.
    results.registered["runner-claim-2"] = "ws/job-fileset-law#runner/three"
    assert not await two.take(step("beat", "one"))
    assert await three.holds("ws/law")


async def test_a_lost_reply_is_found_again(helix: Helix, results: Results, clock: Clock) -> None:
    results.registered["runner-claim-1"] = "ws/job-fileset-law#runner/one"
    assert await claims(helix, "one", clock).take(step())
    assert len(results.registered) == 1


async def test_other_results_are_no_claims(helix: Helix, results: Results, clock: Clock) -> None:
    results.registered |= {"metrics": "ws/x#metrics", "runner-claim-": "x", "runner-claim-0": "x#runner/two"}
    assert await claims(helix, "one", clock).take(step())
    assert "runner-claim-1" in results.registered


async def test_what_nobody_alive_holds_may_be_settled(helix: Helix, results: Results, clock: Clock) -> None:
    one, two = claims(helix, "one", clock), claims(helix, "two", clock)
    assert await two.may_settle(step())
    await one.take(step())
    assert await one.may_settle(step("beat", "one"))
    assert not await two.may_settle(step("beat", "one"))
    clock.now = 60.0
    assert await two.may_settle(step("beat", "one"))
