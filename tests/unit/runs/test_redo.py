"""Redoing a part of a run: the new run has the finished stages, and the old one is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_run import make_run

from lawtags_client.errors import BusyError, ConfigurationError, DataError
from lawtags_client.files import sha256_file
from lawtags_client.runs.facts import RunFacts, TakenOver
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.overview import all_runs
from lawtags_client.runs.redo import recorded_recipe, take_over

BEFORE = ("curate", "plan", "baselines", "upload", "customize", "encoder", "serve")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "tiny-2026-11-27")
    ledger = Ledger(folder / "ledger.sqlite")
    for name in BEFORE:
        files = {"plan.json": sha256_file(folder / "plan.json")} if name == "plan" else {}
        ledger.begin(name, f"digest of {name}")
        ledger.finish(name, {"files": files}, code="0.1/1")
    return folder


def test_the_next_run_takes_over_what_is_done_before(run: Path) -> None:
    recipe = recorded_recipe(run)
    new = take_over(run, "predict", recipe)
    assert new.name == "tiny-2026-11-27-2"
    ledger = Ledger(new / "ledger.sqlite")
    assert [record.name for record in ledger.stages()] == list(BEFORE)
    plan = ledger.finished("plan")
    assert plan is not None
    original = Ledger(run / "ledger.sqlite").finished("plan")
    assert plan == original, "its times, too"
    assert ledger.attempts(plan) == 1
    assert (new / "plan.json").read_bytes() == (run / "plan.json").read_bytes()
    assert (new / "curated" / "questions" / "testing.jsonl").is_file()
    assert not (new / "metrics.json").exists()
    facts = RunFacts.read(ledger)
    assert facts.taken_over == TakenOver(run=run.name, run_id="0123456789ab", stage="predict")
    assert facts.run_id is None, "it is a run of its own"
    assert take_over(run, "predict", recipe) == new, "interrupted"
    assert take_over(run, "evaluate", recipe).name == "tiny-2026-11-27-3"
    ledger.begin("report", "digest")
    ledger.finish("report", {})
    assert take_over(run, "predict", recipe).name == "tiny-2026-11-27-4"
    assert take_over(new, "serve", recipe).name == "tiny-2026-11-27-5"


def test_what_cannot_be_taken_over_leaves_no_folder(run: Path) -> None:
    recipe = recorded_recipe(run)
    for stage in ("training", "repeats"):
        with pytest.raises(ConfigurationError, match="there is no stage"):
            take_over(run, stage, recipe)
    (run / "plan.json").unlink()
    with pytest.raises(DataError, match="lost this file"):
        take_over(run, "predict", recipe)
    with run_lock(run), pytest.raises(BusyError):
        take_over(run, "predict", recipe)
    assert all_runs(run.parent) == [run]
    fresh = make_run(run.parent / "fresh")
    with pytest.raises(ConfigurationError, match="plan, baselines, upload, customize"):
        take_over(fresh, "predict", recipe)


def test_the_recorded_recipe_takes_overrides(run: Path) -> None:
    recipe = recorded_recipe(run, {"evaluation": {"max_tags": 3}})
    assert recipe.evaluation.max_tags == 3
    with pytest.raises(ConfigurationError, match=r"--set"):
        recorded_recipe(run, {"evaluation": {"most": 3}})
    Ledger(run.parent / "empty" / "ledger.sqlite")
    with pytest.raises(ConfigurationError, match="no recipe"):
        recorded_recipe(run.parent / "empty")
