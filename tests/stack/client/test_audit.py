"""``lawtags jobs audit`` against a stack."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from submitting import Wish, connect, submit, waiting_stack

from lawtags_client.cache import CACHE_VARIABLE
from lawtags_client.intents import FIELD, SqliteIntents, new_intent
from lawtags_stack.stack import StackThread

LAWTAGS = Path(sys.executable).with_name("lawtags")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackThread]:
    with waiting_stack(tmp_path / "platform") as running:
        yield running


def audit(stack: StackThread, folder: Path, *words: str) -> tuple[int, Any, str]:
    """Exit code, what was told, and the words on stderr."""
    # The cache stays that of the tests, not the user's.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LAWTAGS_") or name == CACHE_VARIABLE
    }
    environ |= {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_INTENTS_PATH": str(folder / "own.sqlite"),
    }
    done = subprocess.run(
        [LAWTAGS, "jobs", "audit", *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(done.stdout) if "--json" in words and done.stdout else done.stdout
    return done.returncode, told, done.stderr


def wish(stack: StackThread, store: Path, number: int) -> str:
    """Submit a job; its id."""
    return asyncio.run(
        submit({"platform_url": stack.platform_url}, store, Wish(number, "p", f"k{number}", True))
    )


def test_intents_and_jobs_are_compared_across_the_clients_store_and_the_ledgers_of_runs(
    stack: StackThread, tmp_path: Path
) -> None:
    first = wish(stack, tmp_path / "own.sqlite", 1)
    stores = {first: "own.sqlite"}
    # A run, one of its repeats, and a training of a sweep.
    for number, place in enumerate(("r", "r/repeats/2", "sweeps/s/trials/f933ec61ee-1"), 2):
        (tmp_path / "runs" / place).mkdir(parents=True)
        stores[wish(stack, tmp_path / "runs" / place / "ledger.sqlite", number)] = (
            f"runs/{place}/ledger.sqlite"
        )
    code, told, errors = audit(stack, tmp_path, "--json")
    assert (code, errors) == (0, "")
    assert told["counts"] == {"matched": 4, "missing": 0, "doubled": 0, "orphan": 0}
    assert {row["jobs"][0]: row["store"].removeprefix(f"{tmp_path}/") for row in told["rows"]} == stores


def test_problems_are_listed_with_their_fix_and_exit_code_one(stack: StackThread, tmp_path: Path) -> None:
    own = SqliteIntents(tmp_path / "own.sqlite")
    wish(stack, tmp_path / "own.sqlite", 1)
    orphan = wish(stack, tmp_path / "lost.sqlite", 2)
    service = stack.platform_url
    gone = own.begin(new_intent("customization", {"dataset": "law/gone"}, key="gone", service=service))
    own.settle(gone.key, "cust-gone")
    double = asyncio.run(_twice(stack, own))
    code, told, errors = audit(stack, tmp_path, "--json")
    assert code == 1
    assert json.loads(errors)["message"] == "3 of 4 need attention: doubled, missing, orphan"
    rows = {row["state"]: row for row in told["rows"]}
    assert rows["missing"]["jobs"] == ["cust-gone"]
    assert set(rows["doubled"]["jobs"]) == set(double)
    assert rows["orphan"]["jobs"] == [orphan]

    code, shown, _ = audit(stack, tmp_path)
    assert code == 1
    assert f"Keep {double[0]}, and cancel {double[1]}" in shown

    # The cures work.
    httpx.post(f"{service}/v1/customization/jobs/{double[1]}/cancel").raise_for_status()
    lost = str(tmp_path / "lost.sqlite")
    code, told, _ = audit(stack, tmp_path, "--json", "--store", lost, "--forget-missing")
    assert (code, told["forgotten"]) == (0, 1)
    code, told, _ = audit(stack, tmp_path, "--json", "--others")
    assert (code, told["counts"]["orphan"]) == (0, 1)


async def _twice(stack: StackThread, store: SqliteIntents) -> list[str]:
    """Two jobs of one intent, as a request makes that arrives late and has no name to be known by."""
    request = Wish(7, "p", None, False).request
    intent = store.begin(
        new_intent("customization", request.to_wire(), key="twice", service=stack.platform_url)
    )
    marked = request.model_copy(update={"custom_fields": {FIELD: intent.token}})
    async with connect({"platform_url": stack.platform_url}, store._path) as nemo:
        jobs = [(await nemo.customizer.jobs.create(marked)).id for _ in range(2)]
    store.settle(intent.key, jobs[0])
    return jobs


def test_store_that_is_not_there_is_named(stack: StackThread, tmp_path: Path) -> None:
    code, _, errors = audit(stack, tmp_path, "--json", "--store", "nowhere.sqlite")
    assert code == 2
    assert "nowhere.sqlite" in json.loads(errors)["message"]
