from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lawtags_client.tagging.metrics import per_tag
from lawtags_client.tagging.proportions import f1_interval, wilson


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_intervals_of_proportions_equal_those_of_scipy(found: int, total: int, level: float) -> None:
    found = min(found, total)
    mine = wilson(found, total, level=level)
    theirs = binomtest(found, total).proportion_ci(level, method="wilson")
    assert mine == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert mine is not None
    assert 0 <= mine[0] <= found / total <= mine[1] <= 1


def test_nothing_has_no_interval() -> None:
    assert wilson(0, 0) is None
    assert f1_interval(0, 0, 0) is None


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_interval_of_f1_holds_it_and_never_is_a_point(correct: int, wrong: int, missed: int) -> None:
    found = f1_interval(correct, correct + wrong, correct + missed)
    if not correct + wrong + missed:
        assert found is None
        return
    assert found is not None
    f1 = 2 * correct / (2 * correct + wrong + missed)
    low, high = found
    assert 0 <= low <= high <= 1
    assert low - 1e-12 <= f1 <= high + 1e-12
    assert high - low > 0.01


def test_the_interval_of_f1_covers_it_on_few_rows() -> None:
    """Of a tag on one row in ten, in test sets of 60 rows; a bootstrap covers far less there."""
    draw = random.Random(0)
    truth = 2 * 0.1 * 0.7 / (0.1 + 0.1 * 0.7 + 0.9 * 0.05)
    inside = total = 0
    for _ in range(600):
        true = [draw.random() < 0.1 for _ in range(60)]
        given_it = [draw.random() < (0.7 if is_true else 0.05) for is_true in true]
        found = f1_interval(
            sum(a and b for a, b in zip(true, given_it, strict=True)), sum(given_it), sum(true)
        )
        if found is not None:
            total += 1
            inside += found[0] <= truth <= found[1]
    assert 0.92 <= inside / total <= 0.99


def test_every_tag_has_intervals_where_there_is_something_to_count() -> None:
    true = [{"often"}] * 40 + [{"once"}] + [set()] * 9
    said = [{"often"}] * 30 + [set()] * 11 + [{"never"}] * 9
    tags = {each.tag: each for each in per_tag(true, said)}
    often, once, never = tags["often"], tags["once"], tags["never"]
    assert often.precision_interval == pytest.approx(wilson(30, 30))
    assert often.recall_interval == pytest.approx(wilson(30, 40))
    assert once.precision_interval is None
    assert never.recall_interval is None
    for each in tags.values():
        assert each.f1_interval is not None
        assert each.f1_interval[0] <= each.f1 <= each.f1_interval[1]
    assert once.f1_interval is not None
    assert once.f1_interval[1] > 0.5  # one row does not show that a tag is never found
