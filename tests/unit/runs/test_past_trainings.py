"""Estimates of earlier trainings beside what came of them, and how they correct the next one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import PLAN, make_run

from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.past_trainings import corrected_memory, corrected_time, past_trainings
from lawtags_client.runs.planning.memory import MemoryEstimate
from lawtags_client.runs.planning.timing import TimeEstimate

CONFIG, METHOD = "ns/model@v1", "lora"
TIME = TimeEstimate(seconds=1002.0, uncorrected=1002.0, startup=2.0, basis="a calibration")
MEMORY = MemoryEstimate(parts={"process": 400, "weights": 600}, formula={})


def trained(runs: Path, name: str, *, pace: float | None = 1e-3, memory: int | None = 1300) -> Path:
    folder = make_run(runs / name)
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.begin("customize", "digest")
    ledger.finish("customize", {"summary": {}})
    plan = PLAN | {
        "hyperparameters": {"finetuning_type": METHOD},
        "time": {"seconds": 1002.0, "uncorrected": 1002.0, "startup": 2.0, "basis": "a calibration"},
        "memory": {"parts": {"process": 1000}, "formula": {}},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    record = {"job": "cust-1", "output_model": "a/b", "metrics": {}, "peak_memory": memory}
    (folder / "customization.json").write_text(json.dumps(record | {"steps_per_second": pace}))
    return folder


def test_facts_correct_the_next_estimate(tmp_path: Path) -> None:
    trained(tmp_path, "one")
    (past,) = past_trainings(tmp_path, CONFIG, METHOD)
    assert (past.run, past.memory, past.steps_per_second) == ("one", 1300, 1e-3)
    # Two steps took 2,000 s in place of 1,000 s.
    time = corrected_time(TIME, [past])
    assert time.seconds == pytest.approx(2.0 + 2 * 1000.0, rel=0.01)
    assert (time.uncorrected, time.corrected_by) == (1002.0, 1)
    memory = corrected_memory(MEMORY, [past])
    assert (memory.total, memory.uncorrected, memory.corrected_by) == (1300, 1000, 1)


def test_what_is_not_known_corrects_nothing(tmp_path: Path) -> None:
    trained(tmp_path, "one", pace=None, memory=None)
    past = past_trainings(tmp_path, CONFIG, METHOD)
    assert corrected_time(TIME, past) == TIME
    assert corrected_memory(MEMORY, past) == MEMORY


def test_only_finished_trainings_of_this_kind_count(tmp_path: Path) -> None:
    assert past_trainings(tmp_path / "absent", CONFIG, METHOD) == []
    trained(tmp_path, "one")
    make_run(tmp_path / "unfinished")
    (trained(tmp_path, "damaged") / "plan.json").write_text("{")
    assert [past.run for past in past_trainings(tmp_path, CONFIG, METHOD)] == ["one"]
    assert past_trainings(tmp_path, CONFIG, "all_weights") == []
    assert past_trainings(tmp_path, "ns/other@v1", METHOD) == []


def test_the_median_of_several_counts(tmp_path: Path) -> None:
    for name, pace in (("a", 2e-3), ("b", 1e-3), ("c", 1e-4)):
        trained(tmp_path, name, pace=pace)
    past = past_trainings(tmp_path, CONFIG, METHOD)
    assert corrected_time(TIME, past).seconds == pytest.approx(2002.0, rel=0.01)


def test_a_training_of_a_few_seconds_corrects_little(tmp_path: Path) -> None:
    short = TimeEstimate(seconds=3.0, uncorrected=3.0, startup=2.0, basis="a calibration")
    trained(tmp_path, "one", pace=1.0)
    (past,) = past_trainings(tmp_path, CONFIG, METHOD)
    planned = replace(past.planned, time=short)
    # Two steps took 2 s in place of 1 s: a sixth of the way, on a logarithmic scale.
    time = corrected_time(short, [replace(past, planned=planned)])
    assert time.seconds == pytest.approx(2.0 + 2 ** (1 / 6))
