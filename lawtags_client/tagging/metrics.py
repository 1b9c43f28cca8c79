"""Multi-label scores: F1 in three averages, precision, recall, exact match, and their intervals.

Averages are those of scikit-learn with ``zero_division=0``: over all pairs of row and tag (micro), over tags
(macro; all tags in the truth or in the predictions), and over rows (samples). Every empty case is 0, except
that a row without true and predicted tags is an exact match.

Intervals come from resampling the rows (percentiles of the resampled values). Macro F1 needs more than that,
because most tags are on one or two rows:

* It is averaged over a fixed set of tags, those of the whole test set. A resample misses about a third of the
  tags that are on one row only. Their F1 in it is 0/0: dropping them changes the average, counting 0 biases
  every resample down, and either way the interval may miss the point estimate. Here, such a tag keeps its F1
  of the whole test set.
* The resampled values are shifted so that their mean is the point estimate. F1 of a rare tag is a concave
  ratio, so resampling lowers it on average; only the spread matters.
* Repeated rows cannot show how other rows would have affected a rare tag, so the spread is too small, by half
  on typical data. The jackknife captures it, because leaving out a tag's only row removes the tag from the
  average. The variance that it has in excess of the resampled values is added as normal noise.

The intervals are for the score on other test sets of this size. ``docs/evaluate.md`` gives their coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.proportions import Bounds, f1_interval, wilson
from lawtags_client.tagging.resampling import row_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.int64] | NDArray[np.float64]

Labels = Sequence[Collection[str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one system on one set of rows."""

    rows: int
    micro_f1: float
    macro_f1: float
    samples_f1: float
    micro_precision: float
    micro_recall: float
    macro_precision: float
    macro_recall: float
    samples_precision: float
    samples_recall: float
    exact_match: float
    tags_per_row: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range in which 95 % (or ``level``) of the resampled values lie."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class TagScore:
    """How well one tag is found.

    Args:
        tag: which one.
        precision: share of the rows that were given it that have it.
        recall: share of the rows that have it that were given it.
        f1: of both.
        true: rows that have it.
        predicted: rows that were given it.
        correct: rows that have it and were given it.
        precision_interval: its 95 % interval; None if no row was given the tag.
        recall_interval: its 95 % interval; None if no row has the tag.
        f1_interval: its 95 % interval. All three are None in verdicts of older releases.
    """

    tag: str
    precision: float
    recall: float
    f1: float
    true: int
    predicted: int
    correct: int
    precision_interval: Bounds | None = None
    recall_interval: Bounds | None = None
    f1_interval: Bounds | None = None


# The figures that have intervals.
RESAMPLED = ("micro_f1", "macro_f1", "samples_f1", "micro_precision", "micro_recall", "exact_match")


def score(true: Labels, predicted: Labels) -> Scores:
    """Score predicted tags against the true ones.

    Args:
        true: the true tags of each row.
        predicted: the predicted tags of each row.

    Raises:
        ConfigurationError: the two differ in length.

    Example:
        >>> score([{"a", "b"}], [{"a"}]).micro_recall
        0.5
    """
    counts = _Counts(true, predicted)
    ones = np.ones((1, counts.rows))
    values = {name: float(part[0]) for name, part in counts.averages(ones).items()}
    return Scores(rows=counts.rows, **values)


def bootstrap(
    true: Labels, predicted: Labels, *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Intervals of one system's figures, from resampling the rows.

    They cover the choice of rows, not the luck of a training run.

    Args:
        true: the true tags of each row.
        predicted: the predicted tags of each row.
        samples: how many resamples.
        seed: makes them repeatable.
        level: the share of resampled values inside the interval.

    Raises:
        ConfigurationError: the lengths differ, or samples or level are out of range.
    """
    return resample(true, predicted, samples=samples, seed=seed).intervals(level)


def paired_bootstrap(
    true: Labels, a: Labels, b: Labels, *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Intervals of the difference ``a`` minus ``b``, both scored on the same resamples.

    Args:
        true: the true tags of each row.
        a: predictions of one system.
        b: predictions of the other.
        samples: how many resamples.
        seed: makes them repeatable.
        level: the share of resampled values inside the interval.

    Raises:
        ConfigurationError: the lengths differ, or samples or level are out of range.
    """
    first, second = (resample(true, said, samples=samples, seed=seed) for said in (a, b))
    return first.minus(second).intervals(level)


@dataclass(frozen=True)
class Resampled:
    """The figures of one system, or of the difference between two, on every resample.

    Args:
        point: the figures on the rows as they are.
        drawn: by figure the values on the resamples; the same seed gives the same resamples.
        without: macro F1 without each of the rows, for its jackknife.
        bounds: the least and the most that a figure can be.
    """

    point: dict[str, float]
    drawn: dict[str, Array]
    without: Array
    bounds: tuple[float, float] = (0.0, 1.0)

    def minus(self, other: Resampled) -> Resampled:
        """The paired difference to another system on the same rows and resamples."""
        return Resampled(
            {name: value - other.point[name] for name, value in self.point.items()},
            {name: values - other.drawn[name] for name, values in self.drawn.items()},
            self.without - other.without,
            (-1.0, 1.0),
        )

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """The interval of each figure.

        Args:
            level: the share of resampled values inside it.

        Raises:
            ConfigurationError: the level is out of range.
        """
        if not 0 < level < 1:
            raise ConfigurationError("an interval needs a level between 0 and 1", hint="Try 0.95.")
        return {name: self._interval(name, level) for name in RESAMPLED}

    def _interval(self, name: str, level: float) -> Interval:
        value = self.point[name]
        drawn = self._widened(value) if name == "macro_f1" else self.drawn[name]
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        # A handful of resamples may all lie on one side of the point.
        low, high = np.clip([min(low, value), max(high, value)], *self.bounds)
        return Interval(value, float(low), float(high), level)

    def _widened(self, value: float) -> Array:
        """The resampled values of macro F1 around the point, with the variance of the jackknife."""
        drawn = self.drawn["macro_f1"]
        rows = len(self.without)
        variance = (rows - 1) * float(self.without.var()) if rows else 0.0
        unseen = max(0.0, variance - float(drawn.var()))
        noise = np.random.default_rng(len(drawn)).standard_normal(len(drawn))
        noise -= noise.mean()
        return np.asarray(value + drawn - drawn.mean() + np.sqrt(unseen) * noise)


def resample(true: Labels, predicted: Labels, *, samples: int = 1000, seed: int = 0) -> Resampled:
    """Score one system on resampled rows, to be compared with others on the same resamples.

    Args:
        true: the true tags of each row.
        predicted: the predicted tags of each row.
        samples: how many resamples.
        seed: decides the resamples; those of one seed and number of rows are the same for all systems.

    Raises:
        ConfigurationError: the lengths differ, or there is to be no resample.
    """
    counts = _Counts(true, predicted)
    point = counts.averages(np.ones((1, counts.rows)))
    drawn = _resampled(counts.averages, counts.rows, samples, seed)
    return Resampled({name: float(point[name][0]) for name in RESAMPLED}, drawn, counts.macro_f1_without())


def per_tag(true: Labels, predicted: Labels) -> list[TagScore]:
    """Score every tag alone, most frequent in the truth first.

    Intervals are Wilson's, since most tags have too few rows to resample (``proportions.py``).

    Args:
        true: the true tags of each row.
        predicted: the predicted tags of each row.

    Raises:
        ConfigurationError: the two differ in length.
    """
    counts = _Counts(true, predicted)
    found = [np.bincount(part[1], minlength=len(counts.tags)).tolist() for part in counts.pairs]
    scores = [_tag_score(tag, *each) for tag, *each in zip(counts.tags, *found, strict=True)]
    return sorted(scores, key=lambda item: (-item.true, item.tag))


def _tag_score(tag: str, correct: int, predicted: int, true: int) -> TagScore:
    return TagScore(
        tag,
        precision=correct / predicted if predicted else 0.0,
        recall=correct / true if true else 0.0,
        f1=2 * correct / (predicted + true),
        true=true,
        predicted=predicted,
        correct=correct,
        precision_interval=wilson(correct, predicted),
        recall_interval=wilson(correct, true),
        f1_interval=f1_interval(correct, predicted, true),
    )


class _Counts:
    """Pairs of row and tag that are correct, predicted and true."""

    def __init__(self, true: Labels, predicted: Labels) -> None:
        if len(true) != len(predicted):
            raise ConfigurationError(
                f"{len(predicted)} predictions cannot be scored against {len(true)} rows",
                hint="Pass one set of tags per row; an empty one if nothing was predicted.",
            )
        truth, said = [set(tags) for tags in true], [set(tags) for tags in predicted]
        self.rows = len(truth)
        self.tags = sorted(set().union(*truth, *said))
        places = {tag: place for place, tag in enumerate(self.tags)}
        correct = [mine & theirs for mine, theirs in zip(truth, said, strict=True)]
        self.pairs = tuple(_as_pairs(labels, places) for labels in (correct, said, truth))
        self._per_row = [np.bincount(rows, minlength=self.rows).astype(np.float64) for rows, _ in self.pairs]
        self._whole = [np.bincount(tags, minlength=len(self.tags)) for _, tags in self.pairs]
        self._whole_f1 = _ratio(2 * self._whole[0], self._whole[1] + self._whole[2])

    def averages(self, weights: Array) -> dict[str, Array]:
        """All figures for each row of ``weights``, which says how often every row counts."""
        total = weights.sum(axis=1)
        correct, said, there = (weights @ counts for counts in self._per_row)
        row_correct, row_said, row_there = self._per_row
        row_exact = (row_correct == row_said) & (row_correct == row_there)
        tag_correct, tag_said, tag_there = (self._per_tag(weights, part) for part in self.pairs)
        # A tag that a resample does not contain keeps its F1 of all rows; see the top of this module.
        tag_f1 = np.where(
            tag_said + tag_there > 0, _ratio(2 * tag_correct, tag_said + tag_there), self._whole_f1
        )

        def over_tags(values: Array) -> Array:
            return np.asarray(values.sum(axis=1) / max(1, len(self.tags)))

        def over_rows(values: Array) -> Array:
            return _ratio(weights @ values, total)

        return {
            "micro_f1": _ratio(2 * correct, said + there),
            "macro_f1": over_tags(tag_f1),
            "samples_f1": over_rows(_ratio(2 * row_correct, row_said + row_there)),
            "micro_precision": _ratio(correct, said),
            "micro_recall": _ratio(correct, there),
            "macro_precision": over_tags(_ratio(tag_correct, tag_said)),
            "macro_recall": over_tags(_ratio(tag_correct, tag_there)),
            "samples_precision": over_rows(_ratio(row_correct, row_said)),
            "samples_recall": over_rows(_ratio(row_correct, row_there)),
            "exact_match": over_rows(row_exact.astype(np.float64)),
            "tags_per_row": _ratio(said, total),
        }

    def macro_f1_without(self) -> Array:
        """Macro F1 of all rows but one, for each of the rows; of the tags that the others hold."""
        size = len(self.tags)
        # Both numbers of a pair in one, so that pairs can be counted.
        keys = [rows * size + tags for rows, tags in self.pairs]
        there, found = np.unique(np.concatenate(keys), return_inverse=True)
        held = np.split(found, np.cumsum([len(each) for each in keys])[:-1])
        correct, said, true = (np.bincount(each, minlength=len(there)) for each in held)
        rows, tags = np.divmod(there, max(size, 1))
        left = self._whole[1][tags] + self._whole[2][tags] - said - true
        f1 = _ratio(2 * (self._whole[0][tags] - correct), left)
        change = np.bincount(rows, f1 - self._whole_f1[tags], minlength=self.rows)
        gone = np.bincount(rows, left == 0, minlength=self.rows)
        return _ratio(self._whole_f1.sum() + change, size - gone)

    def _per_tag(self, weights: Array, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Array:
        rows, tags = pairs
        return np.stack([np.bincount(tags, each[rows], minlength=len(self.tags)) for each in weights])


def _as_pairs(
    labels: Sequence[Collection[str]], places: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = [row for row, tags in enumerate(labels) for _ in tags]
    tags = [places[tag] for row in labels for tag in row]
    return np.asarray(rows, dtype=np.int64), np.asarray(tags, dtype=np.int64)


def _ratio(above: Counts, below: Counts) -> Array:
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom > 0)


def _resampled(
    figures: Callable[[Array], dict[str, Array]], rows: int, samples: int, seed: int
) -> dict[str, Array]:
    parts = [figures(weights) for weights in row_weights(rows, samples=samples, seed=seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in RESAMPLED}
