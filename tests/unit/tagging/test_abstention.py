from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.abstention import coverage_curve
from lawtags_client.tagging.decision import Decision
from lawtags_client.tagging.metrics import score


def test_confidence_that_orders_rows_by_quality_raises_precision_up_to_one() -> None:
    confidence = np.linspace(0.01, 0.99, 200)
    given = [{"a"}] * 200
    true = [{"a"} if value >= 0.5 else {"b"} for value in confidence]
    curve = coverage_curve(true, given, confidence, samples=100)
    assert curve[0].abstain_below == 0
    assert (curve[0].coverage, curve[0].precision, curve[0].micro_f1) == (1, 0.5, 0.5)
    assert all(a.coverage > b.coverage for a, b in itertools.pairwise(curve))
    assert all(a.precision <= b.precision for a, b in itertools.pairwise(curve))
    (half,) = [point for point in curve if point.abstain_below == 0.5]
    assert (half.rows, half.coverage, half.precision, half.precision_interval) == (100, 0.5, 1, (1, 1))
    # Half of all tags are found, and no tag is wrong.
    assert half.micro_f1_all == pytest.approx(2 * 100 / (100 + 200))
    assert curve[-1].rows >= 20


def test_confidence_that_says_nothing_gains_nothing() -> None:
    draw = np.random.default_rng(0)
    true = [{"a"} if value else {"b"} for value in draw.random(500) < 0.6]
    curve = coverage_curve(true, [{"a"}] * 500, draw.random(500), samples=200)
    inside = [
        point.precision_interval[0] <= curve[0].precision <= point.precision_interval[1] for point in curve
    ]
    assert np.mean(inside) > 0.8


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 60), st.integers(0, 10**6))
def test_points_are_the_scores_of_a_tagger_that_abstains_there(rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    scores = draw.random((rows, 3)).round(2)
    true = [{tag for tag in names if draw.random() < 0.5} for _ in range(rows)]
    given = [{names[place] for place in Decision(0.5).places(row)} for row in scores]
    for point in coverage_curve(true, given, scores.max(axis=1), samples=20):
        decision = Decision(0.5, abstain_below=point.abstain_below)
        told = [{names[place] for place in decision.places(row)} for row in scores]
        assert point.micro_f1_all == pytest.approx(score(true, told).micro_f1)
        answered = [row for row, tags in enumerate(told) if tags]
        assert point.rows == len(answered)
        among = score([true[row] for row in answered], [told[row] for row in answered])
        assert point.micro_f1 == pytest.approx(among.micro_f1)
        assert point.precision == pytest.approx(among.micro_precision)
        assert point.micro_f1_interval[0] <= point.micro_f1 <= point.micro_f1_interval[1]


def test_equal_confidence_is_one_point_and_rows_without_tags_are_not_answered() -> None:
    (point,) = coverage_curve([{"a"}] * 40, [{"a"}] * 30 + [set()] * 10, np.full(40, 0.7), samples=10)
    assert (point.rows, point.coverage, point.micro_f1) == (30, 0.75, 1)
    assert point.micro_f1_all == pytest.approx(60 / 70)


@pytest.mark.parametrize("threshold", [0.35, 0.5])
def test_a_curve_of_tags_that_were_given_above_a_threshold_begins_there(threshold: float) -> None:
    confidence = np.linspace(0, 1, 101).astype(np.float32)
    given = [{"a"} if value >= np.float32(threshold) else set() for value in confidence]
    curve = coverage_curve([{"a"}] * 101, given, confidence, abstained_below=threshold, samples=10)
    assert (curve[0].abstain_below, curve[0].rows) == (threshold, sum(map(bool, given)))
    below = [point.abstain_below for point in curve]
    assert below == sorted(set(below))


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_too_few_rows_have_no_curve(rows: int) -> None:
    assert coverage_curve([{"a"}] * rows, [{"a"}] * rows, np.full(rows, 0.5)) == ()


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        coverage_curve([{"a"}], [], np.asarray([0.5]))
