"""The retriever: which tags fit a question, without a language model.

Four signals are stacked by a logistic regression over pairs of question and tag: one-vs-rest logistic
regression on n-grams, the tags of the 20 nearest training questions, the tag's name in title or body, and the
tag's frequency. With an embedder, those of sentence embeddings are added. Products with the frequency let
rare and frequent tags have different weights. The stack is fitted on out-of-fold signals of the training
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.embedding_signals import Embedder, EmbeddingSignals
from lawtags_client.tagging.logistic import sigmoid
from lawtags_client.tagging.names import TagNames
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.retriever_fit import (
    CHUNK,
    FittedParts,
    Progress,
    RetrieverFit,
    RetrieverOptions,
    label_matrix,
    name_features,
    rows_of,
)
from lawtags_client.tagging.stack import EMBEDDED_STACK, STACK, log_prior, stack_columns
from lawtags_client.tagging.text_features import TextFeatures
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.tagging.votes import vote

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from lawtags_client.tagging._numpy import Floats

# Training rows whose weights are converted to float64 at a time.
_TERMS = 2048
FEWEST_ROWS = 10
"""Training rows that a fit needs."""
_MANY_ROWS = 2_000


def _silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Retriever:
    """A fitted retriever; make one with ``Retriever.fit``.

    Args:
        vocabulary: the tags that it knows.
        text: turns questions into TF-IDF rows.
        counts: n-gram counts of the training rows, words and characters.
        row_tags: for each training row the places of its tags in the vocabulary.
        duals: one-vs-rest weights, training rows by tags.
        offsets: one-vs-rest intercepts.
        weights: the stack's weights, in the order of ``stack``.
        options: how it was fitted.
        embedding: the signals of sentence embeddings; None without.
        out_of_fold: stack scores of the training rows, each by models that have not seen it; None in a
            retriever that was loaded.
        out_of_fold_rows: which of the questions given to ``fit`` these are.
    """

    vocabulary: Vocabulary
    text: TextFeatures
    counts: tuple[csr_matrix, csr_matrix]
    row_tags: tuple[tuple[int, ...], ...]
    duals: Floats
    offsets: Floats
    weights: NDArray[np.float64]
    options: RetrieverOptions
    embedding: EmbeddingSignals | None = None
    out_of_fold: NDArray[np.float64] | None = None
    out_of_fold_rows: NDArray[np.int64] | None = None
    _rows: csr_matrix = field(init=False, repr=False, compare=False)
    _labels: Floats = field(init=False, repr=False, compare=False)
    _names: TagNames = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", self.text.weigh(*self.counts))
        object.__setattr__(self, "_labels", label_matrix(self.row_tags, len(self.vocabulary)))
        object.__setattr__(self, "_names", TagNames(self.vocabulary.tags))

    @classmethod
    def fit(
        cls,
        questions: Sequence[Question],
        vocabulary: Vocabulary,
        *,
        seed: int = 0,
        folds: int | None = None,
        n_jobs: int = 1,
        options: RetrieverOptions | None = None,
        embedder: Embedder | None = None,
        on_progress: Progress = _silent,
        on_words: Callable[[Retriever], None] | None = None,
    ) -> Retriever:
        """Fit on training rows.

        Args:
            questions: the training rows, and no others.
            vocabulary: the tags to learn.
            seed: decides the folds, and the draw where there are too many rows.
            folds: as in ``RetrieverOptions``; ignored if ``options`` is given.
            n_jobs: threads.
            options: everything else.
            embedder: adds the signals of sentence embeddings.
            on_progress: called with ``(step, done, total)``.
            on_words: with an embedder, called before it is used, with the retriever that a fit without it
                returns.

        Raises:
            DataError: there are too few rows or no tags.
            MissingExtraError: SciPy or scikit-learn is not installed.
        """
        options = options or RetrieverOptions(folds=folds)
        if len(questions) < FEWEST_ROWS or not len(vocabulary):
            raise DataError(
                f"{len(questions)} training rows with {len(vocabulary)} tags are too few to fit a retriever",
                hint=f"At least {FEWEST_ROWS} labeled rows are required.",
            )
        if options.folds is None:
            options = replace(options, folds=3 if len(questions) >= _MANY_ROWS else 5)
        if not 2 <= (options.folds or 0) <= len(questions):
            raise ConfigurationError(
                f"{len(questions)} rows cannot be split into {options.folds} folds", hint="Take 5."
            )
        generator = np.random.default_rng(seed)
        chosen = np.arange(len(questions))
        if len(questions) > options.most_rows:
            chosen = np.sort(generator.choice(len(questions), options.most_rows, replace=False))
            questions = [questions[place] for place in chosen]
        fitting = RetrieverFit(questions, vocabulary, options, generator, n_jobs, embedder, on_progress)

        def made(parts: FittedParts) -> Retriever:
            return cls(
                vocabulary,
                parts.text,
                parts.counts,
                parts.row_tags,
                parts.duals,
                parts.offsets,
                parts.weights,
                options,
                parts.embedding,
                out_of_fold=parts.out_of_fold,
                out_of_fold_rows=chosen,
            )

        return made(fitting.run(None if on_words is None else lambda parts: on_words(made(parts))))

    @property
    def stack(self) -> tuple[str, ...]:
        """The names of the stack's columns."""
        return STACK if self.embedding is None else EMBEDDED_STACK

    def features(self, questions: Sequence[Question]) -> dict[str, Floats]:
        """The signals that the stack weighs, each of questions by tags (the prior: one for each tag).

        Returns:
            ``lr``: log-odds of the one-vs-rest regressions; ``knn``: share of the nearest questions'
            votes; ``title`` and ``body``: 1 where the tag's name stands there; ``prior``: log frequency; with
            an embedder, those of ``embedding_signals``, too.
        """
        queries = self.text.rows(questions)
        margins, votes = [], []
        for start in range(0, len(questions), CHUNK):
            similar = (queries[start : start + CHUNK] @ self._rows.T).toarray()
            # The same similarities serve the regressions and the vote.
            margins.append((_product(similar + np.float32(1), self.duals) + self.offsets).astype(np.float32))
            votes.append(vote(similar, self._labels, self.options.neighbours))
        empty = np.zeros((0, len(self.vocabulary)), dtype=np.float32)
        return {
            "lr": np.concatenate([empty, *margins]),
            "knn": np.concatenate([empty, *votes]),
            "prior": log_prior(self.vocabulary),
            **name_features(self._names, questions),
            **self._meaning(questions),
        }

    def _meaning(self, questions: Sequence[Question]) -> dict[str, NDArray[np.float32]]:
        if self.embedding is None:
            return {}
        return self.embedding.features(questions, self._labels, self.options.neighbours)

    def scores(self, questions: Sequence[Question]) -> NDArray[np.float64]:
        """Probabilities of the stack, questions by tags of the vocabulary."""
        return self.scores_of(self.features(questions))

    def scores_of(self, features: Mapping[str, Floats]) -> NDArray[np.float64]:
        """Probabilities of the stack from signals at hand."""
        scores = np.zeros(features["lr"].shape)
        for start in range(0, len(scores), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(scores)))
            scores[part] = sigmoid(stack_columns(rows_of(features, part)) @ self.weights)
        return scores

    def similarities(self, questions: Sequence[Question]) -> dict[str, NDArray[np.float64]]:
        """How similar the training rows are, by ``words`` and, with an embedder, last, by ``meaning``.

        Returns:
            Cosines, questions by training rows.
        """
        words = (self.text.rows(questions) @ self._rows.T).toarray()
        found = {"words": np.asarray(words, dtype=np.float64)}
        if self.embedding is not None:
            found["meaning"] = self.embedding.similarities(questions)
        return found

    def shortlist(self, question: Question, k: int) -> tuple[str, ...]:
        """The ``k`` best tags for a question, best first."""
        return self.shortlists([question], k)[0]

    def shortlists(self, questions: Sequence[Question], k: int) -> list[tuple[str, ...]]:
        """The ``k`` best tags for each question, best first."""
        return [_best(row, self.vocabulary, k) for row in self.scores(questions)]

    def out_of_fold_shortlists(self, k: int) -> list[tuple[str, ...]]:
        """The ``k`` best tags for each training row, by models that have not seen it.

        Raises:
            DataError: this retriever was loaded and no longer has these scores.
        """
        if self.out_of_fold is None:
            raise DataError(
                "a loaded retriever has no out-of-fold scores", hint="Fit it on the training rows again."
            )
        return [_best(row, self.vocabulary, k) for row in self.out_of_fold]


def _product(left: Floats, right: Floats) -> Floats:
    """A matrix product whose rows do not affect one another, as they do in the last digits of float32.

    The same question must get the same score, regardless of its batch.
    """
    total = np.zeros((left.shape[0], right.shape[1]))
    for start in range(0, right.shape[0], _TERMS):
        part = slice(start, start + _TERMS)
        total += left[:, part].astype(np.float64) @ right[part].astype(np.float64)
    return total


def _best(row: Floats, vocabulary: Vocabulary, k: int) -> tuple[str, ...]:
    # A stable sort: ties go to the more frequent tag on every machine.
    return tuple(vocabulary.tags[place] for place in np.argsort(-row, kind="stable")[: max(0, k)])
