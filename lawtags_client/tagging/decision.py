"""From scores to tags: the best few, and of these the ones above a threshold.

The best threshold depends on the F1 that counts. Micro and samples F1 are tuned by one threshold for all
tags. Macro F1 is the mean over tags, so each tag gets its own threshold. On few rows it is mostly luck
(Lipton, Elkan and Naryanaswamy 2014, arXiv 1402.1892), and is shrunk toward a threshold for all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.logistic import logit, sigmoid
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats, Integers

Optimize = Literal["micro", "samples", "macro"]

# A tag on this many rows gets a threshold halfway between its own and that of all tags.
_EVEN_ROWS = 20
_MACRO_STEPS = 60
# With this many rows, their labels weigh as much as the scores' own expectation.
_FEW_ROWS = 50


@dataclass(frozen=True)
class Decision:
    """Selects ``least`` to ``most`` tags; beyond ``least``, only those that reach their threshold.

    Args:
        threshold: for all tags without one of their own.
        least: fewest tags.
        most: most tags.
        thresholds: one for each tag of the vocabulary; None for a single threshold.
        abstain_below: a row whose best score is lower gets no tags; None never abstains.

    Raises:
        ConfigurationError: least and most are out of order, or a threshold is not a probability.
    """

    threshold: float
    least: int = 1
    most: int = 5
    thresholds: tuple[float, ...] | None = None
    abstain_below: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ConfigurationError(
                f"cannot give at least {self.least} and at most {self.most} tags",
                hint="Use 0 <= least <= most, and most >= 1.",
            )
        bounds = (*(self.thresholds or ()), *(() if self.abstain_below is None else (self.abstain_below,)))
        if not all(0 <= value <= 1 for value in bounds):
            raise ConfigurationError(
                "the thresholds of tags and of abstention are probabilities", hint="Use values from 0 to 1."
            )

    def abstains(self, row: Floats) -> bool:
        """Whether no tag of a row is likely enough for an answer."""
        return self.abstain_below is not None and (not len(row) or float(row.max()) < self.abstain_below)

    def places(self, row: Floats) -> list[int]:
        """Places of the tags to give, best first; ties go to the more frequent tag."""
        if self.abstains(row):
            return []
        bounds = self.threshold if self.thresholds is None else np.asarray(self.thresholds)
        best = np.argsort(-row, kind="stable")
        # The first few count, whatever their scores.
        reached = (row >= bounds)[best] | (np.arange(len(row)) < self.least)
        return [int(place) for place in best[reached][: self.most]]

    def tags(self, row: Floats, vocabulary: Vocabulary) -> tuple[str, ...]:
        """The tags to give for one row of scores, best first."""
        return tuple(vocabulary.tags[place] for place in self.places(row))

    def all_tags(self, scores: Floats, vocabulary: Vocabulary) -> list[tuple[str, ...]]:
        """The tags to give for each row of scores."""
        return [self.tags(row, vocabulary) for row in scores]

    def shrunk_to(self, other: Decision, trust: float) -> Decision:
        """This decision with its thresholds moved toward those of another one.

        Args:
            other: has thresholds for the same tags.
            trust: 1 keeps the own thresholds, 0 takes the other's.
        """

        def between(mine: Floats, theirs: Floats) -> Floats:
            return np.asarray(sigmoid(trust * logit(mine) + (1 - trust) * logit(theirs)))

        threshold = float(between(np.asarray(self.threshold), np.asarray(other.threshold)))
        if self.thresholds is None or other.thresholds is None:
            return replace(self, threshold=threshold)
        own = between(np.asarray(self.thresholds), np.asarray(other.thresholds))
        return replace(self, threshold=threshold, thresholds=tuple(own.tolist()))


def tune_decision(
    scores: Floats,
    true: Sequence[Collection[str]],
    vocabulary: Vocabulary,
    *,
    optimize: Optimize = "micro",
    least: int = 1,
    most: int = 5,
    abstain_below: float | None = None,
    resamples: int = 100,
    seed: int = 0,
) -> Decision:
    """The decision with the best F1 of the given average.

    Args:
        scores: rows by tags; the scores must not have been fitted on these rows.
        true: the true tags of each row; those outside the vocabulary count as missed.
        vocabulary: the columns of the scores.
        optimize: the average of F1 that counts.
        least: minimum tags per row.
        most: maximum tags per row.
        abstain_below: a row whose best score is lower gets no tags. The thresholds are tuned on all rows.
        resamples: number of resamples; 0 uses the rows as they are.
        seed: seed of the resamples.

    Raises:
        ConfigurationError: there are no rows, or an option is out of range.
    """
    if optimize not in get_args(Optimize):
        raise ConfigurationError(
            f"{optimize!r} is not an average of F1", hint=f"Use one of: {', '.join(get_args(Optimize))}."
        )
    options = {"least": least, "most": most}
    if optimize != "macro":
        threshold = tune_threshold(
            scores, true, vocabulary, optimize=optimize, resamples=resamples, seed=seed, **options
        )
        return Decision(threshold, least, most, None, abstain_below)
    shared, own = _macro_thresholds(scores, true, vocabulary, least, most)
    return Decision(shared, least, most, own, abstain_below)


def tune_threshold(
    scores: Floats,
    true: Sequence[Collection[str]],
    vocabulary: Vocabulary,
    *,
    optimize: Literal["micro", "samples"] = "micro",
    least: int = 1,
    most: int = 5,
    resamples: int = 100,
    seed: int = 0,
) -> float:
    """The single threshold with the best F1: the median over resamples of the rows.

    The best threshold on few rows varies widely; its median over resamples varies much less.

    Args:
        scores: rows by tags; the scores must not have been fitted on these rows.
        true: the true tags of each row; those outside the vocabulary count as missed.
        vocabulary: the columns of the scores.
        optimize: the average of F1 that counts.
        least: minimum tags per row.
        most: maximum tags per row.
        resamples: number of resamples; 0 uses the rows as they are.
        seed: seed of the resamples.

    Raises:
        ConfigurationError: there are no rows, or least and most are out of order.
    """
    Decision(0.5, least, most)
    _require_rows(scores)
    candidates = _Candidates.of(scores, true, vocabulary, least, most)
    if not len(candidates.values):
        return 0.5
    best = candidates.best_for_samples if optimize == "samples" else candidates.best_threshold
    rows, generator = len(scores), np.random.default_rng(seed)
    drawn = [best(np.bincount(generator.integers(0, rows, rows), minlength=rows)) for _ in range(resamples)]
    return float(np.median(drawn)) if drawn else best(np.ones(rows))


def tune_on_few_rows(
    scores: Floats,
    true: Sequence[Collection[str]],
    vocabulary: Vocabulary,
    *,
    optimize: Optimize = "micro",
    least: int = 1,
    most: int = 5,
    abstain_below: float | None = None,
    seed: int = 0,
) -> Decision:
    """As ``tune_decision``, drawn toward the threshold that would be best if the scores were calibrated.

    On some 40 rows the tuned threshold alone is worth .01 of micro F1 less (``docs/quality.md``).

    Args:
        scores: as for ``tune_decision``; probabilities.
        true: as for ``tune_decision``.
        vocabulary: as for ``tune_decision``.
        optimize: as for ``tune_decision``.
        least: as for ``tune_decision``.
        most: as for ``tune_decision``.
        abstain_below: as for ``tune_decision``.
        seed: as for ``tune_decision``.

    Raises:
        ConfigurationError: there are no rows, or an option is out of range.
    """
    tuned = tune_decision(
        scores,
        true,
        vocabulary,
        optimize=optimize,
        least=least,
        most=most,
        abstain_below=abstain_below,
        seed=seed,
    )
    expected = expected_threshold(scores, least=least, most=most)
    return tuned.shrunk_to(replace(tuned, threshold=expected), len(scores) / (len(scores) + _FEW_ROWS))


def expected_threshold(scores: Floats, *, least: int = 1, most: int = 5) -> float:
    """The threshold with the best expected micro F1, if the scores are calibrated probabilities.

    It needs no labels: the expected number of right tags is the sum of their probabilities.

    Args:
        scores: rows by tags.
        least: minimum tags per row.
        most: maximum tags per row.

    Raises:
        ConfigurationError: there are no rows.
    """
    _require_rows(scores)
    best = -np.sort(-scores, axis=1)[:, :most]
    loose = -np.sort(-best[:, least:].ravel())
    sure = best[:, :least]
    right = sure.sum() + np.concatenate([[0.0], np.cumsum(loose)])
    given = sure.size + np.arange(len(loose) + 1)
    cut = int(np.argmax(2 * right / np.maximum(given + scores.sum(), 1e-9)))
    above = float(loose[cut - 1]) if cut else 1.0
    below = float(loose[cut]) if cut < len(loose) else 0.0
    return (above + below) / 2


def _require_rows(scores: Floats) -> None:
    if not len(scores):
        raise ConfigurationError("a threshold cannot be tuned without rows", hint="Pass validation rows.")


def _macro_thresholds(
    scores: Floats, true: Sequence[Collection[str]], vocabulary: Vocabulary, least: int, most: int
) -> tuple[float, tuple[float, ...]]:
    """The best threshold for all tags by macro F1, and each tag's own, shrunk toward it."""
    Decision(0.5, least, most)
    _require_rows(scores)
    labels = vocabulary.labels(true)
    positives = labels.sum(axis=0)
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")

    def quality(threshold: float) -> float:
        given = (rank < most) & ((scores >= threshold) | (rank < least))
        found = (given & labels).sum(axis=0)
        return float((2 * found / np.maximum(given.sum(axis=0) + positives, 1)).sum())

    shared = max(sigmoid(np.linspace(-6, 4, _MACRO_STEPS)).tolist(), key=quality)
    # Rows in which a tag is among the first few get it whatever the threshold.
    sure = np.where(rank < least, np.inf, scores)
    order = np.argsort(-sure, axis=0, kind="stable")
    ranked = np.take_along_axis(sure, order, axis=0)
    found = np.cumsum(np.take_along_axis(labels, order, axis=0), axis=0)
    f1 = 2 * found / (np.arange(1, len(scores) + 1)[:, None] + positives)
    # A cut between equal scores, or among those that are given anyway, is none.
    below = np.vstack([ranked[1:], np.zeros((1, ranked.shape[1]))])
    f1 = np.where((ranked > below) & ((below < np.inf) | (ranked < np.inf)), f1, -1.0)
    cut = f1.argmax(axis=0)[None, :]
    above = np.minimum(np.take_along_axis(ranked, cut, axis=0)[0], 1.0)
    under = np.where(np.isinf(below), 1.0, below)
    own = (above + np.take_along_axis(under, cut, axis=0)[0]) / 2
    trust = positives / (positives + _EVEN_ROWS)
    mixed = sigmoid(trust * logit(own) + (1 - trust) * logit(np.asarray(shared)))
    return float(shared), tuple(np.asarray(mixed, dtype=np.float64).tolist())


@dataclass(frozen=True)
class _Candidates:
    """The tags that a threshold decides on, and what counts without it.

    Args:
        values: scores of the tags between the least and the most, highest first.
        hits: 1 for each of them that is right.
        rows: the row of each.
        gains: how each changes the F1 of its row when it joins the better ones.
        sure: tags per row that are given in any case.
        sure_hits: how many of these are right, per row.
        sure_f1: F1 of these, per row.
        relevant: true tags per row.
    """

    values: Floats
    hits: Floats
    rows: Integers
    gains: Floats
    sure: Integers
    sure_hits: Floats
    sure_f1: Floats
    relevant: Floats

    @classmethod
    def of(
        cls, scores: Floats, true: Sequence[Collection[str]], vocabulary: Vocabulary, least: int, most: int
    ) -> _Candidates:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        values = np.take_along_axis(scores, best, axis=1)
        hits = np.take_along_axis(vocabulary.labels(true), best, axis=1).astype(np.float64)
        relevant = np.asarray([len(set(tags)) for tags in true], dtype=np.float64)
        given = np.arange(values.shape[1] + 1)
        correct = np.concatenate([np.zeros((len(scores), 1)), np.cumsum(hits, axis=1)], axis=1)
        f1 = 2 * correct / np.maximum(given + relevant[:, None], 1)
        loose = values[:, least:].ravel()
        order = np.argsort(-loose, kind="stable")
        sure = min(least, values.shape[1])
        return cls(
            loose[order],
            hits[:, least:].ravel()[order],
            np.repeat(np.arange(len(scores)), values.shape[1] - sure)[order],
            np.diff(f1, axis=1)[:, sure:].ravel()[order],
            np.full(len(scores), sure),
            hits[:, :least].sum(axis=1),
            f1[:, sure],
            relevant,
        )

    def best_threshold(self, weights: Floats | Integers) -> float:
        """The threshold with the best micro F1, with this weight for each row."""
        own = weights[self.rows]
        correct = weights @ self.sure_hits + np.concatenate([[0.0], np.cumsum(own * self.hits)])
        given = weights @ self.sure + np.concatenate([[0.0], np.cumsum(own)])
        return self._threshold(2 * correct / np.maximum(given + weights @ self.relevant, 1e-9))

    def best_for_samples(self, weights: Floats | Integers) -> float:
        """The threshold with the best samples F1, with this weight for each row."""
        gained = np.concatenate([[0.0], np.cumsum(weights[self.rows] * self.gains)])
        return self._threshold(weights @ self.sure_f1 + gained)

    def _threshold(self, f1: Floats) -> float:
        cut = int(np.argmax(f1))
        above = self.values[cut - 1] if cut else 1.0
        below = self.values[cut] if cut < len(self.values) else 0.0
        return float((above + below) / 2)
