"""The evaluation's sandbox operations: all work on untrusted templates, patterns and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.sandbox import limits
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.scoring import MetricFields, Sample, Scorer, TextPair
from lawtags_stack.services.evaluator.templates import render

if TYPE_CHECKING:
    from lawtags_stack.services.evaluator.rows import DatasetRow

MODULE = __name__
_BLEU_SECONDS = 20.0  # of CPU time, plus the same per thousand sentences


class RenderInput(TypedDict):
    """A request to render from a row."""

    template: JsonObject
    item: DatasetRow
    place: str


class AnsweredRow(TypedDict):
    """A row with its answer."""

    item: DatasetRow
    output: str
    response: JsonObject
    place: str


class RowMetrics(TypedDict):
    """The metrics of one row; see ``Scored``."""

    figures: dict[str, metrics.RowScores]
    questions: dict[str, JsonObject]
    texts: dict[str, TextPair]


class ScoreInput(TypedDict):
    """Rows, and the metrics to compute."""

    metrics: dict[str, MetricFields]
    rows: list[AnsweredRow]


class JudgeInput(TypedDict):
    """A judge's answer, and the scores to extract from it."""

    text: str
    scores: dict[str, metrics.JudgeScore]
    place: str


class BleuInput(TypedDict):
    """Outputs with their references."""

    outputs: list[str]
    references: list[list[str]]


def _render(argument: RenderInput) -> JsonValue:
    limits.set_place(argument["place"])
    # No answer exists yet that a template could use.
    return render(argument["template"], {**argument["item"], "item": argument["item"]})


def _score(argument: ScoreInput) -> list[RowMetrics]:
    scorer = Scorer(argument["metrics"])
    found: list[RowMetrics] = []
    for row in argument["rows"]:
        limits.set_place(row["place"])
        try:
            scored = scorer.row(Sample(row["item"], row["output"], row["response"]))
        except LawtagsError as error:
            if row["place"] not in error.message:
                error.message += f" ({row['place']})"
            raise
        found.append({"figures": scored.figures, "questions": scored.questions, "texts": scored.texts})
    return found


def _judged(argument: JudgeInput) -> metrics.RowScores:
    limits.set_place(argument["place"])
    return metrics.judge_scores(argument["text"], argument["scores"])


def _bleu(argument: BleuInput) -> tuple[list[float], float]:
    outputs = argument["outputs"]
    with limits.cpu_limit("The metric bleu", _BLEU_SECONDS * (1 + len(outputs) / 1000)):
        return metrics.bleu(outputs, argument["references"])


OPERATIONS = {"render": _render, "score": _score, "judged": _judged, "bleu": _bleu}
