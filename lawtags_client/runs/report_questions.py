"""The questions that a report shows: the best and worst ones of the tagger, and those won and lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.runs.documents import require_file
from lawtags_client.runs.metrics import Metrics, QuestionsWon
from lawtags_client.runs.predictions import Prediction, predictions_path, read_prediction_rows
from lawtags_client.tagging.paired import pair_questions, question_f1
from lawtags_client.tagging.question import Question, read_questions

EXTREMES = 6
SHOWN_PER_SIDE = 25

_TESTING = "curated/questions/testing.jsonl"
BODY = 280
_SCORES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuestion:
    """A test question with the tags that some systems gave.

    Attributes:
        id: of the question.
        title: of the question.
        body: its beginning.
        truth: its true tags.
        f1: of the first system's tags.
        scores: the likeliest tags of the first system with their probabilities.
        tags: the tags by system.
    """

    id: str
    title: str
    body: str
    truth: Sequence[str]
    f1: float
    scores: Sequence[tuple[str, float]]
    tags: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WonAndLost:
    """The questions that one of two systems tags better.

    Attributes:
        counts: how many there are.
        won: the first ones that the first system tags better.
        lost: the first ones that the second system tags better.
    """

    counts: QuestionsWon
    won: Sequence[ReportQuestion]
    lost: Sequence[ReportQuestion]


@dataclass(frozen=True, slots=True)
class TaggedQuestions:
    """The test questions of a run with what its systems say of them.

    Attributes:
        questions: in row order.
        given: the predictions by system.
    """

    questions: Sequence[Question]
    given: Mapping[str, Sequence[Prediction]]

    @classmethod
    def read(cls, folder: Path, systems: Sequence[str]) -> TaggedQuestions:
        """Read them from the folder of a run.

        Raises:
            ConfigurationError: a file is missing.
            DataError: a file is damaged.
        """
        testing = folder / _TESTING
        for path in (testing, *(predictions_path(folder, system) for system in systems)):
            require_file(folder, path)
        return cls(read_questions(testing), {name: read_prediction_rows(folder, name) for name in systems})

    def extremes(self, systems: Sequence[str]) -> tuple[list[ReportQuestion], list[ReportQuestion]]:
        """The questions that the first system tags worst and best.

        Of equally bad ones, those of which it is most certain come first; of equally good ones, those with
        the most tags.

        Args:
            systems: whose tags are shown.
        """
        shown = [self._question(row, systems) for row in range(len(self.questions))]
        worst = sorted(shown, key=lambda each: (each.f1, -_highest(each)))
        best = sorted(shown, key=lambda each: (-each.f1, -len(each.truth), -_highest(each)))
        count = min(EXTREMES, len(shown) // 2)
        return [each for each in worst if each.f1 < 1][:count], [each for each in best if each.f1 > 0][:count]

    def won_and_lost(self, counts: QuestionsWon) -> WonAndLost:
        """The questions of a pair of systems."""
        truth = [each.tags for each in self.questions]
        found = pair_questions(
            truth, *([row.tags for row in self.given[name]] for name in (counts.a, counts.b))
        )
        sides = (
            [self._question(row, (counts.a, counts.b)) for row in rows[:SHOWN_PER_SIDE]]
            for rows in (found.won, found.lost)
        )
        won, lost = sides
        return WonAndLost(counts=counts, won=won, lost=lost)

    def _question(self, row: int, systems: Sequence[str]) -> ReportQuestion:
        question, first = self.questions[row], self.given[systems[0]][row]
        body = question.body or ""
        return ReportQuestion(
            id=question.id,
            title=question.title,
            body=body if len(body) <= BODY else f"{body[:BODY]}…",
            truth=question.tags,
            f1=question_f1(question.tags, first.tags),
            scores=list(first.scores.items())[:_SCORES],
            tags={name: self.given[name][row].tags for name in systems},
        )


def pairs_to_read(metrics: Metrics) -> list[QuestionsWon]:
    """The pairs whose questions are worth reading: tagger and best rival, tuned and base model."""
    rival = metrics.language_model.rival if metrics.language_model else None
    wanted = [("tagger", rival), ("tuned", "base")]
    found = [row for pair in wanted for row in metrics.questions if (row.a, row.b) == pair]
    # A tagger without the model equals its rival; the tuned model against it still says something.
    if found and not found[0].won + found[0].lost:
        found[0:1] = [row for row in metrics.questions if (row.a, row.b) == ("tuned", rival)]
    return found


def _highest(question: ReportQuestion) -> float:
    return max((value for _, value in question.scores), default=0.0)
