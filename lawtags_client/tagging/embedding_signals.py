"""Signals of sentence embeddings: which tags fit a question by its meaning.

Three signals for each question and tag: the votes of the training questions that are nearest in meaning,
ridge regressions on the embedding, and its cosine to the tag's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.tagging.votes import vote

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats, Integers

EMBEDDED = ("meaning_knn", "meaning_log_knn", "meaning_ridge", "meaning_name")
"""The columns of these signals in the retriever's stack."""

_CHUNK = 256
# So that the very nearest decide: cosines of unrelated questions are not zero.
_POWER = 4
_PENALTY = 1.0
_LEAST_SHARE = 1e-3


class Embedder(Protocol):
    """Anything that turns texts into vectors of their meaning."""

    @property
    def identity(self) -> str:
        """What decides its vectors: another identity, other vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, of length one, as an array of texts by dimensions."""
        ...

    def tuned(self, folder: Path) -> TagClassifier:
        """An encoder that was tuned from this one, from its folder."""
        ...


class TagClassifier(Protocol):
    """A tuned encoder, or anything else that scores tags by itself."""

    @property
    def identity(self) -> str:
        """What decides its scores."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it scores, in the order of the columns."""
        ...

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Log-odds of the tags, texts by tags."""
        ...


@dataclass(frozen=True)
class EmbeddingSignals:
    """What was learned from the embeddings of the training rows.

    Args:
        embedder: gives the vectors of questions.
        vectors: of the training rows, rows by dimensions.
        ridge: weights of the regressions, dimensions by tags.
        names: vectors of the tags' names, tags by dimensions.
    """

    embedder: Embedder
    vectors: NDArray[np.float32]
    ridge: NDArray[np.float32]
    names: NDArray[np.float32]

    def features(
        self, questions: Sequence[Question], labels: Floats, neighbours: int
    ) -> dict[str, NDArray[np.float32]]:
        """The signals of questions outside the training rows, each of questions by tags.

        Args:
            questions: the questions.
            labels: 1 where a training row has a tag, training rows by tags.
            neighbours: how many training rows vote.

        Raises:
            DataError: the embedder's vectors have another dimension than those of the training rows.
        """
        votes = np.zeros((len(questions), labels.shape[1]), dtype=np.float32)
        ridge, names = np.zeros_like(votes), np.zeros_like(votes)
        for start in range(0, len(questions), _CHUNK):
            part = slice(start, start + _CHUNK)
            vectors = self._embedded(questions[part])
            similar = vectors @ self.vectors.T.astype(np.float64)
            votes[part] = vote(similar, labels, neighbours, power=_POWER)
            ridge[part] = vectors @ self.ridge.astype(np.float64)
            names[part] = vectors @ self.names.T.astype(np.float64)
        return _named(votes, ridge, names)

    def similarities(self, questions: Sequence[Question]) -> NDArray[np.float64]:
        """Cosines, questions by training rows."""
        return np.asarray(self._embedded(questions) @ self.vectors.T.astype(np.float64))

    def _embedded(self, questions: Sequence[Question]) -> NDArray[np.float64]:
        vectors = self.embedder.embed(texts_of(questions))
        if vectors.shape != (len(questions), self.vectors.shape[1]):
            raise DataError(
                f"the encoder gives {vectors.shape[-1]} dimensions; the tagger was fitted with "
                f"{self.vectors.shape[1]}",
                hint="Use the encoder that the tagger was fitted with, or fit the tagger again.",
            )
        # In double precision, a question's scores do not depend on the others of its batch.
        return vectors.astype(np.float64)


def texts_of(questions: Sequence[Question]) -> list[str]:
    """What is embedded of questions: title and body."""
    return [
        f"{question.title}\n{question.body}" if question.body else question.title for question in questions
    ]


def fit_signals(
    embedder: Embedder,
    questions: Sequence[Question],
    vocabulary: Vocabulary,
    labels: Floats,
    part: Integers,
    neighbours: int,
    on_progress: Callable[[int, int], None],
) -> tuple[EmbeddingSignals, dict[str, NDArray[np.float32]]]:
    """Fit on the training rows; returns also their signals, each by what has not seen the row.

    Args:
        embedder: gives the vectors.
        questions: the training rows.
        vocabulary: the tags.
        labels: 1 where a row has a tag, rows by tags.
        part: the fold of each row.
        neighbours: how many rows vote.
        on_progress: called with the numbers of embedded rows and of all.
    """
    texts, blocks = texts_of(questions), []
    for start in range(0, len(texts), _CHUNK):
        on_progress(start, len(texts))
        blocks.append(embedder.embed(texts[start : start + _CHUNK]))
    vectors = _half(np.concatenate(blocks))
    names = _half(embedder.embed([tag.replace("-", " ") for tag in vocabulary.tags]))
    wide, truth = vectors.astype(np.float64), labels.astype(np.float64)
    gram, moment = wide.T @ wide, wide.T @ truth
    ridge = _solve(gram, moment).astype(np.float32)
    held_out = np.zeros_like(truth)
    for fold in np.unique(part):
        held = part == fold
        own, own_truth = wide[held], truth[held]
        held_out[held] = own @ _solve(gram - own.T @ own, moment - own.T @ own_truth)
    signals = EmbeddingSignals(embedder, vectors, ridge, names)
    votes = _leave_one_out(wide, labels, neighbours)
    return signals, _named(votes, held_out, wide @ names.T.astype(np.float64))


def _solve(gram: NDArray[np.float64], moment: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.solve(gram + _PENALTY * np.eye(len(gram)), moment)


def _leave_one_out(vectors: NDArray[np.float64], labels: Floats, neighbours: int) -> NDArray[np.float32]:
    votes = np.zeros(labels.shape, dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK):
        similar = vectors[start : start + _CHUNK] @ vectors.T
        own = np.arange(len(similar))
        similar[own, start + own] = -1  # a row's own tags must not vote for it
        votes[start : start + _CHUNK] = vote(similar, labels, neighbours, power=_POWER)
    return votes


def _named(votes: Floats, ridge: Floats, names: Floats) -> dict[str, NDArray[np.float32]]:
    columns = (votes, np.log(votes + _LEAST_SHARE), ridge, names)
    return {name: column.astype(np.float32) for name, column in zip(EMBEDDED, columns, strict=True)}


def _half(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to half precision, as which they are saved, so that a loaded tagger scores alike."""
    return vectors.astype(np.float16).astype(np.float32)


def arrays_of(signals: EmbeddingSignals) -> dict[str, NDArray[np.generic]]:
    """The arrays of a saved tagger."""
    return {
        "embedding_vectors": signals.vectors.astype(np.float16),
        "embedding_ridge": signals.ridge,
        "embedding_names": signals.names.astype(np.float16),
    }


def from_arrays(
    arrays: Mapping[str, NDArray[np.generic]], embedder: Embedder, rows: int, tags: int
) -> EmbeddingSignals:
    """The signals of a saved tagger.

    Raises:
        ValueError: the arrays do not fit one another, or hold numbers that are not finite.
    """
    vectors, ridge, names = (
        arrays[f"embedding_{name}"].astype(np.float32) for name in ("vectors", "ridge", "names")
    )
    width = vectors.shape[-1]
    if vectors.shape != (rows, width) or ridge.shape != (width, tags) or names.shape != (tags, width):
        raise ValueError("embeddings do not fit rows and tags")
    if not all(np.isfinite(array).all() for array in (vectors, ridge, names)):
        raise ValueError("a number is not finite")
    return EmbeddingSignals(embedder, vectors, ridge, names)


def fitting_embedder(identity: str, given: Embedder | None) -> Embedder:
    """The embedder that a saved tagger was fitted with.

    Args:
        identity: of the one it was fitted with.
        given: the one to use; None takes an installed one.

    Raises:
        ConfigurationError: this is another one.
        MissingExtraError: none is given, and none is installed.
    """
    if given is None:
        from lawtags_client.encoder.choice import require_encoder

        given = require_encoder(identity)
    if given.identity != identity:
        raise ConfigurationError(
            f"the tagger was fitted with encoder {identity[:12]}…, and this one is {given.identity[:12]}…",
            hint="Use the encoder that it was fitted with, or fit the tagger again.",
        )
    return given
