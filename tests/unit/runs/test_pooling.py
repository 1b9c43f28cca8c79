"""Intervals over repeated splits, on figures whose true mean is known."""

from __future__ import annotations

import numpy as np
import pytest

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.pooling import SplitSampling, pooled

pytest.importorskip("scipy")

ROWS, TRUTH = 134, 0.6


def drawn(
    chance: np.random.Generator, repeats: int, variance: float, correlation: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Deviations of the repeats of one experiment, with a correlation between any two."""
    common, own = chance.standard_normal(), chance.standard_normal(repeats)
    deviations: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.sqrt(variance) * (
        np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    )
    return deviations


@pytest.mark.parametrize("repeats", [2, 3, 5, 10])
@pytest.mark.parametrize(
    ("same_test_rows", "luck"), [(False, 0.0), (False, 0.3), (False, 0.6), (True, 0.0), (True, 0.5)]
)
def test_intervals_contain_the_true_figure(repeats: int, same_test_rows: bool, luck: float) -> None:
    chance, share, testing = np.random.default_rng(5), 0.3, 0.02**2
    sampling = SplitSampling(share, same_test_rows=same_test_rows, test_rows=ROWS)
    held, experiments = 0, 1500
    for _ in range(experiments):
        values = TRUTH + drawn(chance, repeats, testing, 1.0 if same_test_rows else share)
        values += drawn(chance, repeats, luck * testing, share)
        within = testing * chance.chisquare(ROWS - 1, repeats) / (ROWS - 1)
        found = pooled(values.tolist(), within.tolist(), sampling)
        held += found.low <= TRUTH <= found.high
    assert 0.90 <= held / experiments <= 0.99


def test_more_repeats_narrow_an_interval_only_as_far_as_their_rows_differ() -> None:
    def width(repeats: int, *, same_test_rows: bool) -> float:
        sampling = SplitSampling(0.3, same_test_rows=same_test_rows, test_rows=ROWS)
        found = pooled([0.5, 0.52] * (repeats // 2), [0.02**2] * repeats, sampling)
        assert found.low < found.mean < found.high
        return found.high - found.low

    one = 2 * 1.96 * 0.02
    assert one > width(2, same_test_rows=False) > width(20, same_test_rows=False) > one * 0.3**0.5
    assert width(2, same_test_rows=True) > width(20, same_test_rows=True) > one


def test_repeats_that_agree_are_no_proof_and_those_that_differ_widen_the_interval() -> None:
    sampling = SplitSampling(0.2, same_test_rows=False, test_rows=ROWS)
    alike = pooled([0.5] * 4, [0.02**2] * 4, sampling)
    apart = pooled([0.4, 0.45, 0.55, 0.6], [0.02**2] * 4, sampling)
    assert alike.mean == apart.mean == 0.5
    assert 0.04 < alike.high - alike.low < (apart.high - apart.low) / 3
    assert pooled([1.0, 1.0], [0.0, 0.0], sampling).low == 1.0


def test_one_repeat_has_no_interval() -> None:
    with pytest.raises(ConfigurationError, match="at least two"):
        pooled([0.5], [0.01], SplitSampling(0.2, same_test_rows=False, test_rows=ROWS))
