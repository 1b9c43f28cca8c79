"""Figures of repeated splits pooled into one, with intervals that cover the luck of the split.

Repeats share rows, so their figures are not independent, and the variance of their mean does not fall as
``1/J`` with the number ``J`` of repeats. Nadeau and Bengio 2003 (Inference for the generalization error,
Machine Learning 52) take the correlation between two random splits to be the share of rows that are held out.
The variance between repeats then underestimates that of one figure by the factor ``1 - correlation``.

A few repeats give a poor estimate of a variance, and Student's t punishes that: with three repeats, intervals
would be wider than those of one split. But resampling the test rows of each repeat estimates most of that
variance well. So the variance of one figure is at least the mean of those, only what exceeds it is estimated
from the repeats, and the degrees of freedom are weighed accordingly (Satterthwaite 1946).
``docs/evaluate.md`` gives the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.runs.language_model import WITH_LANGUAGE_MODEL
from lawtags_client.runs.metrics import Metrics
from lawtags_client.runs.recipe import RepeatedSystems
from lawtags_client.runs.repeats import RepeatedDifference, RepeatedFigure, RepeatedVerdict, Varied
from lawtags_client.runs.verdict import COMPARED, SYSTEMS

# Half the width of a 95 % interval, in standard errors.
_WIDTH = 1.959964


@dataclass(frozen=True, slots=True)
class SplitSampling:
    """How the rows of repeats overlap.

    Args:
        correlation: between the figures of two repeats.
        same_test_rows: whether all repeats are judged on the same test rows.
        test_rows: of one repeat.
    """

    correlation: float
    same_test_rows: bool
    test_rows: int


def pooled(values: Sequence[float], within: Sequence[float], sampling: SplitSampling) -> RepeatedFigure:
    """The mean of a figure over repeats, with its 95 % interval.

    Args:
        values: the figure in each repeat.
        within: for each repeat, the variance of the figure over resamples of its test rows.
        sampling: how their rows overlap.

    Raises:
        ConfigurationError: there are fewer than two repeats.
    """
    count = len(values)
    if count < 2:
        raise ConfigurationError(
            "an interval over repeats needs at least two", hint="Raise evaluation.repeats."
        )
    mean = math.fsum(values) / count
    between = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    resampled = math.fsum(within) / count
    rho = sampling.correlation
    if sampling.same_test_rows:
        # No number of repeats averages out the choice of the test rows.
        rows, luck = resampled, between * (1 / count + rho / (1 - rho))
    else:
        share = rho + (1 - rho) / count
        rows, luck = resampled * share, max(0.0, between / (1 - rho) - resampled) * share
    variance = rows + luck
    known, found = max(1, sampling.test_rows - 1), count - 1
    spread = rows**2 / known + luck**2 / found
    freedom = variance**2 / spread if spread else known
    half = _quantile(freedom) * math.sqrt(variance)
    return RepeatedFigure(values=tuple(values), mean=mean, low=mean - half, high=mean + half)


def pool(
    metrics: Sequence[Metrics],
    *,
    sampling: SplitSampling,
    systems: Sequence[str],
    repeated_systems: RepeatedSystems,
    varied: Varied,
    seeds: Sequence[int],
    metrics_sha256: str,
    pairs: Collection[tuple[str, str]] = (),
) -> RepeatedVerdict:
    """Pool the verdicts of all repeats.

    Args:
        metrics: the verdict of each repeat, that of the run's own split first.
        sampling: how their rows overlap.
        systems: those that are repeated.
        repeated_systems: the recipe's word for them.
        varied: what differs between the repeats.
        seeds: the split seed of each repeat.
        metrics_sha256: of the first verdict's file.
        pairs: systems to compare in addition, such as those of gates.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    judged = [name for name in SYSTEMS if name in systems and all(_judged(each, name) for each in metrics)]
    return RepeatedVerdict(
        repeats=len(metrics),
        repeated_systems=repeated_systems,
        varied=varied,
        seeds=tuple(seeds),
        test_rows=tuple(each.test_rows for each in metrics),
        correlation=round(sampling.correlation, 4),
        systems={
            name: {metric: _system(metrics, name, metric, sampling) for metric in COMPARED} for name in judged
        },
        differences=tuple(
            _difference(metrics, *pair, metric, sampling)
            for pair in _pairs(judged, metrics, pairs)
            for metric in COMPARED
        ),
        not_repeated=tuple(name for name in metrics[0].systems if name not in judged),
        metrics_sha256=metrics_sha256,
    )


def _judged(metrics: Metrics, system: str) -> bool:
    return system in metrics.systems and all(entry.system != system for entry in metrics.incomplete)


def _pairs(
    judged: Sequence[str], metrics: Sequence[Metrics], more: Collection[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The tagger and the best system without a language model, each against all that come after it."""
    compared = [{(row.a, row.b) for row in each.differences} for each in metrics]
    without = [name for name in judged if name not in WITH_LANGUAGE_MODEL]
    heads = [*(["tagger"] if "tagger" in judged else []), *without[:1]]
    pairs = [(head, other) for head in heads for other in judged[judged.index(head) + 1 :]]
    pairs += [pair for pair in dict.fromkeys(more) if pair not in pairs and set(pair) <= set(judged)]
    # A verdict of an older release compares fewer systems.
    return [pair for pair in pairs if all(pair in known for known in compared)]


def _system(metrics: Sequence[Metrics], name: str, metric: str, sampling: SplitSampling) -> RepeatedFigure:
    found = [each.systems[name] for each in metrics]
    values = [getattr(figures, metric) for figures in found]
    result = pooled(values, [_variance(*figures.intervals[metric]) for figures in found], sampling)
    return RepeatedFigure(
        values=result.values, mean=result.mean, low=max(0.0, result.low), high=min(1.0, result.high)
    )


def _difference(
    metrics: Sequence[Metrics], a: str, b: str, metric: str, sampling: SplitSampling
) -> RepeatedDifference:
    rows = [
        row for each in metrics for row in each.differences if (row.a, row.b, row.metric) == (a, b, metric)
    ]
    found = pooled([row.difference for row in rows], [_variance(row.low, row.high) for row in rows], sampling)
    return RepeatedDifference(
        a=a,
        b=b,
        metric=metric,
        values=found.values,
        mean=found.mean,
        low=found.low,
        high=found.high,
        reading="better" if found.low > 0 else "worse" if found.high < 0 else "not shown",
    )


def _variance(low: float, high: float) -> float:
    """The variance of resampled values, from their 95 % interval."""
    return ((high - low) / (2 * _WIDTH)) ** 2


def _quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t."""
    try:
        from scipy.special import stdtrit
    except ImportError:
        raise MissingExtraError("scipy", "tag", "An interval over repeats") from None
    return float(stdtrit(freedom, 0.975))
