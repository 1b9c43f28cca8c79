"""Probabilities of a run on disk, and what a verdict says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_run import make_run

from lawtags_client.errors import DataError
from lawtags_client.runs import probabilities as module
from lawtags_client.runs.arrays import write_arrays
from lawtags_client.runs.metrics import Metrics, find_metrics, read_metrics
from lawtags_client.runs.probabilities import (
    SystemProbabilities,
    find_probabilities,
    probabilities_path,
    write_probabilities,
)
from lawtags_client.runs.recipe import EvaluationSection
from lawtags_client.runs.trust import calibration_in_words, coverage_to_choose_from, measure_trust

OPTIONS = EvaluationSection(bootstrap=100)
TAGS = ("a", "b\x00", "zürich")


def measured(slope: float, rows: int = 300, system: str = "tagger", *, shift: float = 0) -> Metrics:
    draw = np.random.default_rng(0)
    odds = draw.normal(-1, 2, (rows, 3))
    truth = [
        frozenset(tag for tag, is_true in zip(TAGS, row, strict=True) if is_true)
        for row in draw.random((rows, 3)) < 1 / (1 + np.exp(-odds))
    ]
    scores = 1 / (1 + np.exp(-slope * odds - shift))
    given = [frozenset(TAGS[place] for place in np.flatnonzero(row >= 0.5)) for row in scores]
    trust = measure_trust(
        truth, {system: given}, {system: SystemProbabilities(scores, TAGS, np.arange(rows))}, OPTIONS
    )
    return Metrics(test_rows=rows, systems={}, calibration=trust.calibration, coverage=trust.coverage)


def test_probabilities_are_read_as_they_were_written(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((7, 3))
    path = write_probabilities(tmp_path, "tagger", scores, TAGS)
    kept = find_probabilities(tmp_path, "tagger")
    assert kept is not None
    assert kept.tags == TAGS
    assert (kept.scores == scores.astype(np.float32)).all()
    assert kept.rows.tolist() == list(range(7))
    before = path.read_bytes()
    write_probabilities(tmp_path, "tagger", scores, TAGS)
    assert path.read_bytes() == before
    assert find_probabilities(tmp_path, "tuned") is None


def test_a_file_is_bounded_by_a_sample_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 30)
    scores = np.random.default_rng(0).random((50, 3))
    write_probabilities(tmp_path, "tagger", scores, TAGS)
    kept = find_probabilities(tmp_path, "tagger")
    assert kept is not None
    assert kept.scores.size == 30
    assert len(set(kept.rows.tolist())) == 10
    assert (kept.scores == scores[kept.rows].astype(np.float32)).all()
    truth = [frozenset({"a"})] * 50
    found = measure_trust(truth, {"tagger": truth}, {"tagger": kept}, OPTIONS).calibration["tagger"]
    assert (found.rows, found.true_tags) == (10, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -0.01, 1.5])
def test_a_value_that_is_no_probability_is_named_with_its_file(tmp_path: Path, value: float) -> None:
    scores = np.full((4, 3), 0.5)
    path = write_probabilities(tmp_path, "encoder", scores, TAGS)
    before = path.read_bytes()
    scores[2, 2] = value
    said = rf"probabilities-encoder\.npz: 1 of 12 values .* {value} for tag 'zürich' of row 2"
    with pytest.raises(DataError, match=said) as caught:
        write_probabilities(tmp_path, "encoder", scores, TAGS)
    assert "training loss" in str(caught.value.hint)
    assert path.read_bytes() == before
    kept = {"scores": scores.astype(np.float32), "rows": np.arange(4)}
    write_arrays(path, kept | {"tags": np.frombuffer(json.dumps(list(TAGS)).encode(), dtype=np.uint8)})
    with pytest.raises(DataError, match=r"probabilities-encoder\.npz: 1 of 12 values"):
        find_probabilities(tmp_path, "encoder")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_named(tmp_path: Path, data: st.DataObject) -> None:
    path = write_probabilities(tmp_path, "tagger", np.full((4, 3), 0.5), TAGS)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        kept = find_probabilities(tmp_path, "tagger")
    except DataError as problem:
        assert path.name in str(problem)
        assert problem.hint
    else:
        # Bits that say nothing, such as dates.
        assert kept is not None
        assert kept.scores.shape == (len(kept.rows), len(kept.tags))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(probabilities_path(tmp_path, "tagger"), scores=np.asarray([object()]), rows=[0], tags=[1])
    with pytest.raises(DataError, match=r"probabilities-tagger\.npz"):
        find_probabilities(tmp_path, "tagger")


def test_probabilities_of_other_rows_are_refused() -> None:
    kept = SystemProbabilities(np.full((2, 3), 0.5), TAGS, np.asarray([0, 7]))
    truth = [frozenset({"a"})] * 5
    with pytest.raises(DataError, match="5 test rows"):
        measure_trust(truth, {"tagger": truth}, {"tagger": kept}, OPTIONS)


@pytest.mark.parametrize(
    ("slope", "shift", "end"),
    [
        (1, 0, "no error shown"),
        (3, 0, "too high and too low"),
        (1, 1.5, "too high"),
        (1, -1.5, "too low"),
    ],
)
def test_a_sentence_says_whether_probabilities_can_be_trusted(slope: float, shift: float, end: str) -> None:
    (line,) = calibration_in_words(measured(slope, shift=shift))
    assert re.fullmatch(rf"tagger: expected calibration error 0\.\d+ \[.*: {end}", line)


def test_points_to_choose_from_go_from_all_rows_down_without_repeats() -> None:
    metrics = measured(1)
    points = coverage_to_choose_from(metrics, "tagger")
    assert points[0] == metrics.coverage["tagger"][0]
    coverages = [point.coverage for point in points]
    assert coverages == sorted(set(coverages), reverse=True)
    assert len(points) >= 5
    assert coverage_to_choose_from(metrics, "tuned") == []


def test_a_verdict_is_read_as_it_was_written_and_older_ones_have_no_calibration(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / "metrics.json"
    content = json.loads(path.read_text())
    written = measured(1)
    path.write_text(json.dumps(content | {k: written.as_json()[k] for k in ("calibration", "coverage")}))
    kept = read_metrics(folder)
    assert (kept.calibration, kept.coverage) == (written.calibration, written.coverage)
    for name in ("calibration", "coverage"):
        del content[name]
    for tags in content["per_tag"].values():
        for tag in tags:
            for name in ("precision_interval", "recall_interval", "f1_interval"):
                del tag[name]
    path.write_text(json.dumps(content))
    older = find_metrics(folder)
    assert older is not None
    assert (older.calibration, older.coverage) == ({}, {})
    assert calibration_in_words(older) == []
    assert older.per_tag["tagger"][0].f1_interval is None
