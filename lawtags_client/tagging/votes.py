"""Votes of the nearest training questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats


def vote(similar: Floats, labels: Floats, neighbours: int, *, power: int = 1) -> Floats:
    """Tags of the nearest rows, weighted by similarity, as shares of the whole vote.

    Args:
        similar: similarities, questions by training rows.
        labels: 1 where a training row has a tag, training rows by tags.
        neighbours: how many rows vote.
        power: of the similarity; the higher, the more the very nearest decide.
    """
    size = min(neighbours, similar.shape[1])
    nearest = np.argpartition(-similar, size - 1, axis=1)[:, :size]
    weights = np.maximum(np.take_along_axis(similar, nearest, axis=1), 0)
    if power != 1:
        weights = weights**power
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.einsum("qn,qnt->qt", weights / total, labels[nearest], optimize=True))
