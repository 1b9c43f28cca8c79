"""How far the probabilities of a system can be trusted.

Brier score, log loss and the number of tags are over all pairs of a row and a tag that the system scores.
Nearly all of these pairs are close to zero, so their calibration error is, too, whatever the others are like.
The expected calibration error is therefore over the pairs above a threshold, in bins of equal size: the
thresholded adaptive calibration error of Nixon et al. (2019, arXiv 1904.01685), with one set of bins for all
tags, since most tags have too few rows for bins of their own. All other pairs are reported as one more bin.

On few rows, the estimated error is too high, since deviations by chance do not cancel out. So it comes with
the error that exact probabilities would have by chance, and its interval is a basic bootstrap, which
subtracts the bias. The interval includes zero if the error is within the 97.5th percentile of chance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.logistic import fit_towards
from lawtags_client.tagging.proportions import Bounds, wilson
from lawtags_client.tagging.resampling import row_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats, Integers

    Array = NDArray[np.float64]

__all__ = [
    "LEAST_PROBABILITY",
    "Calibration",
    "ReliabilityBin",
    "equal_bins",
    "fit_platt",
    "measure_calibration",
]

LEAST_PROBABILITY = 0.05
"""Pairs with a lower probability do not count for the expected calibration error."""
MOST_BINS = 10
# Fewer pairs per bin make the error mostly chance.
_PAIRS_PER_BIN = 20
# Some 40 validation rows bend the scores of an encoder as far as they should; see docs/quality.md.
_PLATT_PENALTY = 5.0
# A flatter line would round the tags of a row to equal probabilities.
_LEAST_SLOPE = 0.05
# A log loss of infinity would hide all other rows.
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Pairs of similar probability.

    Args:
        low: lowest probability.
        high: highest probability.
        pairs: how many there are.
        predicted: their mean probability.
        observed: share of pairs that are true.
        interval: Wilson's 95 % interval of that share.
    """

    low: float
    high: float
    pairs: int
    predicted: float
    observed: float
    interval: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration of one system on the test rows; intervals are of 95 %, over the rows.

    Args:
        rows: rows that were scored.
        tags: tags that the system scores; every row is paired with each of them.
        unscored: true tags of the rows that the system does not score.
        predicted_tags: sum of the probabilities of a row, averaged over the rows.
        predicted_tags_interval: its interval.
        true_tags: true ones among the scored tags per row.
        brier: squared error of the probabilities, summed over the tags of a row and averaged over the rows.
        brier_interval: its interval.
        log_loss: binary cross-entropy, summed over the tags of a row and averaged over the rows.
        log_loss_interval: its interval.
        least_probability: pairs with at least this probability count for the calibration error.
        pairs: how many these are.
        ece: expected calibration error: the gap between predicted and observed, averaged over these pairs
            by bins of equal size; None if there are none.
        ece_interval: its interval.
        ece_by_chance: the error that exact probabilities would have on average.
        ece_all_pairs: the error over all pairs, in bins of equal size.
        overconfidence: mean probability of these pairs minus the share that is true.
        bins: those of the error.
        rest: the pairs below the least probability; None if there are none.
    """

    rows: int
    tags: int
    unscored: int
    predicted_tags: float
    predicted_tags_interval: Bounds
    true_tags: float
    brier: float
    brier_interval: Bounds
    log_loss: float
    log_loss_interval: Bounds
    least_probability: float
    pairs: int
    ece: float | None
    ece_interval: Bounds | None
    ece_by_chance: float | None
    ece_all_pairs: float | None
    overconfidence: float | None
    bins: tuple[ReliabilityBin, ...]
    rest: ReliabilityBin | None


def measure_calibration(
    scores: Floats,
    tags: Sequence[str],
    true: Sequence[Collection[str]],
    *,
    least_probability: float = LEAST_PROBABILITY,
    samples: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Compare probabilities with the true tags.

    Args:
        scores: probabilities, rows by tags.
        tags: names of the columns.
        true: the true tags of each row.
        least_probability: pairs with a lower one do not count for the calibration error.
        samples: how many resamples of the rows.
        seed: makes them repeatable.

    Raises:
        ConfigurationError: the shapes differ, a score is not a probability, or there is to be no resample.
    """
    _check(scores, tags, true)
    probabilities = np.asarray(scores, dtype=np.float64)
    labels = _labels(tags, true)
    clipped = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
    per_row = {
        "predicted": probabilities.sum(axis=1),
        "brier": ((probabilities - labels) ** 2).sum(axis=1),
        "log_loss": -np.log(np.where(labels, clipped, 1 - clipped)).sum(axis=1),
    }
    counted = probabilities >= least_probability
    gaps = _Gaps.of(probabilities, labels, counted)
    drawn: dict[str, list[Array]] = {name: [] for name in (*per_row, "ece")}
    for weights in row_weights(len(scores), samples=samples, seed=seed):
        total = np.maximum(weights.sum(axis=1), 1)
        for name, values in per_row.items():
            drawn[name].append(weights @ values / total)
        drawn["ece"].append(gaps.errors(weights))
    resampled = {name: np.concatenate(parts) for name, parts in drawn.items()}
    point = {name: float(values.mean()) if len(values) else 0.0 for name, values in per_row.items()}
    bounds = {name: _percentiles(resampled[name], point[name]) for name in per_row}
    ece = gaps.error
    return Calibration(
        rows=len(scores),
        tags=len(tags),
        unscored=sum(len(set(row)) for row in true) - int(labels.sum()),
        predicted_tags=point["predicted"],
        predicted_tags_interval=bounds["predicted"],
        true_tags=float(labels.sum() / max(1, len(scores))),
        brier=point["brier"],
        brier_interval=bounds["brier"],
        log_loss=point["log_loss"],
        log_loss_interval=bounds["log_loss"],
        least_probability=least_probability,
        pairs=int(counted.sum()),
        ece=ece,
        ece_interval=None if ece is None else gaps.interval(ece, resampled["ece"]),
        ece_by_chance=None if ece is None else gaps.chance()[0],
        ece_all_pairs=_Gaps.of(probabilities, labels, np.ones_like(counted)).error,
        overconfidence=gaps.overconfidence,
        bins=gaps.bins(),
        rest=_bin(probabilities[~counted], labels[~counted]),
    )


@dataclass(frozen=True)
class _Gaps:
    """The gaps between predicted and observed, by bin and row.

    Args:
        rows: number of rows.
        row: of each pair.
        place: bin of each pair.
        predicted: probability of each pair.
        observed: whether it is true.
    """

    rows: int
    row: Integers
    place: Integers
    predicted: Array
    observed: NDArray[np.bool_]

    @classmethod
    def of(cls, probabilities: Array, labels: NDArray[np.bool_], counted: NDArray[np.bool_]) -> _Gaps:
        values = probabilities[counted]
        return cls(len(counted), np.nonzero(counted)[0], equal_bins(values), values, labels[counted])

    @property
    def error(self) -> float | None:
        if not len(self.predicted):
            return None
        sums = np.bincount(self.place, self.predicted - self.observed)
        return float(np.abs(sums).sum() / len(self.predicted))

    @property
    def overconfidence(self) -> float | None:
        return float((self.predicted - self.observed).mean()) if len(self.predicted) else None

    def errors(self, weights: Array) -> Array:
        """The error on resamples, in the same bins; zero on a resample without any pair."""
        count = int(self.place.max()) + 1 if len(self.place) else 1
        cells = self.row * count + self.place
        gaps = np.bincount(cells, self.predicted - self.observed, minlength=self.rows * count)
        pairs = np.bincount(self.row, minlength=self.rows)
        sums = np.abs(weights @ gaps.reshape(self.rows, count)).sum(axis=1)
        return np.asarray(sums / np.maximum(weights @ pairs, 1))

    def chance(self) -> tuple[float, float]:
        """Mean and 97.5th percentile of the error, if each pair were true with its probability.

        The sum of a bin is about normal, so its absolute deviation is half-normal.
        """
        variance = np.bincount(self.place, self.predicted * (1 - self.predicted))
        mean = float(np.sqrt(2 / np.pi * variance).sum() / len(self.predicted))
        deviation = float(np.sqrt((1 - 2 / np.pi) * variance.sum()) / len(self.predicted))
        return mean, mean + 1.96 * deviation

    def interval(self, error: float, drawn: Array) -> Bounds:
        low, high = np.quantile(drawn, [0.025, 0.975])
        least = 0.0 if error <= self.chance()[1] else min(error, max(0.0, 2 * error - float(high)))
        return least, min(1.0, max(error, 2 * error - float(low)))

    def bins(self) -> tuple[ReliabilityBin, ...]:
        count = int(self.place.max()) + 1 if len(self.place) else 0
        found = (
            _bin(self.predicted[self.place == place], self.observed[self.place == place])
            for place in range(count)
        )
        return tuple(each for each in found if each is not None)


def fit_platt(log_odds: Floats, labels: NDArray[np.generic]) -> tuple[float, float]:
    """Offset and slope that make log-odds calibrated (Platt 1999), drawn toward leaving them as they are.

    They keep the order of the pairs. Scores that these rows contradict or hardly support stay as they are: a
    slope near zero would make all probabilities equal.

    Args:
        log_odds: rows by tags, of rows that the scores were not fitted on.
        labels: 1 where a row has a tag, of the same shape.
    """
    if not log_odds.size:
        return 0.0, 1.0
    columns = np.stack([np.ones(log_odds.size), np.asarray(log_odds, dtype=np.float64).ravel()], axis=1)
    true = labels.ravel().astype(np.float64)
    offset, slope = fit_towards(columns, true, np.asarray([0.0, 1.0]), penalty=_PLATT_PENALTY)
    return (float(offset), float(slope)) if slope >= _LEAST_SLOPE else (0.0, 1.0)


def equal_bins(values: Floats) -> Integers:
    """The bin of each value, from zero: bins of equal size, and equal values in the same one.

    Args:
        values: probabilities.
    """
    count = max(1, min(MOST_BINS, len(values) // _PAIRS_PER_BIN))
    ordered = np.sort(values)
    cuts = np.unique(ordered[[place * len(values) // count for place in range(1, count)]])
    places = np.searchsorted(cuts, values, side="right")
    return np.asarray(np.unique(places, return_inverse=True)[1], dtype=np.int64)


def _bin(predicted: Array, observed: NDArray[np.bool_]) -> ReliabilityBin | None:
    interval = wilson(float(observed.sum()), len(observed))
    if interval is None:
        return None
    return ReliabilityBin(
        low=float(predicted.min()),
        high=float(predicted.max()),
        pairs=len(predicted),
        predicted=float(predicted.mean()),
        observed=float(observed.mean()),
        interval=interval,
    )


def _percentiles(drawn: Array, value: float) -> Bounds:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)


def _labels(tags: Sequence[str], true: Sequence[Collection[str]]) -> NDArray[np.bool_]:
    places = {tag: place for place, tag in enumerate(tags)}
    labels = np.zeros((len(true), len(tags)), dtype=bool)
    for row, given in enumerate(true):
        labels[row, [places[tag] for tag in given if tag in places]] = True
    return labels


def _check(scores: Floats, tags: Sequence[str], true: Sequence[Collection[str]]) -> None:
    if scores.shape != (len(true), len(tags)):
        raise ConfigurationError(
            f"scores of shape {scores.shape} do not match {len(true)} rows and {len(tags)} tags",
            hint="Pass one score for each pair of row and tag.",
        )
    if scores.size and not (float(scores.min()) >= 0 and float(scores.max()) <= 1):
        raise ConfigurationError("a score is not a probability", hint="Pass values from 0 to 1.")
