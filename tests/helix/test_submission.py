"""However requests and responses are lost, Helix has as many jobs as there are distinct intents."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime
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
from small_helix import SmallHelix

from lawtags_client.errors import ConflictError, LawtagsError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.intents import FIELD, SqliteIntents

SCENES = int(os.environ.get("LAWTAGS_STATE_MACHINE", "12"))
FAULTS = ("pass", "lose request", "lose reply", "garble", "503", "500", "deliver late")
BLINDNESS = ("pass", "lose", "401")


def spec(epochs: int = 1, output: str | None = None) -> AutomodelSpec:
    wanted: dict[str, Any] = {
        "model": "gemma",
        "dataset": {"training": "tags"},
        "training": {"finetuning_type": "lora"},
        "schedule": {"epochs": epochs},
    }
    return AutomodelSpec.model_validate({**wanted, **({"output": {"name": output}} if output else {})})


def connect(helix: SmallHelix, store: Path) -> Helix:
    return Helix(
        base_url="http://helix.test",
        workspace="law",
        intents=SqliteIntents(store),
        clock=StillTime().clock(),
        max_retries=1,
        handler=httpx.MockTransport(helix),
    )


def submit(
    helix: SmallHelix, store: Path, wanted: AutomodelSpec, *, key: str | None = None, name: str | None = None
) -> HelixTrainingJob:
    async def ask() -> HelixTrainingJob:
        async with connect(helix, store) as client:
            return await client.customization.automodel.submit(wanted, key=key, name=name)

    return asyncio.run(ask())


class ExactlyOnce(RuleBasedStateMachine):
    """People who want things done once, on several machines, while requests and responses are lost.

    Attributes:
        known: the job that a wish was told to have.
    """

    wishes = Bundle("wishes")
    numbers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.helix = SmallHelix()
        self.folder = tempfile.TemporaryDirectory(prefix="lawtags-")
        self.loop = asyncio.Runner()
        self.machines = {
            name: connect(self.helix, Path(self.folder.name) / f"{name}.sqlite") for name in ("one", "other")
        }
        self.wanted: dict[int, tuple[str | None, bool]] = {}
        self.known: dict[int, str] = {}

    @initialize(target=wishes, keyed=st.booleans(), named=st.booleans())
    def want_first(self, keyed: bool, named: bool) -> int:
        return self._want(keyed, named)

    @rule(target=wishes, keyed=st.booleans(), named=st.booleans())
    def want_more(self, keyed: bool, named: bool) -> int:
        return self._want(keyed, named)

    def _want(self, keyed: bool, named: bool) -> int:
        number = len(self.wanted) + 1
        self.wanted[number] = (f"key-{number}" if keyed else None, named)
        return number

    @rule(
        wish=wishes,
        machine=st.sampled_from(["one", "other"]),
        faults=st.lists(st.sampled_from(FAULTS), max_size=2),
        blind=st.lists(st.sampled_from(BLINDNESS), max_size=3),
    )
    def submit(self, wish: int, machine: str, faults: list[str], blind: list[str]) -> None:
        self.helix.faults, self.helix.blind = list(faults), list(blind)
        try:
            self._told(wish, self._submit(wish, machine))
        except LawtagsError:
            assert {*faults, *blind} - {"pass"}
        finally:
            self.helix.faults, self.helix.blind = [], []

    @rule()
    def late_requests_arrive(self) -> None:
        self.helix.deliver()

    @rule(
        wish=wishes, state=st.sampled_from(["active", "completed", "error", "cancelled", "never-seen-before"])
    )
    def the_job_moves(self, wish: int, state: str) -> None:
        for job in self.helix.jobs.values():
            if job["id"] == self.known.get(wish):
                job["status"] = state

    @rule(wish=wishes)
    def use_the_key_for_something_else(self, wish: int) -> None:
        key, named = self.wanted[wish]
        if key is None or wish not in self.known:
            return
        with pytest.raises(ConflictError):
            self._ask("one", spec(1000 + wish), key, self._name(wish, named))

    @rule(wish=wishes)
    def use_the_name_for_something_else(self, wish: int) -> None:
        _, named = self.wanted[wish]
        if wish not in self.known or not named:
            return
        with pytest.raises(ConflictError):
            self._ask("one", spec(2000 + wish), None, self._name(wish, named))

    @invariant()
    def no_intent_has_two_jobs(self) -> None:
        tokens = [job["custom_fields"][FIELD] for job in self.helix.jobs.values()]
        assert len(set(tokens)) == len(tokens) == self.helix.created <= len(self.wanted)
        assert len(set(self.known.values())) == len(self.known)

    def teardown(self) -> None:
        try:
            self.helix.deliver()
            for wish in self.wanted:
                for machine in ("one", "other"):
                    self._told(wish, self._submit(wish, machine))
            assert self.helix.created == len(self.wanted) == len(self.known)
        finally:
            for client in self.machines.values():
                self.loop.run(client.close())
            self.loop.close()
            self.folder.cleanup()

    def _submit(self, wish: int, machine: str) -> str:
        key, named = self.wanted[wish]
        return self._ask(machine, spec(wish), key, self._name(wish, named))

    def _ask(self, machine: str, wanted: AutomodelSpec, key: str | None, name: str | None) -> str:
        asked = self.machines[machine].customization.automodel.submit(wanted, key=key, name=name)
        return self.loop.run(asked).id or ""

    def _name(self, wish: int, named: bool) -> str | None:
        return f"tagger-{wish}" if named else None

    def _told(self, wish: int, job_id: str) -> None:
        assert self.known.setdefault(wish, job_id) == job_id


def test_there_are_as_many_jobs_as_distinct_intents() -> None:
    profile = settings(
        max_examples=SCENES,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(ExactlyOnce, settings=profile)


def test_the_output_of_another_job_is_a_conflict_that_names_the_job(tmp_path: Path) -> None:
    helix = SmallHelix()
    submit(helix, tmp_path / "intents.sqlite", spec(1, "tagger"), name="first")
    with pytest.raises(ConflictError, match="is already producing") as caught:
        submit(helix, tmp_path / "intents.sqlite", spec(2, "tagger"), name="second")
    assert caught.value.field == "spec.output.name"
    assert helix.created == 1


def test_a_conflict_frees_the_key_for_a_corrected_request(tmp_path: Path) -> None:
    helix, store = SmallHelix(), tmp_path / "intents.sqlite"
    submit(helix, store, spec(1, "tagger"))
    with pytest.raises(ConflictError, match=r"differs in spec\.schedule\.epochs"):
        submit(helix, store, spec(2, "tagger"), key="mine")
    assert submit(helix, store, spec(2, "other"), key="mine").name == "other"


def test_defaults_that_helix_fills_in_do_not_count_as_differences(tmp_path: Path) -> None:
    helix = SmallHelix()
    first = submit(helix, tmp_path / "one.sqlite", spec(1), key="mine")
    job = helix.jobs["law", first.name]
    job["spec"]["schedule"] |= {"seed": None, "validation_split": 0.1}
    job["spec"]["output"] |= {"type": "adapter", "fileset": first.name}
    assert submit(helix, tmp_path / "other.sqlite", spec(1), key="mine").id == first.id


def test_the_name_of_a_deleted_job_is_free(tmp_path: Path) -> None:
    helix, store = SmallHelix(), tmp_path / "intents.sqlite"
    first = submit(helix, store, spec(1), key="mine")
    helix.jobs.clear()
    second = submit(helix, store, spec(1), key="mine")
    assert (second.name, second.id != first.id) == (first.name, True)
