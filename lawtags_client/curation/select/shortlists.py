"""Candidate tags for prompts, by a retriever that has seen the training rows alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import overload

from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


class Shortlists:
    """Fits a retriever and asks it.

    A training row gets the candidates of models that were fitted without it, or its prompt would name its
    answer more reliably than that of an unseen question.

    Args:
        training: the training rows.
        rows: how many they are. Of very many only those are held that the retriever is fitted on.
        vocabulary: their tags.
        k: candidates a prompt.
        seed: of the folds.

    Raises:
        DataError: the training rows are too few.
        MissingExtraError: SciPy is not installed.
    """

    def __init__(
        self, training: Iterable[Question], rows: int, vocabulary: Vocabulary, k: int, seed: int
    ) -> None:
        from lawtags_client.tagging.retriever import Retriever, RetrieverOptions

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
        # Of very many training rows only some were fitted; the others are unseen.
        return self._own.get(place) or self.other(question)

    def other(self, question: Question) -> tuple[str, ...]:
        """Candidates for a question that is no training row."""
        return self._retriever.shortlist(question, self._k)


class _Ascending(Sequence[Question]):
    """Questions that are read on the way, for one who asks for some of them in their order."""

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
            raise TypeError("these questions can be had once only, one after the other")
        found = next(itertools.islice(self._questions, place - self._next, None))
        self._next = int(place) + 1
        return found
