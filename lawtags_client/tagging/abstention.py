"""What abstaining gains: how good the answers are if the least confident rows get none.

The confidence of a row is its highest probability, which ``Decision.abstain_below`` is compared with. This is
the risk-coverage curve of selective classification (Geifman and El-Yaniv 2017, arXiv 1705.08500), by
precision and micro F1 in place of the error rate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.proportions import Bounds
from lawtags_client.tagging.resampling import row_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats

    Array = NDArray[np.float64]

# Scores of fewer rows are mostly chance.
_FEWEST_ROWS = 20
_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePoint:
    """The answers above one threshold; intervals are of 95 %, over the rows.

    Args:
        abstain_below: rows whose highest probability is lower get no tags.
        rows: rows with tags.
        coverage: their share of all rows.
        precision: share of the given tags that are right.
        precision_interval: its interval.
        micro_f1: of the rows with tags.
        micro_f1_interval: its interval.
        micro_f1_all: of all rows, where the tags of those without any count as missed.
    """

    abstain_below: float
    rows: int
    coverage: float
    precision: float
    precision_interval: Bounds
    micro_f1: float
    micro_f1_interval: Bounds
    micro_f1_all: float


def coverage_curve(
    true: Sequence[Collection[str]],
    given: Sequence[Collection[str]],
    confidence: Floats,
    *,
    abstained_below: float = 0.0,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[CoveragePoint, ...]:
    """Score the answers at each threshold of abstention, from answering all rows to fewer and fewer.

    Thresholds are multiples of .02; those that leave out the same rows as the one before, or leave fewer
    than 20, are skipped. A row that was given no tags counts as not answered at every threshold.

    Args:
        true: the true tags of each row.
        given: the tags that each row was given.
        confidence: the highest probability of each row.
        abstained_below: the threshold by which the tags were given, with which the curve begins.
        samples: how many resamples of the rows.
        seed: makes them repeatable.

    Raises:
        ConfigurationError: the lengths differ, or there is to be no resample.
    """
    if not len(true) == len(given) == len(confidence):
        raise ConfigurationError(
            f"{len(true)} true rows, {len(given)} answers and {len(confidence)} confidences do not match",
            hint="Pass one of each per row.",
        )
    right = [len(set(a) & set(b)) for a, b in zip(true, given, strict=True)]
    counts = np.asarray(
        [right, [len(set(row)) for row in given], [len(set(row)) for row in true]], dtype=np.float64
    )
    answered = _answered(np.asarray(confidence, dtype=np.float64), counts[1] > 0, abstained_below)
    if not answered:
        return ()
    masks = np.stack([mask for _, mask in answered], axis=1).astype(np.float64)
    drawn = [
        _scores(counts, masks, weights) for weights in row_weights(len(true), samples=samples, seed=seed)
    ]
    precision, f1 = (np.concatenate([part[name] for part in drawn]) for name in ("precision", "micro_f1"))
    whole = {name: values[0] for name, values in _scores(counts, masks, np.ones((1, len(true)))).items()}
    return tuple(
        CoveragePoint(
            abstain_below=threshold,
            rows=int(mask.sum()),
            coverage=float(mask.mean()),
            precision=float(whole["precision"][place]),
            precision_interval=_bounds(precision[:, place], float(whole["precision"][place])),
            micro_f1=float(whole["micro_f1"][place]),
            micro_f1_interval=_bounds(f1[:, place], float(whole["micro_f1"][place])),
            micro_f1_all=float(whole["micro_f1_all"][place]),
        )
        for place, (threshold, mask) in enumerate(answered)
    )


def _answered(
    confidence: Array, has_tags: NDArray[np.bool_], lowest: float
) -> list[tuple[float, NDArray[np.bool_]]]:
    """The thresholds, and which rows have tags at each of them."""
    found: list[tuple[float, NDArray[np.bool_]]] = []
    higher = [step / _STEPS for step in range(_STEPS + 1) if step / _STEPS > lowest]
    for threshold in (lowest, *higher):
        # At the lowest, the rows that were given tags, even if their confidence was rounded below it.
        mask = has_tags & ((confidence >= threshold) | (threshold == lowest))
        if mask.sum() < _FEWEST_ROWS:
            break
        if not found or mask.sum() < found[-1][1].sum():
            found.append((threshold, mask))
    return found


def _scores(counts: Array, masks: Array, weights: Array) -> dict[str, Array]:
    """Scores by resample and threshold."""
    right, given, true = ((weights * part) @ masks for part in counts)
    everything = (weights @ counts[2])[:, None]
    return {
        "precision": right / np.maximum(given, 1),
        "micro_f1": 2 * right / np.maximum(given + true, 1),
        "micro_f1_all": 2 * right / np.maximum(given + everything, 1),
    }


def _bounds(drawn: Array, value: float) -> Bounds:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)
