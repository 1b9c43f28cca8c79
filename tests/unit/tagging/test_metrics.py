"""Scores equal scikit-learn's; intervals are repeatable and sane."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.metrics import RESAMPLED, bootstrap, paired_bootstrap, per_tag, resample, score

ROW = st.sets(st.sampled_from("abcdefgh"), max_size=5)
TAGS = st.sets(st.sampled_from([f"tag{n}" for n in range(30)]), max_size=4)
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
        assert 0 <= intervals[name].low <= intervals[name].value <= intervals[name].high <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(TAGS, TAGS, TAGS), min_size=1, max_size=30),
    st.integers(1, 60),
    st.sampled_from([0.2, 0.95]),
)
def test_every_interval_holds_its_point(
    rows: list[tuple[set[str], set[str], set[str]]], samples: int, level: float
) -> None:
    true, a, b = (list(part) for part in zip(*rows, strict=True))
    for found, least in (
        (bootstrap(true, a, samples=samples, level=level), 0),
        (paired_bootstrap(true, a, b, samples=samples, level=level), -1),
    ):
        for name in RESAMPLED:
            assert least <= found[name].low <= found[name].value <= found[name].high <= 1, name


def rare_tags(rows: int = 200) -> list[set[str]]:
    """Three common tags, and one of its own in every second row."""
    return [{"abc"[row % 3]} | ({f"rare{row}"} if row % 2 else set()) for row in range(rows)]


def test_the_interval_of_macro_f1_stands_around_its_point_where_most_tags_are_rare() -> None:
    true = rare_tags()
    frequent = [{"a", "b"}] * len(true)
    found = bootstrap(true, frequent, samples=1000)["macro_f1"]
    assert found.low < found.value < found.high
    assert found.value - found.low == pytest.approx(found.high - found.value, rel=0.3)
    # One rare tag in two is found: a share of 103 tags, most of which stand in one row.
    half = [tags if row % 4 == 1 else tags & {"a", "b", "c"} for row, tags in enumerate(true)]
    found = bootstrap(true, half, samples=1000)["macro_f1"]
    share = found.value
    assert found.high - found.low == pytest.approx(3.92 * (share * (1 - share) / 103) ** 0.5, rel=0.15)


class FromScipy:
    """The same figures by another way, resampled by scipy."""

    def __init__(self, true: list[set[str]], said: list[set[str]]) -> None:
        binarizer = MultiLabelBinarizer().fit(true + said)
        self.y, self.p = (binarizer.transform(labels).astype(float) for labels in (true, said))

    def figure(self, name: str, rows: NDArray[np.int64]) -> float:
        y, p = self.y[rows], self.p[rows]
        if name == "exact_match":
            return float((y == p).all(axis=1).mean())
        axis = {"micro_f1": None, "macro_f1": 0, "samples_f1": 1}[name]
        correct, both = (y * p).sum(axis=axis), (y + p).sum(axis=axis)
        return float(np.mean(np.divide(2 * correct, both, out=np.zeros_like(correct), where=both > 0)))

    def interval(self, name: str, other: FromScipy | None = None) -> tuple[float, float, float]:
        def statistic(rows: NDArray[np.int64]) -> float:
            return self.figure(name, rows) - (other.figure(name, rows) if other else 0.0)

        found = scipy_bootstrap(
            (np.arange(len(self.y)),), statistic, n_resamples=600, method="percentile", vectorized=False,
            rng=np.random.default_rng(1),
        )  # fmt: skip
        return *found.confidence_interval, float(found.standard_error)


@pytest.mark.parametrize("right", [0.5, 0.06], ids=["random", "skewed"])
@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "samples_f1", "exact_match"])
def test_intervals_are_those_of_scipy_where_no_tag_is_rare(name: str, right: float) -> None:
    chance = random.Random(3)
    true = [set(chance.sample("abcd", chance.randint(1, 2))) for _ in range(150)]
    systems = [
        [tags if chance.random() < share else set(chance.sample("abcd", 1)) for tags in true]
        for share in (right, right + 0.2)
    ]
    a, b = (FromScipy(true, said) for said in systems)
    alone = bootstrap(true, systems[0], samples=2000)[name]
    pair = paired_bootstrap(true, systems[1], systems[0], samples=2000)[name]
    for mine, (low, high, error) in ((alone, a.interval(name)), (pair, b.interval(name, a))):
        # The ends of both are themselves drawn by chance.
        assert mine.low == pytest.approx(low, abs=0.4 * error)
        assert mine.high == pytest.approx(high, abs=0.4 * error)


def test_the_jackknife_leaves_out_one_row_after_the_other() -> None:
    chance = random.Random(5)
    true, said = (
        [set(chance.sample("abcdefghijklmnop", chance.randint(0, 3))) for _ in range(25)] for _ in "ab"
    )
    without = resample(true, said, samples=1).without
    for row in range(25):
        others = [*range(row), *range(row + 1, 25)]
        left = score([true[other] for other in others], [said[other] for other in others])
        assert without[row] == pytest.approx(left.macro_f1)


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
