"""Applies the metrics of a task to its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NotRequired, TypeAlias, TypedDict

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.sandbox.limits import cpu_limit
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.templates import render, render_text

if TYPE_CHECKING:
    from lawtags_stack.services.evaluator.rows import DatasetRow

_SECONDS = 20.0  # of CPU time for one metric and one row; ROUGE of long texts takes some
_OUTPUTS = ("output_text", "output", "response", "prediction")
_TRUTHS = ("reference", "ideal_response", "ground_truth", "completion", "expected_output")


TextPair: TypeAlias = tuple[str, list[str]]
"""An output and its references."""


class MetricFields(TypedDict):
    """A metric of a task, as JSON."""

    type: str
    params: NotRequired[JsonObject | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row and the model's answer.

    Args:
        item: the row.
        output: the answer's text.
        response: the whole response.
    """

    item: DatasetRow
    output: str
    response: JsonObject

    @classmethod
    def recorded(cls, row: JsonObject) -> Sample:
        """Create a sample from a row that contains its answer, if any."""
        texts = (row.get(name) for name in _OUTPUTS)
        found = next((text for text in texts if isinstance(text, str)), "")
        # Recorded outputs of similarity evaluations have the row itself under "input".
        inner = row.get("input")
        item = {**inner, **row} if isinstance(inner, dict) else {**row}
        return cls(item, found, {})

    def values(self) -> JsonObject:
        """The variables of templates: ``item`` and ``sample``, and the fields of both.

        A column of the row takes precedence over a field of the answer with the same name, unless the answer
        was generated in this evaluation: then ``output_text`` is that answer.
        """
        named: dict[str, JsonValue] = {**self.shown(), **self.item}
        if self.response:
            named["output_text"] = self.output
        return {**named, "item": self.item, "sample": self.shown()}

    def shown(self) -> JsonObject:
        """The answer in the form for templates and result files."""
        return {"output_text": self.output, "response": self.response}

    def render(self, template: JsonValue) -> JsonValue:
        """Render a template. Raises as ``templates.render``."""
        return render(template, self.values())

    def text(self, template: JsonValue) -> str:
        """Render a template that must produce text. Raises as ``templates.render``."""
        return render_text(str(template), self.values())


@dataclass(frozen=True, slots=True)
class Scored:
    """The metrics of one row.

    Args:
        figures: the values of the row by metric, still without those of judges.
        questions: the requests to the judges, by metric.
        texts: output and references for corpus metrics, by metric.
    """

    figures: dict[str, metrics.RowScores]
    questions: dict[str, JsonObject]
    texts: dict[str, TextPair]


class Scorer:
    """Computes the metrics of a task, row by row.

    Args:
        configs: metric configs by key.
    """

    KINDS: ClassVar[frozenset[str]] = frozenset(
        {
            "accuracy", "bleu", "em", "f1", "llm-judge", "number-check", "rouge", "string-check",
            "tool-calling",
        }
    )  # fmt: skip

    def __init__(self, configs: Mapping[str, MetricFields]) -> None:
        self._configs = configs

    def row(self, sample: Sample) -> Scored:
        """Compute the metrics of one row.

        Raises:
            BadRequestError: a parameter of a metric is missing or invalid.
            ResourceLimitError: a template or a metric exceeds a limit.
        """
        found = Scored({}, {}, {})
        for key, config in self._configs.items():
            kind, params = config["type"], config.get("params") or {}
            if kind == "llm-judge":
                found.questions[key] = _question(params, sample)
            elif kind == "bleu":
                found.texts[key] = (_output(params, sample), _references(params, sample))
            else:
                found.figures[key] = self._figures(kind, params, sample)
        return found

    def _figures(self, kind: str, params: JsonObject, sample: Sample) -> metrics.RowScores:
        if kind in ("string-check", "number-check"):
            left, operator, right, *rest = metrics.read_check(kind, params.get("check"))
            if kind == "string-check":
                return metrics.string_check(sample.text(left), operator, sample.text(right))
            epsilon = metrics.tolerance(params, rest)
            return metrics.number_check(sample.text(left), operator, sample.text(right), epsilon)
        if kind == "tool-calling":
            truth = sample.render(params.get("tool_calls_ground_truth", "{{ item.tool_calls | tojson }}"))
            return metrics.tool_calls(sample.response, truth)
        compare = {
            "em": metrics.exact_match,
            "f1": metrics.token_f1,
            "rouge": metrics.rouge,
            "accuracy": metrics.accuracy,
        }[kind]
        output, truth = _output(params, sample), _truth(params, sample)
        with cpu_limit(f"The metric {kind}", _SECONDS):
            return compare(output, truth)


def results(
    configs: Mapping[str, MetricFields],
    rows: Sequence[Mapping[str, metrics.RowScores]],
    texts: Sequence[Mapping[str, TextPair]],
    bleu: Callable[[list[str], list[list[str]]], tuple[list[float], float]],
    *,
    similarity: bool = False,
) -> dict[str, metrics.MetricScores]:
    """Aggregate the metrics of all rows for the result.

    Args:
        configs: metric configs by key.
        rows: the values of each row.
        texts: the texts of each row, as in ``Scored``.
        bleu: BLEU per sentence and for the whole corpus.
        similarity: whether to use the format of similarity evaluations: BLEU from 0 to 1, no statistics.
    """
    found: dict[str, metrics.MetricScores] = {}
    for key, config in configs.items():
        if config["type"] == "bleu":
            pairs = [row[key] for row in texts]
            sentences, corpus = bleu([output for output, _ in pairs], [wanted for _, wanted in pairs])
            scores = _bleu_scores(sentences, corpus, similarity=similarity)
        else:
            scores = metrics.summarize([row[key] for row in rows])
        if similarity:
            scores = {name: {"value": score["value"]} for name, score in scores.items()}
        found[key] = {"scores": scores}
    return found


def _question(params: JsonObject, sample: Sample) -> JsonObject:
    if not params.get("model") or not params.get("template") or not params.get("scores"):
        raise BadRequestError("llm-judge needs the parameters model, template and scores")
    question = sample.render(params["template"])
    assert isinstance(question, dict)  # as the template is
    return question


def _output(params: JsonObject, sample: Sample) -> str:
    return sample.text(params["prediction"]) if "prediction" in params else sample.output


def _truth(params: JsonObject, sample: Sample) -> str:
    if "ground_truth" in params:
        return sample.text(params["ground_truth"])
    for name in _TRUTHS:
        if isinstance(sample.item.get(name), str):
            return str(sample.item[name])
    raise BadRequestError("The metric needs the parameter ground_truth, or rows with a reference")


def _references(params: JsonObject, sample: Sample) -> list[str]:
    templates = params.get("references")
    if isinstance(templates, list) and templates:
        return [sample.text(each) for each in templates]
    return [_truth(params, sample)]


def _bleu_scores(sentences: Sequence[float], corpus: float, *, similarity: bool) -> metrics.Scores:
    known = bool(sentences)
    if similarity:
        return {"bleu_score": {"value": corpus / 100 if known else None}}
    each = metrics.summarize([{"sentence": value} for value in sentences])
    return {**each, "corpus": {"value": corpus if known else None}}
