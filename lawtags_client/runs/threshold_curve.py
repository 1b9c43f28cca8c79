"""What another threshold would have given: precision, recall and F1 of a system on the test rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lawtags_client.runs.probabilities import SystemProbabilities

_STEP = 0.05


@dataclass(frozen=True, slots=True)
class ThresholdPoint:
    """The scores at one threshold, over all pairs of row and tag.

    Attributes:
        threshold: tags with a lower probability are not given, except the likeliest one.
        precision: share of the given tags that are true.
        recall: share of the true tags that are given.
        f1: micro F1.
        tags_per_row: how many tags are given on average.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    tags_per_row: float


def threshold_curve(
    found: SystemProbabilities, truth: Sequence[Collection[str]], *, most: int
) -> list[ThresholdPoint]:
    """The scores at each threshold from .05 to .95.

    Args:
        found: probabilities of the system.
        truth: the true tags of each test row.
        most: most tags that a row is given.
    """
    from lawtags_client.tagging._numpy import np

    rows, columns = found.scores.shape
    if not rows or not columns:
        return []
    places = {tag: place for place, tag in enumerate(found.tags)}
    true = np.zeros((rows, columns), dtype=bool)
    for row, number in enumerate(found.rows):
        true[row, [places[tag] for tag in truth[int(number)] if tag in places]] = True
    # Tags that no training row has cannot be given, and count as missed.
    total = sum(len(truth[int(number)]) for number in found.rows)
    ranks = (-found.scores).argsort(axis=1).argsort(axis=1)
    points = []
    for step in range(1, round(1 / _STEP)):
        threshold = round(step * _STEP, 2)
        given = ((found.scores >= threshold) & (ranks < most)) | (ranks == 0)
        correct, said = int((given & true).sum()), int(given.sum())
        points.append(
            ThresholdPoint(
                threshold,
                precision=correct / said if said else 0.0,
                recall=correct / total if total else 0.0,
                f1=2 * correct / (said + total) if said + total else 0.0,
                tags_per_row=said / rows,
            )
        )
    return points
