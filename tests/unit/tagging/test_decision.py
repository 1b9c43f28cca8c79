"""Thresholds for each average of F1, the fewest and the most tags, and abstention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.decision import Decision, tune_decision, tune_threshold
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.vocabulary import Vocabulary

VOCABULARY = Vocabulary(tuple("abcdef"), (1,) * 6, 6)
ROW = st.lists(st.floats(0, 1), min_size=6, max_size=6).map(np.asarray)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2), st.integers(2, 5), st.integers(0, 1000))
def test_no_other_threshold_has_a_better_samples_f1(rows: int, least: int, most: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.random((rows, 6))
    true = [tuple(tag for tag in "abcdefX" if generator.random() < 0.3) for _ in range(rows)]

    def quality(threshold: float) -> float:
        return score(true, Decision(threshold, least, most).all_tags(scores, VOCABULARY)).samples_f1

    tuned = tune_threshold(scores, true, VOCABULARY, optimize="samples", least=least, most=most, resamples=0)
    assert quality(tuned) >= max(quality(step / 50) for step in range(51)) - 1e-9


@given(ROW, st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(0, 2), st.integers(2, 5))
def test_the_tags_given_are_the_best_that_reach_their_thresholds(
    row: np.ndarray, own: list[float], least: int, most: int
) -> None:
    places = Decision(0.5, least, most, tuple(own)).places(row)
    assert least <= len(places) <= most
    assert [row[place] for place in places] == sorted((row[place] for place in places), reverse=True)
    assert all(row[place] >= own[place] for place in places[least:])
    # What is left out either misses its threshold, or is no better than what is given.
    for place in set(range(6)) - set(places):
        assert row[place] < own[place] or (len(places) == most and row[place] <= row[places[-1]])


@given(ROW, st.floats(0, 1))
def test_a_row_gets_no_tags_exactly_where_its_best_score_is_too_low(row: np.ndarray, bound: float) -> None:
    decision = Decision(0.5, abstain_below=bound)
    assert decision.abstains(row) is bool(row.max() < bound)
    assert (decision.places(row) == []) is decision.abstains(row)
    assert not replace(decision, abstain_below=None).abstains(row)


def skewed(rows: int, seed: int) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Calibrated scores of one frequent tag and five rare ones, with tags drawn from them."""
    generator = np.random.default_rng(seed)
    base = np.asarray([0.0, -2.5, -2.5, -3.0, -3.0, -3.5])
    scores = 1 / (1 + np.exp(-(base + 1.5 * generator.standard_normal((rows, 6)))))
    drawn = generator.random(scores.shape) < scores
    return scores, [tuple(tag for tag, there in zip("abcdef", row, strict=True) if there) for row in drawn]


def test_what_is_tuned_for_an_average_is_best_in_it_on_other_rows() -> None:
    scores, true = skewed(1500, 1)
    others, truth = skewed(4000, 2)
    found = {
        kind: score(
            truth,
            tune_decision(scores, true, VOCABULARY, optimize=kind, least=0).all_tags(others, VOCABULARY),
        )
        for kind in ("micro", "samples", "macro")
    }
    for kind in found:
        best = max(getattr(each, f"{kind}_f1") for each in found.values())
        assert getattr(found[kind], f"{kind}_f1") >= best - 0.005
    assert found["macro"].macro_f1 > found["micro"].macro_f1 + 0.01


def test_the_threshold_of_a_tag_on_few_rows_stays_near_that_of_all() -> None:
    generator = np.random.default_rng(3)
    scores = generator.random((200, 6))
    # A single row of tag "f", with an absurd score; every second row has "a".
    true = [("a",) if row % 2 else () for row in range(200)]
    scores[:, 0] = np.where([bool(tags) for tags in true], 0.9, 0.8)
    true[0], scores[0, 5] = ("f",), 0.9999
    decision = tune_decision(scores, true, VOCABULARY, optimize="macro", least=0)
    assert decision.thresholds is not None
    assert abs(decision.thresholds[5] - decision.threshold) < 0.25
    assert 0.8 < decision.thresholds[0] <= 0.9 or abs(decision.thresholds[0] - 0.85) < 0.1


def test_thresholds_are_shrunk_one_by_one() -> None:
    mine, theirs = Decision(0.8, thresholds=(0.8, 0.5)), Decision(0.2, thresholds=(0.2, 0.5))
    assert mine.shrunk_to(theirs, 1.0).thresholds == pytest.approx((0.8, 0.5))
    assert mine.shrunk_to(theirs, 0.0).threshold == pytest.approx(0.2)
    assert mine.shrunk_to(theirs, 0.5).thresholds == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    "wrong", [{"thresholds": (1.5,)}, {"abstain_below": -0.1}, {"abstain_below": float("nan")}]
)
def test_what_is_not_a_probability_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Decision(0.5, **wrong)  # type: ignore[arg-type]


def test_an_unknown_average_and_no_rows_are_refused() -> None:
    scores = np.zeros((0, 6))
    for kind in ("micro", "samples", "macro"):
        with pytest.raises(ConfigurationError):
            tune_decision(scores, [], VOCABULARY, optimize=kind)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="weighted"):
        tune_decision(scores, [], VOCABULARY, optimize="weighted")  # type: ignore[arg-type]
