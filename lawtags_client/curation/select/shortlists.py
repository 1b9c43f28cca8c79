"""Candidate tags for prompts, from a retriever fitted on the training rows only."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import overload

from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


class Shortlists:
    """Fits a retriever, and takes candidates from it.

    Training rows get candidates from models that were fitted without them. Otherwise, their prompts would
    contain the answer more often than those of unseen questions.

    Args:
        training: the training rows.
        rows: how many there are. If there are very many, only those that the retriever is fitted on are kept.
        vocabulary: their tags.
        k: candidates per prompt.
        seed: of the folds.

    Raises:
        DataError: the training rows are too few.
        MissingExtraError: SciPy is not installed.
    """

    def __init__(
        self, training: Iterable[Question], rows: int, vocabulary: Vocabulary, k: int, seed: int
    ) -> None:
        from lawtags_client.tagging.retriever import Retriever
        from lawtags_client.tagging.retriever_fit import RetrieverOptions

        self._k = k
        few = rows <= RetrieverOptions().most_rows
        questions = list(training) if few else _Ascending(training, rows)
        self._retriever = Retriever.fit(questions, vocabulary, seed=seed)
        fitted = self._retriever.out_of_fold_rows
        places = range(rows) if fitted is None else [int(row) for row in fitted]
        found = self._retriever.out_of_fold_shortlists(k)
        self._own = dict(zip(places, found, strict=True))

    def training(self, place: int, question: Question) -> tuple[str, ...]:
        """Candidates for a training row, by models that have not seen it.

        Args:
            place: which of the training rows it is.
            question: the row.
        """
        # If there are very many training rows, only some were fitted; the others are unseen.
        return self._own.get(place) or self.other(question)

    def other(self, question: Question) -> tuple[str, ...]:
        """Candidates for a question that is not a training row."""
        return self._retriever.shortlist(question, self._k)


class _Ascending(Sequence[Question]):
    """A lazy sequence that is read once, in ascending order."""

    def __init__(self, questions: Iterable[Question], rows: int) -> None:
        self._questions = iter(questions)
        self._rows = rows
        self._next = 0

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, place: int) -> Question: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Question]: ...
    def __getitem__(self, place: int | slice) -> Question | Sequence[Question]:
        if isinstance(place, slice) or place < self._next:
            raise TypeError("these questions can be read only once, in ascending order")
        found = next(itertools.islice(self._questions, place - self._next, None))
        self._next = int(place) + 1
        return found
