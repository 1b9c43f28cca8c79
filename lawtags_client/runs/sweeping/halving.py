"""Successive halving: all combinations with few steps, and the better ones again with more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lawtags_client.runs.sweeping.grid import SweepPoint


def rungs(steps: int, groups: int, factor: int, *, least: int = 1) -> list[int]:
    """Steps of each rung, the last one with all of them.

    A job cannot be continued with another length, so each rung trains from the start.

    Args:
        steps: of a whole training.
        groups: combinations, seeds aside.
        factor: one in so many combinations is kept after each rung, and the next has so many times the steps.
        least: steps of the first rung.

    Example:
        >>> rungs(900, 9, 3)
        [100, 300, 900]
    """
    count = min(_logarithm(groups, factor), _logarithm(steps // max(least, 1), factor))
    return [max(1, steps // factor**left) for left in range(count, -1, -1)]


def kept(costs: Mapping[str, float], factor: int) -> list[str]:
    """The better combinations of a rung, the best first; at least one.

    Args:
        costs: mean by combination; lower is better.
        factor: one in so many is kept.
    """
    ranked = sorted(costs, key=lambda group: (costs[group], group))
    return ranked[: max(1, math.ceil(len(ranked) / factor))]


def mean_costs(points: Sequence[SweepPoint], costs: Mapping[str, float]) -> dict[str, float]:
    """The mean cost of each combination over its seeds; one that has diverged is the worst.

    Args:
        points: of the rung.
        costs: by digest of the point; lower is better.
    """
    found: dict[str, list[float]] = {}
    for point in points:
        found.setdefault(point.group, []).append(costs.get(point.digest, math.inf))
    return {group: sum(values) / len(values) for group, values in found.items()}


def _logarithm(value: int, base: int) -> int:
    count = 0
    while value >= base:
        value //= base
        count += 1
    return count
