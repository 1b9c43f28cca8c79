"""Candidate tags for prompts, by a retriever that has seen the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence

from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


class Shortlists:
    """Fits a retriever and asks it.

    A training row gets the candidates of models that were fitted without it, or its prompt would name its
    answer more reliably than that of an unseen question.

    Args:
        training: the training rows.
        vocabulary: their tags.
        k: candidates a prompt.
        seed: of the folds.

    Raises:
        DataError: the training rows are too few.
        MissingExtraError: SciPy is not installed.
    """

    def __init__(self, training: Sequence[Question], vocabulary: Vocabulary, k: int, seed: int) -> None:
        from lawtags_client.tagging.retriever import Retriever

        self._k = k
        self._retriever = Retriever.fit(training, vocabulary, seed=seed)
        fitted = self._retriever.out_of_fold_rows
        rows = range(len(training)) if fitted is None else [int(row) for row in fitted]
        found = self._retriever.out_of_fold_shortlists(k)
        self._own = dict(zip(rows, found, strict=True))

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
