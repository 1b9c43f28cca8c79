"""Scores equal scikit-learn's; intervals are repeatable and sane."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.metrics import RESAMPLED, bootstrap, paired_bootstrap, per_tag, score

ROW = st.sets(st.sampled_from("abcdefgh"), max_size=5)
ROWS = st.lists(st.tuples(ROW, ROW), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(ROWS.filter(lambda rows: len(set().union(*(true | said for true, said in rows))) > 1))
def test_scores_equal_those_of_scikit_learn(rows: list[tuple[set[str], set[str]]]) -> None:
    true, said = [row[0] for row in rows], [row[1] for row in rows]
    binarizer = MultiLabelBinarizer().fit(true + said)
    y, p = binarizer.transform(true), binarizer.transform(said)
    mine = score(true, said)
    for average in ("micro", "macro", "samples"):
        precision, recall, f1, _ = precision_recall_fscore_support(y, p, average=average, zero_division=0)
        assert getattr(mine, f"{average}_f1") == pytest.approx(f1)
        assert getattr(mine, f"{average}_precision") == pytest.approx(precision)
        assert getattr(mine, f"{average}_recall") == pytest.approx(recall)
    assert mine.exact_match == pytest.approx(accuracy_score(y, p))
    assert mine.tags_per_row == pytest.approx(p.sum() / len(rows))
    assert mine.rows == len(rows)
    _, _, each, support = precision_recall_fscore_support(y, p, average=None, zero_division=0)
    found = {item.tag: item for item in per_tag(true, said)}
    for tag, f1, count in zip(binarizer.classes_, each, support, strict=True):
        assert found[tag].f1 == pytest.approx(f1)
        assert found[tag].true == count


def test_empty_cases_are_zero() -> None:
    assert score([], []).micro_f1 == 0
    assert score([], []).rows == 0
    nothing = score([set(), set()], [set(), set()])
    assert (nothing.micro_f1, nothing.macro_f1, nothing.samples_f1) == (0, 0, 0)
    assert nothing.exact_match == 1
    assert bootstrap([], [], samples=10)["micro_f1"].high == 0
    assert per_tag([], []) == []


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        score([{"a"}], [])


@settings(max_examples=20, deadline=None)
@given(ROWS, st.integers(0, 5))
def test_intervals_are_repeatable_and_in_order(rows: list[tuple[set[str], set[str]]], seed: int) -> None:
    true, said = [row[0] for row in rows], [row[1] for row in rows]
    intervals = bootstrap(true, said, samples=120, seed=seed)
    assert intervals == bootstrap(true, said, samples=120, seed=seed)
    whole = score(true, said)
    for name in RESAMPLED:
        assert intervals[name].value == pytest.approx(getattr(whole, name))
        assert 0 <= intervals[name].low <= intervals[name].high <= 1


def test_the_interval_covers_a_proportion_as_statistics_say() -> None:
    # 400 rows, half of them right: the standard error of exact match is 0.025.
    true = [{"a"}] * 400
    said = [{"a"}] * 200 + [{"b"}] * 200
    interval = bootstrap(true, said, samples=1000, seed=1)["exact_match"]
    assert interval.low == pytest.approx(0.451, abs=0.01)
    assert interval.high == pytest.approx(0.549, abs=0.01)


def test_the_paired_difference_is_sharper_than_the_two_intervals() -> None:
    true = [{"a"}] * 200
    good = [{"a"}] * 120 + [{"b"}] * 80
    worse = [{"a"}] * 110 + [{"b"}] * 90
    pair = paired_bootstrap(true, good, worse, samples=500)["micro_f1"]
    alone = bootstrap(true, good, samples=500)["micro_f1"]
    assert pair.value == pytest.approx(0.05)
    assert pair.low > 0
    assert pair.high - pair.low < alone.high - alone.low
    same = paired_bootstrap(true, good, good, samples=50)["micro_f1"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_intervals_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        bootstrap([{"a"}], [{"a"}], **wrong)  # type: ignore[arg-type]
