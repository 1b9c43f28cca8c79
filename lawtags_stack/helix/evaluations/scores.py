"""Scores of rows, and the files of a finished evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.evaluations.metric_bundles import BundledMetric
from lawtags_stack.helix.evaluations.statistics import aggregate
from lawtags_stack.services.evaluator.calculations import Calculations
from lawtags_stack.services.evaluator.sandboxed import AnsweredRow

_CHUNK = 64
_OWN_NAMES = {"em": "exact-match"}


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """A row of the dataset, with the model's answer if there is one.

    Args:
        item: the row.
        output: the answer's text; None for recorded outputs.
        response: the whole response.
        request: what the model was asked.
    """

    item: JsonObject
    output: str | None = None
    response: JsonObject = field(default_factory=dict)
    request: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class EvaluationScores:
    """The scores of all rows.

    Args:
        rows: per row and metric, the value of each output.
        corpus: BLEU of the whole corpus, if it was asked for.
    """

    rows: list[dict[str, dict[str, float]]]
    corpus: float | None = None


def score(
    metrics: Sequence[BundledMetric], answers: Sequence[AnsweredItem], calculations: Calculations
) -> EvaluationScores:
    """Calculate the metrics of all rows.

    Raises:
        LawtagsError: a template is invalid, or exceeds a limit.
    """
    configs = {metric.kind: metric.fields for metric in metrics}
    found: list[dict[str, dict[str, float]]] = []
    outputs: list[str] = []
    references: list[list[str]] = []
    for start in range(0, len(answers), _CHUNK):
        rows = [_row(each, start + index) for index, each in enumerate(answers[start : start + _CHUNK])]
        for scored in calculations.score({"metrics": configs, "rows": rows}):
            figures = {
                kind: {_OWN_NAMES.get(name, name): value for name, value in values.items()}
                for kind, values in scored["figures"].items()
            }
            found.append(figures)
            for output, wanted in scored["texts"].values():
                outputs.append(output)
                references.append(wanted)
    if not outputs:
        return EvaluationScores(found)
    sentences, corpus = calculations.bleu(outputs, references)
    for row, sentence in zip(found, sentences, strict=True):
        row["bleu"] = {"sentence": sentence}
    return EvaluationScores(found, corpus)


def aggregates(metrics: Sequence[BundledMetric], scores: EvaluationScores) -> list[JsonObject]:
    """The aggregates of all metrics, in order."""
    return [each for metric in metrics for each in aggregates_of(metric, scores)]


def aggregates_of(metric: BundledMetric, scores: EvaluationScores) -> list[JsonObject]:
    """The aggregates of one metric."""
    found = [
        aggregate(f"{metric.kind}.{name}", [row[metric.kind][name] for row in scores.rows])
        for name in metric.outputs
    ]
    if metric.kind == "bleu" and scores.corpus is not None:
        found.append({**aggregate("bleu.corpus", [scores.corpus]), "median": None})
    return found


def row_scores(
    metrics: Sequence[BundledMetric], answers: Sequence[AnsweredItem], scores: EvaluationScores
) -> list[JsonObject]:
    """The scores of each row, with the row and the answer."""
    found: list[JsonObject] = []
    for index, (answer, values) in enumerate(zip(answers, scores.rows, strict=True)):
        asked: list[JsonValue] = []
        if answer.request is not None:
            asked.append({"request": answer.request, "response": answer.response})
        sample: JsonObject = {}
        if answer.output is not None:
            sample = {"output_text": answer.output, "response": answer.response}
        found.append(
            {
                "row_index": index,
                "item": answer.item,
                "sample": sample,
                "metrics": {metric.kind: _values(metric, values[metric.kind]) for metric in metrics},
                "requests": asked,
                "metric_errors": None,
                "metric_diagnostics": None,
            }
        )
    return found


def results(
    metrics: Sequence[BundledMetric], answers: Sequence[AnsweredItem], scores: EvaluationScores
) -> JsonObject:
    """The content of ``evaluation-results``."""
    per_metric: dict[str, JsonValue] = {
        metric.kind: {
            "row_scores": row_scores([metric], answers, scores),
            "aggregate_scores": {"scores": aggregates_of(metric, scores)},
        }
        for metric in metrics
    }
    return {
        "row_scores": row_scores(metrics, answers, scores),
        "aggregate_scores": {"scores": aggregates(metrics, scores)},
        "per_metric": per_metric,
    }


def _values(metric: BundledMetric, values: dict[str, float]) -> list[JsonValue]:
    return [
        {"name": name, "value": "NaN" if math.isnan(values[name]) else values[name]}
        for name in metric.outputs
    ]


def _row(answer: AnsweredItem, index: int) -> AnsweredRow:
    return {
        "item": {**answer.item},
        "output": answer.output or "",
        "response": answer.response,
        "place": f"row {index}",
    }
