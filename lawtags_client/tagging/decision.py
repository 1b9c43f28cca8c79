"""From scores to tags: the best few, and of these the ones above a threshold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats, Integers


@dataclass(frozen=True)
class Decision:
    """Selects ``least`` to ``most`` tags; beyond ``least``, only those that reach ``threshold``.

    Raises:
        ConfigurationError: least and most are out of order.
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

    def places(self, row: Floats) -> list[int]:
        """Places of the tags to give, best first; ties go to the more frequent tag."""
        best = np.argsort(-row, kind="stable")[: self.most]
        return [
            int(place) for rank, place in enumerate(best) if rank < self.least or row[place] >= self.threshold
        ]

    def tags(self, row: Floats, vocabulary: Vocabulary) -> tuple[str, ...]:
        """The tags to give for one row of scores, best first."""
        return tuple(vocabulary.tags[place] for place in self.places(row))

    def all_tags(self, scores: Floats, vocabulary: Vocabulary) -> list[tuple[str, ...]]:
        """The tags to give for each row of scores."""
        return [self.tags(row, vocabulary) for row in scores]


def tune_threshold(
    scores: Floats,
    true: Sequence[Collection[str]],
    vocabulary: Vocabulary,
    *,
    least: int = 1,
    most: int = 5,
    resamples: int = 100,
    seed: int = 0,
) -> float:
    """The threshold with the best micro F1: the median over resamples of the rows.

    The best threshold on few rows varies widely; its median over resamples varies much less.

    Args:
        scores: rows by tags; the scores must not have been fitted on these rows.
        true: the true tags of each row; those outside the vocabulary count as missed.
        vocabulary: the columns of the scores.
        least: minimum tags per row.
        most: maximum tags per row.
        resamples: number of resamples; 0 uses the rows as they are.
        seed: seed of the resamples.

    Raises:
        ConfigurationError: there are no rows, or least and most are out of order.
    """
    Decision(0.5, least, most)
    if not len(scores):
        raise ConfigurationError("a threshold cannot be tuned without rows", hint="Pass validation rows.")
    candidates = _Candidates.of(scores, true, vocabulary, least, most)
    if not len(candidates.values):
        return 0.5
    rows, generator = len(scores), np.random.default_rng(seed)
    drawn = [
        candidates.best_threshold(np.bincount(generator.integers(0, rows, rows), minlength=rows))
        for _ in range(resamples)
    ]
    return float(np.median(drawn)) if drawn else candidates.best_threshold(np.ones(rows))


@dataclass(frozen=True)
class _Candidates:
    """The tags that a threshold decides on, and what counts without it.

    Args:
        values: scores of the tags between the least and the most, highest first.
        hits: 1 for each of them that is right.
        rows: the row of each.
        sure: tags per row that are given in any case.
        sure_hits: how many of these are right, per row.
        relevant: true tags per row.
    """

    values: Floats
    hits: Floats
    rows: Integers
    sure: Integers
    sure_hits: Floats
    relevant: Floats

    @classmethod
    def of(
        cls, scores: Floats, true: Sequence[Collection[str]], vocabulary: Vocabulary, least: int, most: int
    ) -> _Candidates:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        values = np.take_along_axis(scores, best, axis=1)
        labels = np.zeros(scores.shape, dtype=bool)
        for row, tags in enumerate(true):
            labels[row, [vocabulary.index(tag) for tag in tags if tag in vocabulary]] = True
        hits = np.take_along_axis(labels, best, axis=1).astype(np.float64)
        loose = values[:, least:].ravel()
        order = np.argsort(-loose, kind="stable")
        sure = min(least, values.shape[1])
        return cls(
            loose[order],
            hits[:, least:].ravel()[order],
            np.repeat(np.arange(len(scores)), values.shape[1] - sure)[order],
            np.full(len(scores), sure),
            hits[:, :least].sum(axis=1),
            np.asarray([len(set(tags)) for tags in true], dtype=np.float64),
        )

    def best_threshold(self, weights: Floats | Integers) -> float:
        """The threshold with the best micro F1, with this weight for each row."""
        own = weights[self.rows]
        correct = weights @ self.sure_hits + np.concatenate([[0.0], np.cumsum(own * self.hits)])
        given = weights @ self.sure + np.concatenate([[0.0], np.cumsum(own)])
        f1 = 2 * correct / np.maximum(given + weights @ self.relevant, 1e-9)
        cut = int(np.argmax(f1))
        above = self.values[cut - 1] if cut else 1.0
        below = self.values[cut] if cut < len(self.values) else 0.0
        return float((above + below) / 2)
