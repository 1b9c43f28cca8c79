"""The curve through scores on sub-samples, and what it says of twice the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_run import make_run

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.learning_curve import (
    LearningCurve,
    _at,
    find_learning_curve,
    fit_curve,
    measure_learning_curve,
)
from lawtags_client.runs.report import render_report
from lawtags_client.tagging.question import Question

QUESTIONS = [Question(id=str(n), title=f"Question {n}", tags=("a",)) for n in range(400)]


def learns(power: float, training: int = 400) -> LearningCurve:
    """The curve of a system that is right on a share of the test rows that depends on its training rows."""

    def fit(
        rows: Sequence[Question], validation: Sequence[Question], testing: Sequence[Question]
    ) -> list[frozenset[str]]:
        right = round(len(testing) * (0.9 - 0.9 * len(rows) ** -power))
        return [frozenset({"a"} if number < right else {"z"}) for number in range(len(testing))]

    parts = {"training": QUESTIONS[:training], "validation": QUESTIONS[:50], "testing": QUESTIONS}
    return fit_curve("made", parts, fit, samples=200, seed=1, repeats=2)


def test_a_power_law_is_found_and_continued() -> None:
    found = learns(0.35)
    assert [(point.rows, point.samples) for point in found.points] == [(50, 2), (100, 2), (200, 2), (400, 1)]
    gain = 0.9 * (400**-0.35 - 800**-0.35)
    assert found.gain == pytest.approx(gain, abs=0.01)
    assert found.low <= found.gain <= found.high
    assert "would change micro F1 of made by about +0.02" in found.sentence


def test_a_flat_curve_promises_nothing() -> None:
    found = learns(5.0)
    assert found.gain == pytest.approx(0, abs=0.002)
    falling = np.array([[0.9, 0.8, 0.7]])
    assert _at([10, 20, 40], falling, 80) == pytest.approx(0.8)


def test_too_few_rows_and_unknown_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too few"):
        learns(1.0, training=60)
    folder = make_run(tmp_path / "run")
    with pytest.raises(ConfigurationError, match="no learning curve of 'tuned'"):
        measure_learning_curve(folder, "tuned")


def test_a_measured_curve_stands_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    ids = [f"q{n}" for n in range(100)]
    folder = make_run(tmp_path / "run", ids=ids)
    validation = folder / "curated" / "questions" / "validation.jsonl"
    validation.write_bytes((validation.parent / "testing.jsonl").read_bytes())
    assert find_learning_curve(folder) is None
    steps: list[tuple[int, int, str]] = []
    found = measure_learning_curve(folder, "tfidf", repeats=1, on_progress=lambda *each: steps.append(each))
    assert steps[0] == (0, 3, "tfidf on 25 rows")
    assert find_learning_curve(folder) == found
    page = render_report(folder, licenses={}, attribution="")
    assert "What twice the data would bring" in page and "training rows" in page
