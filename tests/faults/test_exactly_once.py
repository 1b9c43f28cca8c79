"""However requests and processes are lost, there are as many jobs as distinct intents.

``LAWTAGS_STATE_MACHINE=1000`` plays so many scenes; ``make state-machine`` does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_proxy import Answer, CutReply, CutRequest, FaultProxy, Verdict
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from submitting import POINTS, Point, Submitter, Wish, connect, submit, waiting_stack

from lawtags_client.errors import ConflictError, LawtagsError
from lawtags_client.intents import FIELD, SqliteIntents
from lawtags_client.services.audit import audit

SCENES = int(os.environ.get("LAWTAGS_STATE_MACHINE", "8"))
STEPS = 20
CREATE = "POST /v1/customization/jobs"
LOOK = "GET /v1/customization/jobs"
# A list reads every job there is, so a stack is not kept for ever.
SCENES_A_STACK = 50


def _refusal(status: int, *, forwarded: bool) -> Answer:
    told = json.dumps({"detail": "the gateway says no"}).encode()
    return Answer(status, told, (("content-type", "application/json"),), forwarded=forwarded)


PAGE = Answer(200, b"<html>Sign in</html>", (("content-type", "text/html"),), forwarded=True)
FAULTS: tuple[Verdict, ...] = (
    "pass",
    "lose request",
    "lose reply",
    "cut reply",
    "garble",
    "reset",
    CutRequest(10),
    CutReply(0),
    PAGE,
    _refusal(429, forwarded=False),
    _refusal(503, forwarded=False),
    _refusal(500, forwarded=True),
    _refusal(504, forwarded=True),
    _refusal(409, forwarded=True),
)
BLINDNESS: tuple[Verdict, ...] = ("pass", "lose reply", "garble", _refusal(401, forwarded=False))


class Place:
    """A stack that takes jobs and trains none, and a proxy before it that is told what to spoil."""

    def __init__(self, folder: Path) -> None:
        self._held = contextlib.ExitStack()
        self.stack = self._held.enter_context(waiting_stack(folder))
        self.proxy = self._held.enter_context(FaultProxy(self.stack.platform_url, self._judge))
        self.plan: dict[str, list[Verdict]] = {}
        self.scenes = 0

    def _judge(self, request: str) -> Verdict:
        planned = self.plan.get(request.partition("?")[0])
        return planned.pop(0) if planned else "pass"

    def jobs(self, project: str) -> list[dict[str, Any]]:
        """The jobs of a scene, as the server has them."""
        query = {"filter[project]": project, "page_size": "100"}
        answer = httpx.get(f"{self.stack.platform_url}/v1/customization/jobs", params=query)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        assert len(found) < 100
        return found

    def close(self) -> None:
        self._held.close()


class Places:
    """The place of the day."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count()
        self._place: Place | None = None
        self.scenes = 0
        self.steps = 0
        self.wishes = 0
        self.faults = 0
        self.kills = 0

    def today(self) -> Place:
        if self._place is not None and self._place.scenes >= SCENES_A_STACK:
            self.close()
        if self._place is None:
            folder = self._root / f"place-{next(self._numbers)}"
            folder.mkdir()
            self._place = Place(folder)
        self._place.scenes += 1
        self.scenes += 1
        return self._place

    def close(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None


class ExactlyOnce(RuleBasedStateMachine):
    """People who want things done once, on a day on which nothing works.

    Attributes:
        known: the job that a wish was once told to have.
    """

    wishes = Bundle("wishes")
    numbers = itertools.count(1)

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places
        self.place = places.today()
        self.project = f"scene-{next(self.numbers)}"
        self.folder = tempfile.TemporaryDirectory(prefix="lawtags-")
        self.store = Path(self.folder.name) / "intents.sqlite"
        self.urls = {"platform_url": self.place.proxy.url}
        self.wanted: list[Wish] = []
        self.known: dict[Wish, str] = {}

    # What people do

    @initialize(target=wishes, named=st.booleans(), keyed=st.booleans())
    def want_first(self, named: bool, keyed: bool) -> Wish:
        return self._want(named, keyed)

    @rule(target=wishes, named=st.booleans(), keyed=st.booleans())
    def want_more(self, named: bool, keyed: bool) -> Wish:
        return self._want(named, keyed)

    def _want(self, named: bool, keyed: bool) -> Wish:
        number = len(self.wanted) + 1
        self.wanted.append(Wish(number, self.project, f"key-{number}" if keyed else None, named))
        return self.wanted[-1]

    @rule(
        wish=wishes, fault=st.sampled_from(FAULTS), blind=st.sampled_from(BLINDNESS), looks=st.integers(1, 9)
    )
    def submit(self, wish: Wish, fault: Verdict, blind: Verdict, looks: int) -> None:
        self._plan(fault, blind, looks)
        try:
            self._told(wish, asyncio.run(submit(self.urls, self.store, wish)))
        except LawtagsError:
            assert (fault, blind) != ("pass", "pass")

    @rule(wish=wishes)
    def submit_a_request_that_arrives_late(self, wish: Wish) -> None:
        # Without a name of its model the server cannot see that a late request is the one it has had.
        if not wish.named:
            return
        self._plan("deliver late", "pass", 0)
        with contextlib.suppress(LawtagsError):
            self._told(wish, asyncio.run(submit(self.urls, self.store, wish)))

    @rule()
    def late_requests_arrive(self) -> None:
        self.place.proxy.deliver()

    @rule(wish=wishes, point=st.sampled_from(POINTS), fault=st.sampled_from(FAULTS))
    def submit_and_be_killed(self, wish: Wish, point: Point, fault: Verdict) -> None:
        self._plan(fault, "pass", 0)
        self._end(wish, Submitter(self.urls, self.store, wish, point))

    @rule(wish=wishes, late=st.booleans())
    def submit_and_be_killed_while_the_answer_is_awaited(self, wish: Wish, late: bool) -> None:
        one = Submitter(self.urls, self.store, wish)
        self._plan("deliver late" if late and wish.named else "pass", "pass", 0, then=one.kill)
        self._end(wish, one)

    @rule(wish=wishes, fault=st.sampled_from(FAULTS), point=st.sampled_from([None, *POINTS]))
    def two_processes_submit_at_once(self, wish: Wish, fault: Verdict, point: Point | None) -> None:
        self._plan(fault, "pass", 0)
        both = [Submitter(self.urls, self.store, wish, point), Submitter(self.urls, self.store, wish)]
        for each in both:
            self._end(wish, each)

    @rule(wish=wishes)
    def use_the_key_for_something_else(self, wish: Wish) -> None:
        if wish.key is None or wish not in self.known:
            return
        other = Wish(wish.number, wish.project, wish.key, not wish.named)
        self._plan("pass", "pass", 0)
        with pytest.raises(ConflictError):
            asyncio.run(submit(self.urls, self.store, other))

    @rule(wish=wishes)
    def somebody_cancels_the_job(self, wish: Wish) -> None:
        if wish in self.known:
            url = f"{self.place.stack.platform_url}/v1/customization/jobs/{self.known[wish]}/cancel"
            httpx.post(url).raise_for_status()

    @rule(wish=wishes)
    def somebody_deletes_the_model(self, wish: Wish) -> None:
        # A request that is still on its way when its own job's name becomes free again would be taken for a
        # new one: nothing that a client does can prevent that.
        self.place.proxy.deliver()
        for job in self.place.jobs(self.project):
            if wish.named and job["id"] == self.known.get(wish):
                httpx.delete(f"{self.place.stack.platform_url}/v1/models/{job['output_model']}")

    # What must hold

    @invariant()
    def no_intent_has_two_jobs(self) -> None:
        self.places.steps += 1
        self._check()

    def teardown(self) -> None:
        try:
            self.place.plan = {}
            self.place.proxy.deliver()
            for wish in self.wanted:
                self._told(wish, asyncio.run(submit(self.urls, self.store, wish)))
            self.place.proxy.deliver()
            self._check()
            jobs = self.place.jobs(self.project)
            assert len(jobs) == len(self.wanted)
            intents = SqliteIntents(self.store).all() if self.wanted else []
            assert sorted(intent.remote_id or "" for intent in intents) == sorted(job["id"] for job in jobs)
            self.places.wishes += len(self.wanted)
            if self.wanted:
                asyncio.run(self._audit())
        finally:
            self.folder.cleanup()

    async def _audit(self) -> None:
        async with connect({"platform_url": self.place.stack.platform_url}, self.store) as nemo:
            found = await audit(nemo, {"store": SqliteIntents(self.store).all()})
        mine = [row for row in found.rows if row.state != "orphan"]
        assert [row.state for row in mine if len(row.jobs) == 1] == ["matched"] * len(self.wanted)

    def _check(self) -> None:
        jobs = self.place.jobs(self.project)
        tokens = [job["custom_fields"][FIELD] for job in jobs]
        assert len(set(tokens)) == len(tokens) <= len(self.wanted)
        assert {job["id"] for job in jobs} >= set(self.known.values())
        assert len(set(self.known.values())) == len(self.known)

    def _plan(
        self, fault: Verdict, blind: Verdict, looks: int, then: Callable[[], None] | None = None
    ) -> None:
        self.place.plan = {CREATE: _Once(fault, then), LOOK: [blind] * looks}
        self.places.faults += (fault, blind) != ("pass", "pass")

    def _told(self, wish: Wish, job_id: str) -> None:
        assert self.known.setdefault(wish, job_id) == job_id

    def _end(self, wish: Wish, process: Submitter) -> None:
        found = process.result()
        self.places.kills += found is None
        if found is not None and found[0] == "job":
            self._told(wish, found[1])


class _Once(list[Verdict]):
    """A verdict that does something as it is given."""

    def __init__(self, verdict: Verdict, then: Callable[[], None] | None) -> None:
        super().__init__([verdict])
        self._then = then

    def pop(self, index: Any = -1) -> Verdict:
        if self._then is not None:
            self._then()
        return super().pop(index)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    places = Places(tmp_path_factory.mktemp("places"))
    yield places
    places.close()


def test_there_are_as_many_jobs_as_distinct_intents(
    places: Places, record_property: Callable[[str, object], None]
) -> None:
    profile = settings(
        max_examples=SCENES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(lambda: ExactlyOnce(places), settings=profile)
    told = f"{places.scenes} scenes, {places.steps} steps, {places.wishes} intents, "
    told += f"{places.faults} faults, {places.kills} processes killed"
    record_property("state machine", told)
    print(told)
