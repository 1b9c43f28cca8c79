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
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats, Integers

BLEND = ("one", "retriever", "encoder")
"""The columns that the blend weighs, all of them log-odds."""

# Before any row is seen; on four data sets the best weights lay around these (docs/quality.md).
_PRIOR = np.asarray([0.0, 0.4, 0.6])
# The first holds the weights of some 40 validation rows near the prior, where those of all four data sets
# lay; the second lets go of it, for a part that is far worse than usual.
_PENALTIES = {"mixture": 30.0, "free mixture": 1.0}
_PARTS = {"retriever": np.asarray([0.0, 1.0, 0.0]), "encoder": np.asarray([0.0, 0.0, 1.0])}
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

    def scores(self, retrieved: Floats, questions: Sequence[Question]) -> NDArray[np.float64]:
        """Blended probabilities.

        Args:
            retrieved: the retriever's probabilities, questions by tags.
            questions: the questions.
        """
        columns = blend_columns(retrieved, self.encoder.log_odds(texts_of(questions)))
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


def blend_columns(retrieved: Floats, log_odds: Floats) -> NDArray[np.float64]:
    """The columns of the blend, questions by tags by ``BLEND``.

    Raises:
        DataError: the shapes differ.
    """
    if retrieved.shape != log_odds.shape:
        raise DataError(
            f"scores of shape {log_odds.shape} for {retrieved.shape[0]} questions and "
            f"{retrieved.shape[1]} tags",
            hint="Pass the encoder that was tuned for these tags.",
        )
    return np.stack([np.ones(retrieved.shape), logit(retrieved), log_odds.astype(np.float64)], axis=2)


def fit_blend_weights(
    columns: NDArray[np.float64], labels: Floats, *, seed: int
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Weigh retriever and encoder, or keep one of them alone where the mixture is not better.

    The mixture is scored on rows that its weights have not seen, and compared by binary cross-entropy,
    which varies less over few rows than F1 does.

    Args:
        columns: of validation rows; see ``blend_columns``.
        labels: 1 where a row has a tag, rows by tags.
        seed: seed of the folds.

    Returns:
        ``mixture``, ``free mixture`` or the name of the part, its weights, and the scores of the rows by
        weights that were not fitted on them.
    """

    def fit(rows: Integers, penalty: float) -> NDArray[np.float64]:
        pairs = columns[rows].reshape(-1, len(BLEND))
        return fit_towards(pairs, labels[rows].ravel(), _PRIOR, penalty=penalty)

    candidates = {name: columns @ weights for name, weights in _PARTS.items()}
    for name, penalty in _PENALTIES.items():
        candidates[name] = np.zeros(labels.shape)
        for held in folds(len(labels), seed):
            candidates[name][held] = columns[held] @ fit(np.flatnonzero(~held), penalty)
    best = min(candidates, key=lambda name: float(row_losses(candidates[name], labels).mean()))
    everything = np.arange(len(labels))
    weights = _PARTS[best] if best in _PARTS else fit(everything, _PENALTIES[best])
    return best, weights, np.asarray(sigmoid(candidates[best]), dtype=np.float64)


def folds(rows: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which rows are held out, for each fold that has some."""
    part = np.random.default_rng(seed).permutation(rows) % FOLDS
    return [part == fold for fold in range(min(FOLDS, rows))]


def row_losses(log_odds: Floats, labels: Floats) -> NDArray[np.float64]:
    """Binary cross-entropy of each row, summed over the tags."""
    found = np.logaddexp(0, log_odds) - labels * log_odds
    return np.asarray(found.sum(axis=1), dtype=np.float64)
