"""Calibration of probabilities whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.calibration import (
    LEAST_PROBABILITY,
    Calibration,
    equal_bins,
    fit_platt,
    measure_calibration,
)

Matrix = NDArray[np.float64]


def names(count: int) -> list[str]:
    return [f"tag{number}" for number in range(count)]


def tags_of(labels: NDArray[np.bool_]) -> list[set[str]]:
    return [{f"tag{place}" for place in np.flatnonzero(row)} for row in labels]


def measured(scores: Matrix, labels: NDArray[np.bool_], *, least: float = LEAST_PROBABILITY) -> Calibration:
    tags = names(scores.shape[1])
    return measure_calibration(scores, tags, tags_of(labels), least_probability=least, samples=200)


def drawn(rows: int, *, slope: float, seed: int, tags: int = 12) -> tuple[Matrix, NDArray[np.bool_]]:
    """Probabilities whose log-odds are ``slope`` times those of the truth, and labels."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(-2, 1.5, (rows, tags))
    labels = generator.random((rows, tags)) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-slope * odds)), labels


def test_exact_probabilities_have_the_error_of_chance_and_an_interval_with_zero() -> None:
    found = [measured(*drawn(150, slope=1, seed=seed)) for seed in range(40)]
    errors = np.asarray([each.ece for each in found])
    chance = np.asarray([each.ece_by_chance for each in found])
    assert errors.mean() == pytest.approx(chance.mean(), rel=0.1)
    assert errors.mean() < 0.05
    assert np.mean([each.ece_interval is not None and each.ece_interval[0] == 0 for each in found]) >= 0.9
    large = measured(*drawn(4000, slope=1, seed=0))
    assert large.ece is not None
    assert large.ece < 0.015


@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_wrong_probabilities_have_an_error_that_more_rows_do_not_lower(slope: float) -> None:
    truth = measured(*drawn(20_000, slope=slope, seed=1)).ece
    assert truth is not None
    assert truth > 0.08
    found = [measured(*drawn(150, slope=slope, seed=seed)) for seed in range(40)]
    intervals = [each.ece_interval for each in found if each.ece_interval is not None]
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.85
    assert all(low > 0 for low, _ in intervals)


@pytest.mark.parametrize(("share", "rows"), [(0.0, 30), (0.25, 40), (1.0, 7)])
def test_certainty_is_off_by_the_share_of_wrong_ones(share: float, rows: int) -> None:
    labels = np.zeros((rows, 3), dtype=bool)
    labels[: int(share * rows)] = True
    found = measured(np.ones((rows, 3)), labels)
    assert found.ece == pytest.approx(1 - labels.mean())
    assert found.ece_all_pairs == pytest.approx(1 - labels.mean())
    assert found.overconfidence == pytest.approx(1 - labels.mean())
    assert len(found.bins) == 1
    assert found.bins[0].observed == pytest.approx(labels.mean())
    assert found.brier == pytest.approx(3 * (1 - labels.mean()))
    assert np.isfinite(found.log_loss)
    assert found.predicted_tags == 3
    assert found.true_tags == pytest.approx(3 * labels[:, 0].mean())


def test_gaps_of_either_sign_do_not_cancel_out_between_bins() -> None:
    """100 pairs at .2 of which .5 are true, and 100 at .8 of which .5 are."""
    scores = np.repeat([[0.2], [0.8]], 100, axis=0)
    labels = np.tile([[True], [False]], (100, 1))
    found = measured(scores, labels)
    assert found.ece == pytest.approx(0.3)
    assert found.overconfidence == pytest.approx(0)
    assert [(each.pairs, each.observed) for each in found.bins] == [(100, 0.5), (100, 0.5)]
    assert [each.predicted for each in found.bins] == pytest.approx([0.2, 0.8])


def test_pairs_near_zero_are_one_bin_of_their_own_and_not_in_the_error() -> None:
    scores = np.full((50, 200), 0.001)
    scores[:, 0] = 0.9
    labels = np.zeros(scores.shape, dtype=bool)
    found = measured(scores, labels)
    assert found.pairs == 50
    assert found.ece == pytest.approx(0.9)
    # All pairs together look calibrated.
    assert found.ece_all_pairs is not None
    assert found.ece_all_pairs < 0.01
    assert found.rest is not None
    assert (found.rest.pairs, found.rest.observed) == (50 * 199, 0)
    moved = measured(scores, labels, least=0.95)
    assert (moved.ece, moved.ece_interval, moved.bins, moved.pairs) == (None, None, (), 0)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_to_measure_is_not_an_error(shape: tuple[int, int]) -> None:
    found = measured(np.zeros(shape), np.zeros(shape, dtype=bool))
    assert (found.rows, found.tags) == shape
    assert (found.ece, found.brier, found.log_loss, found.bins, found.rest) == (None, 0, 0, (), None)


def test_true_tags_that_are_not_scored_are_counted_apart() -> None:
    found = measure_calibration(np.asarray([[0.5], [0.5]]), ["a"], [{"a", "new"}, {"newer"}], samples=10)
    assert (found.unscored, found.true_tags, found.pairs) == (2, 0.5, 2)


@pytest.mark.parametrize("scores", [np.zeros((2, 2)), np.asarray([[1.2]]), np.asarray([[np.nan]])])
def test_other_shapes_and_what_is_no_probability_are_refused(scores: Matrix) -> None:
    with pytest.raises(ConfigurationError):
        measure_calibration(scores, ["a"], [{"a"}])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 10**6))
def test_scores_equal_those_of_scikit_learn(rows: int, tags: int, seed: int) -> None:
    scores, labels = drawn(rows, slope=1.4, seed=seed, tags=tags)
    found = measured(scores, labels)
    assert found.brier == pytest.approx(brier_score_loss(labels.ravel(), scores.ravel()) * tags)
    loss = log_loss(labels.ravel(), scores.ravel(), labels=[False, True])
    assert found.log_loss == pytest.approx(loss * tags, rel=1e-3)
    for value, (low, high) in (
        (found.brier, found.brier_interval),
        (found.log_loss, found.log_loss_interval),
        (found.predicted_tags, found.predicted_tags_interval),
        *([(found.ece, found.ece_interval)] if found.ece is not None and found.ece_interval else []),
    ):
        assert low <= value <= high


@given(st.lists(st.sampled_from([0.05, 0.1, 0.1000001, 0.5, 0.9, 1.0]) | st.floats(0, 1), max_size=300))
def test_bins_are_in_order_and_equal_values_share_one(values: Sequence[float]) -> None:
    array = np.asarray(values, dtype=np.float64)
    places = equal_bins(array)
    assert len(places) == len(array)
    assert set(places) == set(range(int(places.max()) + 1 if len(places) else 0))
    order = np.argsort(array, kind="stable")
    assert (np.diff(places[order]) >= 0).all()
    for value in set(values):
        assert len(set(places[array == value])) == 1


def test_distinct_values_are_in_bins_of_equal_size() -> None:
    places = equal_bins(np.random.default_rng(0).random(1003))
    assert set(np.bincount(places)) <= {100, 101}
    assert len(np.bincount(places)) == 10


@pytest.mark.parametrize(("slope", "offset"), [(0.5, 0.0), (1.0, -1.0), (2.0, 1.0)])
def test_labels_of_other_rows_correct_distorted_probabilities(slope: float, offset: float) -> None:
    def distorted(seed: int) -> tuple[Matrix, NDArray[np.bool_]]:
        scores, labels = drawn(1500, slope=1, seed=seed)
        return offset + slope * np.log(scores / (1 - scores)), labels

    a, b = fit_platt(*distorted(1))
    assert a == pytest.approx(-offset / slope, abs=0.15)
    assert b == pytest.approx(1 / slope, rel=0.1)
    odds, labels = distorted(2)
    before, after = (measured(1 / (1 + np.exp(-values)), labels) for values in (odds, a + b * odds))
    assert before.ece is not None
    assert after.ece is not None
    assert after.ece < 0.02 < before.ece


def test_one_row_bends_probabilities_and_does_not_overturn_them() -> None:
    assert fit_platt(np.zeros((0, 3)), np.zeros((0, 3))) == (0, 1)
    offset, slope = fit_platt(np.asarray([[1.0, -3.0]]), np.asarray([[0, 1]]))
    assert abs(offset) < 0.5
    assert 0.3 < slope < 1


def test_scores_that_the_labels_contradict_or_do_not_support_stay_as_they_are() -> None:
    against = np.asarray([[3.0, -3.0]] * 500)
    assert fit_platt(against, np.asarray([[0, 1]] * 500)) == (0, 1)
    # Half of the pairs of each score are true, so the best slope is zero.
    useless = np.asarray([[3.0, -3.0], [3.0, -3.0]] * 500)
    assert fit_platt(useless, np.asarray([[0, 1], [1, 0]] * 500)) == (0, 1)
    _, slope = fit_platt(-against, np.asarray([[0, 1]] * 500))
    assert slope > 0.05
