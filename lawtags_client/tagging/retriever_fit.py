"""Fits a retriever: signals from its training rows, and the stack on the out-of-fold ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.embedding_signals import EMBEDDED, Embedder, EmbeddingSignals, fit_signals
from lawtags_client.tagging.logistic import fit_one_vs_rest, fit_towards, sigmoid
from lawtags_client.tagging.names import TagNames
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.stack import EMBEDDED_STACK, STACK, log_prior, stack_columns
from lawtags_client.tagging.text_features import TextFeatures
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.tagging.votes import vote

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from lawtags_client.tagging._numpy import Floats, Integers

CHUNK = 512
"""Questions that are scored at a time."""
# Tags whose weights of all n-grams are held at a time.
_TAGS = 128
_MOST_PAIRS = 1_000_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RetrieverOptions:
    """What is fitted, and how.

    Args:
        folds: parts that the training rows are split into for out-of-fold signals; None takes 5, and 3
            from 2,000 rows on, where more cost time and gain nothing.
        strength: scikit-learn's ``C`` of the one-vs-rest regressions.
        neighbours: how many nearest training questions vote.
        min_count: tags on fewer training rows get no regression of their own.
        most_rows: above this many training rows, this many are drawn from them.
    """

    folds: int | None = None
    strength: float = 10.0
    neighbours: int = 20
    min_count: int = 2
    most_rows: int = 20_000


@dataclass(frozen=True)
class FittedParts:
    """What a fit finds; see ``Retriever``."""

    text: TextFeatures
    counts: tuple[csr_matrix, csr_matrix]
    row_tags: tuple[tuple[int, ...], ...]
    duals: Floats
    offsets: Floats
    weights: NDArray[np.float64]
    embedding: EmbeddingSignals | None
    out_of_fold: NDArray[np.float64]


def label_matrix(row_tags: Sequence[Sequence[int]], tags: int) -> Floats:
    """1 where a row has a tag, from the places of its tags; rows by tags."""
    labels = np.zeros((len(row_tags), tags), dtype=np.float32)
    for row, places in enumerate(row_tags):
        labels[row, list(places)] = 1
    return labels


def name_features(names: TagNames, questions: Sequence[Question]) -> dict[str, Floats]:
    """1 where a tag's name stands in title or body, each of questions by tags."""
    return {
        "title": names.found_in(question.title for question in questions),
        "body": names.found_in(question.body for question in questions),
    }


def rows_of(features: Mapping[str, Floats], rows: Integers) -> dict[str, Floats]:
    """The signals of some questions; the columns of all of them at once would take too much memory."""
    return {name: values if name == "prior" else values[rows] for name, values in features.items()}


class RetrieverFit:
    """The steps of one fit.

    Args:
        questions: the training rows.
        vocabulary: the tags to learn.
        options: what is fitted; the folds are known.
        generator: draws folds and pairs.
        n_jobs: threads.
        embedder: adds the signals of sentence embeddings.
        on_progress: called with ``(step, done, total)``.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        vocabulary: Vocabulary,
        options: RetrieverOptions,
        generator: np.random.Generator,
        n_jobs: int,
        embedder: Embedder | None,
        on_progress: Progress,
    ) -> None:
        self._questions, self._vocabulary, self._options = questions, vocabulary, options
        self._generator, self._n_jobs, self._on_progress = generator, n_jobs, on_progress
        self._embedder = embedder
        self._folds = options.folds or 5
        self._row_tags = tuple(
            tuple(sorted(vocabulary.index(tag) for tag in set(question.tags) if tag in vocabulary))
            for question in questions
        )
        self._labels = label_matrix(self._row_tags, len(vocabulary))

    def run(self, on_words: Callable[[FittedParts], None] | None) -> FittedParts:
        """Fit.

        Args:
            on_words: with an embedder, receives what a fit without it finds first.
        """
        steps = self._folds + 3
        self._on_progress("n-grams", 0, steps)
        text, counts = TextFeatures.fit(self._questions)
        rows = text.weigh(*counts)
        part = self._generator.permutation(len(self._questions)) % self._folds
        margins = self._out_of_fold_margins(rows, part, steps)
        self._on_progress("regressions", self._folds + 1, steps)
        duals, offsets = self._regress(rows, self._labels)
        features = {
            "lr": margins,
            "knn": self._leave_one_out_votes(rows),
            "prior": log_prior(self._vocabulary),
            **name_features(TagNames(self._vocabulary.tags), self._questions),
        }
        # Both stacks draw the same rows as a fit of either alone.
        before = copy.deepcopy(self._generator)

        def stacked(signals: EmbeddingSignals | None, meaning: dict[str, NDArray[np.float32]]) -> FittedParts:
            self._generator = copy.deepcopy(before)
            weights, scores = self._stack({**features, **meaning}, part)
            return FittedParts(
                text, counts, self._row_tags, round_duals(duals), offsets, weights, signals, scores
            )

        if self._embedder is None:
            self._on_progress("stack", self._folds + 2, steps)
            found = stacked(None, {})
        else:
            if on_words is not None:
                on_words(stacked(None, {}))
            signals, meaning = self._embed(self._embedder, part)
            self._on_progress("stack", self._folds + 2, steps)
            found = stacked(signals, meaning)
        self._on_progress("done", steps, steps)
        return found

    def _embed(
        self, embedder: Embedder, part: Integers
    ) -> tuple[EmbeddingSignals, dict[str, NDArray[np.float32]]]:
        return fit_signals(
            embedder,
            self._questions,
            self._vocabulary,
            self._labels,
            part,
            self._options.neighbours,
            lambda done, total: self._on_progress("embeddings", done, total),
        )

    def _regress(self, rows: csr_matrix, labels: Floats) -> tuple[Floats, Floats]:
        # A tag seen once teaches a regression nothing but the words of one question.
        kept = labels * (self._labels.sum(axis=0) >= self._options.min_count)
        duals, _ = fit_one_vs_rest(rows, kept, strength=self._options.strength, n_jobs=self._n_jobs)
        share = np.clip(labels.mean(axis=0), 0.5 / len(labels), 1 - 0.5 / len(labels))
        return duals, np.log(share / (1 - share)).astype(np.float32)

    def _out_of_fold_margins(self, rows: csr_matrix, part: Integers, steps: int) -> Floats:
        margins = np.zeros_like(self._labels)
        for fold in range(self._folds):
            self._on_progress("folds", fold + 1, steps)
            train, held = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
            duals, offsets = self._regress(rows[train], self._labels[train])
            turned, total = rows[train].T.tocsr(), duals.sum(axis=0)
            # Through the terms, which is cheaper here than all similarities. There are far more terms than
            # rows, so the weights of all tags at once would take gigabytes.
            for start in range(0, duals.shape[1], _TAGS):
                tags = slice(start, start + _TAGS)
                margins[held, tags] = rows[held] @ (turned @ duals[:, tags]) + total[tags] + offsets[tags]
        return margins

    def _leave_one_out_votes(self, rows: csr_matrix) -> Floats:
        votes = np.zeros_like(self._labels)
        for start in range(0, rows.shape[0], CHUNK):
            similar = (rows[start : start + CHUNK] @ rows.T).toarray()
            own = np.arange(len(similar))
            similar[own, start + own] = -1  # a row's own tags must not vote for it
            votes[start : start + CHUNK] = vote(similar, self._labels, self._options.neighbours)
        return votes

    def _stack(
        self, features: dict[str, Floats], part: Integers
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The stack's weights, and out-of-fold scores by stacks that have not seen the row either."""
        total, tags = self._labels.shape
        most = max(1, _MOST_PAIRS // tags)
        # Start from the regressions alone; where names never occur their weight stays zero.
        names = EMBEDDED_STACK if EMBEDDED[0] in features else STACK
        prior = np.zeros(len(names))
        prior[names.index("lr")] = 1

        def fit(rows: Integers, start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
            if len(rows) > most:
                rows = np.sort(self._generator.choice(rows, most, replace=False))
            pairs = stack_columns(rows_of(features, rows)).reshape(-1, len(prior))
            return fit_towards(pairs, self._labels[rows].ravel(), prior, penalty=1.0, start=start)

        everything = fit(np.arange(total))
        scores = np.zeros((total, tags))
        for fold in range(self._folds):
            # The start saves steps and leaves no trace: the problem has one solution.
            weights = fit(np.flatnonzero(part != fold), start=everything)
            held = np.flatnonzero(part == fold)
            for first in range(0, len(held), CHUNK):
                rows = held[first : first + CHUNK]
                scores[rows] = sigmoid(stack_columns(rows_of(features, rows)) @ weights)
        return everything, scores


def round_duals(duals: Floats) -> Floats:
    """Round to half precision, as which they are saved, so that a loaded retriever scores alike.

    Anything coarser costs accuracy: thousands of small weights cancel in each score.
    """
    return duals.astype(np.float16).astype(np.float32)
