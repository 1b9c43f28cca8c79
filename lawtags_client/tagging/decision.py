"""From scores to tags: the best few, and of these the ones above a threshold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True)
class Decision:
    """Takes at least ``least`` and at most ``most`` tags, the ones between only from ``threshold`` on.

    Raises:
        ConfigurationError: least and most are not in order.
    """

    threshold: float
    least: int = 1
    most: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ConfigurationError(
                f"cannot give at least {self.least} and at most {self.most} tags",
                hint="Use 0 <= least <= most, and most >= 1.",
            )

    def places(self, row: Array) -> list[int]:
        """Places of the tags to give, best first; ties go to the more frequent tag."""
        best = np.argsort(-row, kind="stable")[: self.most]
        return [
            int(place) for rank, place in enumerate(best) if rank < self.least or row[place] >= self.threshold
        ]

    def tags(self, row: Array, vocabulary: Vocabulary) -> tuple[str, ...]:
        """The tags to give for one row of scores, best first."""
        return tuple(vocabulary.tags[place] for place in self.places(row))

    def all_tags(self, scores: Array, vocabulary: Vocabulary) -> list[tuple[str, ...]]:
        """The tags to give for each row of scores."""
        return [self.tags(row, vocabulary) for row in scores]


def tune_threshold(
    scores: Array,
    true: Sequence[Collection[str]],
    vocabulary: Vocabulary,
    *,
    least: int = 1,
    most: int = 5,
    resamples: int = 100,
    seed: int = 0,
) -> float:
    """The threshold with the best micro F1.

    It is the median over resamples of the rows: the best threshold of few rows jumps about, its median
    much less.

    Args:
        scores: rows by tags, of rows that the scores were not fitted on.
        true: the true tags of each row, also those outside the vocabulary, which count as missed.
        vocabulary: the columns of the scores.
        least: the fewest tags to give.
        most: the most tags to give.
        resamples: how many; 0 takes the rows as they are.
        seed: makes the resamples repeatable.

    Raises:
        ConfigurationError: there is no row, or least and most are not in order.
    """
    Decision(0.5, least, most)
    if not len(scores):
        raise ConfigurationError("a threshold cannot be tuned without rows", hint="Pass validation rows.")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    values = np.take_along_axis(scores, best, axis=1)
    labels = np.zeros(scores.shape, dtype=bool)
    for row, tags in enumerate(true):
        labels[row, [vocabulary.index(tag) for tag in tags if tag in vocabulary]] = True
    hits = np.take_along_axis(labels, best, axis=1).astype(np.float64)
    there = np.asarray([len(set(tags)) for tags in true], dtype=np.float64)

    loose = values[:, least:].ravel()
    order = np.argsort(-loose, kind="stable")
    loose, loose_hits = loose[order], hits[:, least:].ravel()[order]
    owner = np.repeat(np.arange(len(scores)), values.shape[1] - min(least, values.shape[1]))[order]
    if not len(loose):
        return 0.5
    sure_hits, sure = hits[:, :least].sum(axis=1), np.full(len(scores), min(least, values.shape[1]))

    def best_for(weights: Array) -> float:
        correct = weights @ sure_hits + np.concatenate([[0.0], np.cumsum(weights[owner] * loose_hits)])
        said = weights @ sure + np.concatenate([[0.0], np.cumsum(weights[owner])])
        f1 = 2 * correct / np.maximum(said + weights @ there, 1e-9)
        cut = int(np.argmax(f1))
        above = loose[cut - 1] if cut else 1.0
        below = loose[cut] if cut < len(loose) else 0.0
        return float((above + below) / 2)

    generator = np.random.default_rng(seed)
    drawn = [
        best_for(np.bincount(generator.integers(0, len(scores), len(scores)), minlength=len(scores)))
        for _ in range(resamples)
    ]
    return float(np.median(drawn)) if drawn else best_for(np.ones(len(scores)))
