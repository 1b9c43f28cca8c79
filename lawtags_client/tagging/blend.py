"""The blend: retriever and tuned encoder weighed against each other, without a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.decision import Decision
from lawtags_client.tagging.embedding_signals import TagClassifier, texts_of
from lawtags_client.tagging.logistic import fit_towards, logit, sigmoid
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.stack import log_prior
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats, Integers

ADDED_COLUMNS = ("prior", "product")
"""Columns that blends of schema 4 lack."""

BLEND = ("one", "retriever", "encoder", *ADDED_COLUMNS)
"""The columns that the blend weighs: log-odds of both, the tag's log frequency, and the product of both
log-odds. Where both agree, each repeats in part what the other says; the product takes that back."""

# Before any row is seen; on four data sets the best weights lay around these (docs/quality.md).
_PRIOR = np.asarray([0.0, 0.4, 0.6, 0.0, 0.0])
# The first two draw the weights of some 40 validation rows toward the prior, where those of all four data
# sets lay. The last lets go of it, for a part that is far worse than usual.
_MIXTURES = {"mixture": (len(BLEND), 30.0), "plain mixture": (3, 30.0), "free mixture": (3, 1.0)}
"""How many of the columns each uses, and how strongly its weights are drawn toward the prior."""
_PLAIN = ("plain mixture", "free mixture")
_PARTS = {
    "retriever": np.asarray([0.0, 1.0, 0.0, 0.0, 0.0]),
    "encoder": np.asarray([0.0, 0.0, 1.0, 0.0, 0.0]),
}
# In the product; a badly calibrated part would otherwise dominate the fit by a few pairs.
_MOST_LOG_ODDS = 10.0
FOLDS = 5


@dataclass(frozen=True)
class Blend:
    """How retriever and encoder are weighed.

    Args:
        encoder: scores questions by itself.
        weights: in the order of ``BLEND``; those of a part alone if the blend is not better than it.
        decision: from blended scores to tags.
    """

    encoder: TagClassifier
    weights: NDArray[np.float64]
    decision: Decision

    def scores(
        self, retrieved: Floats, questions: Sequence[Question], vocabulary: Vocabulary
    ) -> NDArray[np.float64]:
        """Blended probabilities.

        Args:
            retrieved: the retriever's probabilities, questions by tags.
            questions: the questions.
            vocabulary: the tags.
        """
        columns = blend_columns(retrieved, self.encoder.log_odds(texts_of(questions)), log_prior(vocabulary))
        return np.asarray(sigmoid(columns @ self.weights), dtype=np.float64)


def check_scorer(encoder: TagClassifier, vocabulary: Vocabulary) -> None:
    """Refuse an encoder that scores other tags than those of the vocabulary, or in another order.

    Raises:
        ConfigurationError: it does.
    """
    if encoder.tags != vocabulary.tags:
        raise ConfigurationError(
            f"the encoder scores {len(encoder.tags)} tags, which are not the {len(vocabulary)} of the tagger",
            hint="Tune the encoder on the rows that the retriever is fitted on.",
        )


def blend_columns(retrieved: Floats, log_odds: Floats, prior: Floats) -> NDArray[np.float64]:
    """The columns of the blend, questions by tags by ``BLEND``.

    Args:
        retrieved: the retriever's probabilities, questions by tags.
        log_odds: of the encoder, in the same shape.
        prior: log frequency of each tag.

    Raises:
        DataError: the shapes differ.
    """
    if retrieved.shape != log_odds.shape:
        raise DataError(
            f"scores of shape {log_odds.shape} for {retrieved.shape[0]} questions and "
            f"{retrieved.shape[1]} tags",
            hint="Pass the encoder that was tuned for these tags.",
        )
    first, second = logit(retrieved), log_odds.astype(np.float64)
    bounded = [np.clip(each, -_MOST_LOG_ODDS, _MOST_LOG_ODDS) for each in (first, second)]
    frequency = np.broadcast_to(prior, first.shape)
    return np.stack([np.ones(first.shape), first, second, frequency, bounded[0] * bounded[1]], axis=2)


def fit_blend_weights(
    columns: NDArray[np.float64], labels: Floats, *, seed: int
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Weigh retriever and encoder, or keep one of them alone where the mixture is not better.

    Mixtures are scored on rows that their weights have not seen, and compared by binary cross-entropy,
    which varies less over few rows than F1 does. The one with all columns has to be better than the rest by
    more than one standard error.

    Args:
        columns: of validation rows; see ``blend_columns``.
        labels: 1 where a row has a tag, rows by tags.
        seed: seed of the folds.

    Returns:
        The name of the mixture or of the part, its weights, and the scores of the rows by
        weights that were not fitted on them.
    """

    def fit(rows: Integers, name: str) -> NDArray[np.float64]:
        width, penalty = _MIXTURES[name]
        pairs = columns[rows, :, :width].reshape(-1, width)
        weights = fit_towards(pairs, labels[rows].ravel(), _PRIOR[:width], penalty=penalty)
        return np.concatenate([weights, np.zeros(len(BLEND) - width)])

    candidates = {name: columns @ weights for name, weights in _PARTS.items()}
    for name in _MIXTURES:
        candidates[name] = np.zeros(labels.shape)
        for held in folds(len(labels), seed):
            candidates[name][held] = columns[held] @ fit(np.flatnonzero(~held), name)
    losses = {name: row_losses(scores, labels) for name, scores in candidates.items()}
    # Rows without a known tag show nothing but how rare tags are, which any mixture could fit.
    rivals = (*_PARTS, *_PLAIN) if labels.any() else ("retriever",)
    best = min(rivals, key=lambda name: float(losses[name].mean()))
    gains = losses[best] - losses["mixture"]
    # More weights fit chance, too, so they have to gain more than it explains.
    if len(rivals) > 1 and gains.mean() > gains.std() / np.sqrt(len(gains)):
        best = "mixture"
    everything = np.arange(len(labels))
    weights = _PARTS[best] if best in _PARTS else fit(everything, best)
    return best, weights, np.asarray(sigmoid(candidates[best]), dtype=np.float64)


def folds(rows: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which rows are held out, for each fold that has some."""
    part = np.random.default_rng(seed).permutation(rows) % FOLDS
    return [part == fold for fold in range(min(FOLDS, rows))]


def row_losses(log_odds: Floats, labels: Floats) -> NDArray[np.float64]:
    """Binary cross-entropy of each row, summed over the tags."""
    found = np.logaddexp(0, log_odds) - labels * log_odds
    return np.asarray(found.sum(axis=1), dtype=np.float64)
