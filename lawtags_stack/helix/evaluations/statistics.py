"""Aggregates of row scores, with the fields of the real service."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lawtags_client.json_value import JsonObject, JsonValue

_BINS = 10
_STATISTICS = (
    "sum", "mean", "min", "max", "median", "std_dev", "variance", "sample_std_dev", "sample_variance",
)  # fmt: skip


def aggregate(name: str, values: Sequence[float]) -> JsonObject:
    """The statistics of one score.

    Args:
        name: ``<metric>.<output>``.
        values: one per row; NaN where there is none.
    """
    known = sorted(value for value in values if not math.isnan(value))
    head: JsonObject = {"name": name, "count": len(known), "nan_count": len(values) - len(known)}
    if not known:
        nothing: JsonObject = dict.fromkeys(_STATISTICS)
        return {
            **head, **nothing, "score_type": "range", "percentiles": None, "histogram": {"bins": []},
        }  # fmt: skip
    mean = sum(known) / len(known)
    squares = sum((value - mean) ** 2 for value in known)
    variance = squares / len(known)
    sample = squares / (len(known) - 1) if len(known) > 1 else None
    return {
        **head,
        "sum": sum(known),
        "mean": mean,
        "min": known[0],
        "max": known[-1],
        "median": _percentile(known, 0.5),
        "std_dev": math.sqrt(variance),
        "variance": variance,
        "sample_std_dev": None if sample is None else math.sqrt(sample),
        "sample_variance": sample,
        "score_type": "range",
        "percentiles": {f"p{10 * k}": _percentile(known, k / 10) for k in range(1, 11)},
        "histogram": {"bins": _bins(known)},
    }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """A percentile, interpolated between positions of ``len + 1`` parts."""
    place = share * (len(ordered) + 1) - 1
    if place <= 0:
        return ordered[0]
    if place >= len(ordered) - 1:
        return ordered[-1]
    below = int(place)
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def _bins(ordered: Sequence[float]) -> list[JsonValue]:
    least, most = ordered[0], ordered[-1]
    if least == most:
        return [{"lower_bound": least, "upper_bound": most, "count": len(ordered)}]
    width = (most - least) / _BINS
    counts = [0] * _BINS
    for value in ordered:
        counts[min(int((value - least) / width), _BINS - 1)] += 1
    bounds = [least + width * index for index in range(_BINS)] + [most]
    return [
        {"lower_bound": bounds[index], "upper_bound": bounds[index + 1], "count": counts[index]}
        for index in range(_BINS)
    ]
