"""Baselines for any tagger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.decision import Decision, tune_threshold
from lawtags_client.tagging.logistic import fit_one_vs_rest, sigmoid
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.text_features import TextFeatures
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats


@dataclass(frozen=True)
class MostFrequent:
    """Gives every question the same most frequent tags."""

    tags: tuple[str, ...]

    @classmethod
    def fit(cls, train: Sequence[Question], validation: Sequence[Question], *, most: int = 5) -> MostFrequent:
        """Count tags on all rows; how many to give is chosen by micro F1 on the validation rows.

        For that choice, tags are counted on the training rows alone. The vocabulary is that of these.
        """
        vocabulary = Vocabulary.from_questions(train)
        true = [question.tags for question in validation]

        def quality(size: int) -> float:
            return score(true, [vocabulary.tags[:size]] * len(true)).micro_f1

        sizes = range(1, max(2, min(most, len(vocabulary)) + 1))
        size = max(sizes, key=quality)
        every = Vocabulary.from_questions([*train, *validation]).tags
        return cls(tuple(tag for tag in every if tag in vocabulary)[:size])

    def predict(self, questions: Sequence[Question]) -> list[tuple[str, ...]]:
        """The same tags for each question."""
        return [self.tags for _ in questions]


@dataclass(frozen=True)
class TfidfLogistic:
    """TF-IDF n-grams and one-vs-rest logistic regression, in its strong form.

    It uses the n-grams of the retriever, a threshold tuned on the validation rows, and gives at least one
    tag. Once the threshold is chosen, it is fitted again, on the validation rows, too.
    """

    vocabulary: Vocabulary
    text: TextFeatures
    terms: Floats
    offsets: Floats
    decision: Decision

    @classmethod
    def fit(
        cls,
        train: Sequence[Question],
        validation: Sequence[Question],
        *,
        strength: float = 20.0,
        min_count: int = 2,
        n_jobs: int = 1,
    ) -> TfidfLogistic:
        """Tune the threshold on the validation rows, and fit on all rows.

        The vocabulary is that of the training rows.
        """
        vocabulary = Vocabulary.from_questions(train, min_count=min_count)

        def fitted(rows: Sequence[Question], decision: Decision) -> TfidfLogistic:
            text, counts = TextFeatures.fit(rows)
            weighed = text.weigh(*counts)
            labels = vocabulary.labels([question.tags for question in rows]).astype(np.float32)
            duals, offsets = fit_one_vs_rest(weighed, labels, strength=strength, n_jobs=n_jobs)
            return cls(vocabulary, text, weighed.T.tocsr() @ duals, offsets + duals.sum(axis=0), decision)

        true = [question.tags for question in validation]
        threshold = tune_threshold(fitted(train, Decision(0.5)).scores(validation), true, vocabulary)
        return fitted([*train, *validation], Decision(threshold))

    def scores(self, questions: Sequence[Question]) -> Floats:
        """Probabilities, questions by tags of ``vocabulary``."""
        return sigmoid(self.text.rows(questions) @ self.terms + self.offsets)

    def predict(self, questions: Sequence[Question]) -> list[tuple[str, ...]]:
        """One to five tags for each question."""
        return self.decision.all_tags(self.scores(questions), self.vocabulary)
