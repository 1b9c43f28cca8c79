"""What a plan expected beside what came of it, and the price of a point of F1."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from made_run import PLAN, make_run

from lawtags_client.errors import DataError
from lawtags_client.runs.estimate_and_fact import EstimateAndFact, estimates_and_facts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import PlanOutput
from lawtags_client.runs.overview import RunDetails
from lawtags_client.runs.past_stages import expected_stages
from lawtags_client.runs.quantities import in_words, money

WORK = {
    "steps": 2, "tokens": 100, "passes": 2, "validations": 1, "validation_tokens": 20, "validation_passes": 1,
}  # fmt: skip
PLANNED: dict[str, Any] = {
    "steps": 4,
    "work": WORK | {"steps": 4},
    "time": {"seconds": 40.0, "uncorrected": 40.0, "basis": "a calibration"},
    "memory": {"parts": {"process": 1_000_000_000}, "formula": {}},
    "hourly": {"amount": 0.36, "currency": "EUR", "of": "the machine"},
    "stage_seconds": {"predict": 10.0, "serve": 1.0},
}


def trained(folder: Path, *, steps: int = 2, memory: int | None = 1_100_000_000) -> Path:
    """A run with stages of 30 s, whose training took fewer steps than planned."""
    make_run(folder)
    (folder / "ledger.sqlite").unlink()
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    clock = iter(begin + timedelta(seconds=10 * n) for n in range(999))
    ledger = Ledger(folder / "ledger.sqlite", now=lambda: next(clock))
    for stage in ("curate", "customize", "predict"):
        ledger.begin(stage, "digest")
        ledger.finish(stage, {"rows": {"training": 20, "testing": 10}} if stage == "curate" else {})
    ledger.set_fact("recipe", {"name": "small"})
    (folder / "plan.json").write_text(json.dumps(PLAN | PLANNED))
    series = [{"step": step, "value": 1.0} for step in range(steps)]
    record = {
        "job": "cust-1",
        "output_model": "a/b",
        "metrics": {"train_loss": series},
        "peak_memory": memory,
    }
    (folder / "customization.json").write_text(json.dumps(record))
    return folder


def seconds_of(folder: Path, stage: str) -> float:
    record = Ledger(folder / "ledger.sqlite").finished(stage)
    assert record is not None and record.seconds is not None
    return record.seconds


def test_estimate_and_fact_stand_side_by_side(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    found = {each.quantity: each for each in estimates_and_facts(folder)}
    took = seconds_of(folder, "customize")
    assert (found["training job"].estimate, found["training job"].fact) == (40.0, took)
    assert found["training job"].deviation_percent == pytest.approx(100 * (took / 40 - 1), abs=0.1)
    assert found["steps"].words == ("4", "2", "-50 %")
    assert found["tokens"].words == ("100", "50", "-50 %")
    assert found["peak memory"].words == ("1.00 GB", "1.10 GB", "+10 %")
    assert (found["price"].unit, found["price"].fact) == ("EUR", pytest.approx(took * 0.0001))
    # A stage of which nothing was expected, one that was met, and one that never came.
    assert found["stage curate"].estimate is None and found["stage curate"].fact is not None
    assert [name for name, each in found.items() if each.known_from_stages] == ["stage curate"]
    assert found["stage predict"].deviation_percent is not None
    assert found["stage serve"].words == ("1.0 s", "", "")
    assert RunDetails.of(folder).estimates == tuple(found.values())


def test_a_run_that_has_not_trained_has_estimates_only(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "plan.json").write_text(json.dumps(PLAN | PLANNED))
    found = {each.quantity: each for each in estimates_and_facts(folder)}
    assert all(found[name].fact is None for name in ("training job", "steps", "peak memory", "price"))
    (folder / "plan.json").unlink()
    assert estimates_and_facts(folder) == []
    (folder / "plan.json").write_text("[")
    with pytest.raises(DataError):
        estimates_and_facts(folder)


def test_an_estimate_of_nothing_has_no_deviation() -> None:
    assert EstimateAndFact.of("steps", "steps", 0, 5).deviation_percent is None
    assert EstimateAndFact.of("steps", "steps", 5, None).words == ("5", "", "")


def test_stages_are_expected_by_earlier_runs_of_the_recipe(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    trained(tmp_path / "two")
    make_run(tmp_path / "damaged")
    (tmp_path / "damaged" / "ledger.sqlite").write_text("no ledger")
    found = expected_stages(tmp_path / "new", tmp_path, "small", {"training": 60})
    # Twice the rows of these runs take twice as long; a plan comes after the curation.
    assert found == {"customize": 2 * seconds_of(one, "customize"), "predict": 2 * seconds_of(one, "predict")}
    assert expected_stages(tmp_path / "new", tmp_path, "other", {"training": 60}) == {}
    assert expected_stages(one, tmp_path / "absent", "small", {"training": 60}) == {}


def test_amounts_are_read_at_a_glance() -> None:
    assert [money(each, "EUR") for each in (0, 0.000213, 0.0999, 12.345)] == [
        "0.00 EUR", "0.00021 EUR", "0.100 EUR", "12.35 EUR",
    ]  # fmt: skip
    assert [in_words(each) for each in (0.2, 59, 61, 4000)] == ["under 1 s", "59 s", "1 min", "1 h 7 min"]


def test_a_plan_of_an_older_release_has_no_price() -> None:
    assert PlanOutput.from_json({"plan": PLAN}).plan.hourly is None
