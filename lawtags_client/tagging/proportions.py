"""Intervals of proportions, and of F1, that hold for a handful of rows.

They are Wilson's score intervals (1927). Unlike a bootstrap, they do not collapse to a point if all of a few
rows are right. F1 is ``2 J / (1 + J)``, where J is the share of correct ones among all pairs that are true or
predicted, so the interval of J gives that of F1: the indirect method of Lam, Gopal and Qian (2023, arXiv
2309.14621).
"""

from __future__ import annotations

from statistics import NormalDist

Bounds = tuple[float, float]


def wilson(found: float, total: float, *, level: float = 0.95) -> Bounds | None:
    """Wilson's interval of a proportion.

    Args:
        found: how many of the total have the property.
        total: how many there are.
        level: coverage of the interval.

    Returns:
        Its low and high end; None if the total is zero.
    """
    if total <= 0:
        return None
    share, z = found / total, NormalDist().inv_cdf((1 + level) / 2)
    spread = z * (share * (1 - share) / total + (z / (2 * total)) ** 2) ** 0.5
    center, scale = share + z * z / (2 * total), 1 + z * z / total
    # Rounding must not push an end past the proportion itself.
    low = 0.0 if found <= 0 else max(0.0, min(share, (center - spread) / scale))
    high = 1.0 if found >= total else min(1.0, max(share, (center + spread) / scale))
    return low, high


def f1_interval(correct: float, predicted: float, true: float, *, level: float = 0.95) -> Bounds | None:
    """The interval of F1 of one tag.

    Args:
        correct: rows that have the tag and were given it.
        predicted: rows that were given it.
        true: rows that have it.
        level: coverage of the interval.

    Returns:
        Its low and high end; None if no row has the tag or was given it.
    """
    found = wilson(correct, predicted + true - correct, level=level)
    if found is None:
        return None
    low, high = (2 * share / (1 + share) for share in found)
    return low, high
