"""The retriever: which tags fit a question, without a language model.

Four signals are stacked by a logistic regression over pairs of question and tag: one-vs-rest logistic
regression on n-grams, the tags of the 20 nearest training questions, the tag's name in title or body, and the
tag's frequency. With an embedder, those of sentence embeddings are added. Products with the frequency let
rare and frequent tags have different weights. The stack is fitted on out-of-fold signals of the training
rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, DataError
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

_CHUNK = 512
# Training rows whose weights are converted to float64 at a time.
_TERMS = 2048
# Tags whose weights of all n-grams are held at a time.
_TAGS = 128
_MOST_PAIRS = 1_000_000
_FEWEST_ROWS = 10
_MANY_ROWS = 2_000

Progress = Callable[[str, int, int], None]


def _silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


def _ignored(retriever: Retriever) -> None:
    """Keep nothing."""


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
        object.__setattr__(self, "_labels", _label_matrix(self.row_tags, len(self.vocabulary)))
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
        on_words: Callable[[Retriever], None] = _ignored,
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
        if len(questions) < _FEWEST_ROWS or not len(vocabulary):
            raise DataError(
                f"{len(questions)} training rows with {len(vocabulary)} tags are too few to fit a retriever",
                hint=f"At least {_FEWEST_ROWS} labeled rows are required.",
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
        fitting = _Fitting(questions, vocabulary, options, generator, n_jobs, embedder, on_progress)
        return fitting.run(chosen, on_words)

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
        for start in range(0, len(questions), _CHUNK):
            similar = (queries[start : start + _CHUNK] @ self._rows.T).toarray()
            # The same similarities serve the regressions and the vote.
            margins.append((_product(similar + np.float32(1), self.duals) + self.offsets).astype(np.float32))
            votes.append(vote(similar, self._labels, self.options.neighbours))
        empty = np.zeros((0, len(self.vocabulary)), dtype=np.float32)
        return {
            "lr": np.concatenate([empty, *margins]),
            "knn": np.concatenate([empty, *votes]),
            "prior": log_prior(self.vocabulary),
            **_name_features(self._names, questions),
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
        for start in range(0, len(scores), _CHUNK):
            part = np.arange(start, min(start + _CHUNK, len(scores)))
            scores[part] = sigmoid(stack_columns(_rows_of(features, part)) @ self.weights)
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


def _label_matrix(row_tags: Sequence[Sequence[int]], tags: int) -> Floats:
    labels = np.zeros((len(row_tags), tags), dtype=np.float32)
    for row, places in enumerate(row_tags):
        labels[row, list(places)] = 1
    return labels


def _name_features(names: TagNames, questions: Sequence[Question]) -> dict[str, Floats]:
    return {
        "title": names.found_in(question.title for question in questions),
        "body": names.found_in(question.body for question in questions),
    }


class _Fitting:
    """The steps of one fit."""

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
        self._labels = _label_matrix(self._row_tags, len(vocabulary))

    def run(self, chosen: NDArray[np.int64], on_words: Callable[[Retriever], None]) -> Retriever:
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
            **_name_features(TagNames(self._vocabulary.tags), self._questions),
        }
        # Both stacks draw the same rows as a fit of either alone.
        before = copy.deepcopy(self._generator)

        def stacked(signals: EmbeddingSignals | None, meaning: dict[str, NDArray[np.float32]]) -> Retriever:
            self._generator = copy.deepcopy(before)
            weights, scores = self._stack({**features, **meaning}, part)
            return Retriever(
                self._vocabulary,
                text,
                counts,
                self._row_tags,
                round_duals(duals),
                offsets,
                weights,
                self._options,
                signals,
                out_of_fold=scores,
                out_of_fold_rows=chosen,
            )

        if self._embedder is None:
            self._on_progress("stack", self._folds + 2, steps)
            found = stacked(None, {})
        else:
            if on_words is not _ignored:
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
        for start in range(0, rows.shape[0], _CHUNK):
            similar = (rows[start : start + _CHUNK] @ rows.T).toarray()
            own = np.arange(len(similar))
            similar[own, start + own] = -1  # a row's own tags must not vote for it
            votes[start : start + _CHUNK] = vote(similar, self._labels, self._options.neighbours)
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
            pairs = stack_columns(_rows_of(features, rows)).reshape(-1, len(prior))
            return fit_towards(pairs, self._labels[rows].ravel(), prior, penalty=1.0, start=start)

        everything = fit(np.arange(total))
        scores = np.zeros((total, tags))
        for fold in range(self._folds):
            # The start saves steps and leaves no trace: the problem has one solution.
            weights = fit(np.flatnonzero(part != fold), start=everything)
            held = np.flatnonzero(part == fold)
            for first in range(0, len(held), _CHUNK):
                rows = held[first : first + _CHUNK]
                scores[rows] = sigmoid(stack_columns(_rows_of(features, rows)) @ weights)
        return everything, scores


def _rows_of(features: Mapping[str, Floats], rows: Integers) -> dict[str, Floats]:
    """The signals of some questions; the columns of all of them at once would take too much memory."""
    return {name: values if name == "prior" else values[rows] for name, values in features.items()}


def round_duals(duals: Floats) -> Floats:
    """Round to half precision, as which they are saved, so that a loaded retriever scores alike.

    Anything coarser costs accuracy: thousands of small weights cancel in each score.
    """
    return duals.astype(np.float16).astype(np.float32)
