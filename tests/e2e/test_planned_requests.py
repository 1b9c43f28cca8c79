"""The requests that a plan shows are those that the run sends, byte by byte."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy, Message
from recipe_runs import RECIPE, jobs_of

from lawtags_client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.pipeline import stages
from lawtags_client.runs.planned import take_over_curation
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import Recipe, parse_recipe
from lawtags_client.runs.rehearsal import rehearse
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.stage import RunContext
from lawtags_client.settings import Settings
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

SERVICES = ("platform_url", "data_store_url", "inference_url")


def recipe() -> Recipe:
    training: dict[str, Any] = RECIPE["training"]  # type: ignore[assignment]
    return parse_recipe(RECIPE | {"name": "planned", "training": training | {"max_steps": 2}})


async def carried_out(folder: Path, settings: Settings, data: Path, until: str) -> RunResult:
    async with NeMo(settings, intents=SqliteIntents(folder / "ledger.sqlite")) as nemo:
        return await execute(
            folder=folder,
            recipe=recipe(),
            data=[str(data)],
            platform=V1Platform(nemo),
            progress=LoggedProgress(),
            steps=[stage for stage in stages(recipe()) if stage.name != "baselines"],
            until=until,
        )


def changes(messages: list[Message]) -> list[tuple[str, bytes]]:
    """Requests that change something, with their bodies."""
    lines = [(message.line.rpartition(" ")[0], message.body) for message in messages]
    return [(line, body) for line, body in lines if not line.startswith(("GET ", "HEAD "))]


def test_a_run_sends_what_its_plan_has_shown(stack: StackThread, questions: Path, tmp_path: Path) -> None:
    plan, run = tmp_path / "runs" / "plans" / "planned", tmp_path / "runs" / "planned-1"
    real = Settings(**{name: getattr(stack, name) for name in SERVICES}, trust_env=False)
    planned = asyncio.run(carried_out(plan, real, questions, "plan"))
    jobs = jobs_of(stack, "tests/tagger")
    with ExitStack() as opened:
        proxies = {
            name: opened.enter_context(FaultProxy(getattr(stack, name), lambda _: "pass"))
            for name in SERVICES
        }
        proxied = Settings(**{name: proxy.url for name, proxy in proxies.items()}, trust_env=False)
        context = RunContext(
            plan,
            recipe(),
            (str(questions),),
            None,
            V1Platform(NeMo(real)),
            Ledger(plan / "ledger.sqlite"),
            LoggedProgress(),
            outputs=dict(planned.outputs),
        )
        shown = asyncio.run(rehearse(context, proxied, run=run.name))
        assert all(not proxy.messages for proxy in proxies.values())
        assert jobs_of(stack, "tests/tagger") == jobs
        take_over_curation(plan, run)
        asyncio.run(carried_out(run, proxied, questions, "customize"))
        sent = [change for name in SERVICES for change in changes(proxies[name].messages)]
    wanted = [(f"{each.request.method} {each.request.path}", each.request.body) for each in shown]
    assert sorted(sent) == sorted(wanted)
    assert len(jobs_of(stack, "tests/tagger")) == len(jobs) + 1
    listed = (plan / "requests" / "requests.jsonl").read_text("utf-8").splitlines()
    (job,) = [row for row in map(json.loads, listed) if row["path"] == "/v1/customization/jobs"]
    assert job["body"]["hyperparameters"]["max_steps"] == 2
    assert (plan / job["file"]).read_bytes() == sent[[line for line, _ in sent].index("POST " + job["path"])][
        1
    ]


def test_the_identity_of_a_plan_goes_to_one_run_alone(
    stack: StackThread, questions: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "runs" / "plans" / "planned"
    real = Settings(**{name: getattr(stack, name) for name in SERVICES}, trust_env=False)
    asyncio.run(carried_out(plan, real, questions, "plan"))
    identity = Ledger(plan / "ledger.sqlite").fact("run_id")
    for name in ("one", "two"):
        take_over_curation(plan, tmp_path / "runs" / name)
    one, two = (Ledger(tmp_path / "runs" / name / "ledger.sqlite").fact("run_id") for name in ("one", "two"))
    assert (one, two) == (identity, None)
    asyncio.run(carried_out(plan, real, questions, "plan"))
    assert Ledger(plan / "ledger.sqlite").fact("run_id") not in (None, identity)
