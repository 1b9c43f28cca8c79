"""The metrics of a task, applied to its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lawtags_client.errors import BadRequestError
from lawtags_client.local.evaluator import metrics
from lawtags_client.local.evaluator.rows import Row
from lawtags_client.local.evaluator.templates import render, render_text

_OUTPUTS = ("output_text", "output", "response", "prediction")
_TRUTHS = ("reference", "ideal_response", "ground_truth", "completion", "expected_output")


@dataclass(frozen=True, slots=True)
class Sample:
    """A row and the model's answer to it.

    Args:
        item: the row.
        output: the answer's text.
        response: the whole answer.
    """

    item: Row
    output: str
    response: Mapping[str, Any]

    @classmethod
    def recorded(cls, row: Row) -> Sample:
        """A row that brings its answer along, if it has one."""
        found = next((row[name] for name in _OUTPUTS if isinstance(row.get(name), str)), "")
        # Recorded outputs of similarity evaluations keep the row itself under "input".
        inner = row.get("input")
        item = {**inner, **row} if isinstance(inner, dict) else row
        return cls(item, found, {})

    def values(self) -> dict[str, Any]:
        """What templates may name: the row's fields, ``item`` and ``sample``."""
        return {**self.item, "item": self.item, "sample": self.shown()}

    def shown(self) -> dict[str, Any]:
        """The answer as templates and result files see it."""
        return {"output_text": self.output, "response": self.response}

    def render(self, template: Any) -> Any:
        """Fill in a template. Raises as ``templates.render``."""
        return render(template, self.values())

    def text(self, template: Any) -> str:
        """Fill in a template that must give text. Raises as ``templates.render``."""
        return render_text(str(template), self.values())


class Scorer:
    """Computes the metrics of a task.

    Args:
        configs: metric configs by their key.
        judge: asks a model and returns its text.
    """

    KINDS: ClassVar[frozenset[str]] = frozenset(
        {
            "accuracy", "bleu", "em", "f1", "llm-judge", "number-check", "rouge", "string-check",
            "tool-calling",
        }
    )  # fmt: skip

    def __init__(
        self, configs: Mapping[str, Mapping[str, Any]], judge: Callable[[Any, dict[str, Any]], str]
    ) -> None:
        self._configs = configs
        self._judge = judge

    def row(self, sample: Sample) -> dict[str, metrics.RowScores]:
        """The figures of one row, by metric.

        Raises:
            BadRequestError: a metric lacks a parameter, or has a wrong one.
        """
        return {
            key: self._figures(config["type"], config.get("params") or {}, sample)
            for key, config in self._configs.items()
            if config["type"] != "bleu"
        }

    def results(
        self, samples: Sequence[Sample], rows: Sequence[Mapping[str, metrics.RowScores]]
    ) -> dict[str, Any]:
        """The metrics of all rows as the result shows them."""
        found = {}
        for key, config in self._configs.items():
            if config["type"] == "bleu":
                found[key] = {"scores": _bleu(config.get("params") or {}, samples)}
            else:
                found[key] = {"scores": metrics.summarize([row[key] for row in rows])}
        return found

    def _figures(self, kind: str, params: Mapping[str, Any], sample: Sample) -> metrics.RowScores:
        if kind in ("string-check", "number-check"):
            left, operator, right, *rest = _check(params)
            if kind == "string-check":
                return metrics.string_check(sample.text(left), operator, sample.text(right))
            epsilon = float(params.get("epsilon", rest[0] if rest else 0.0))
            return metrics.number_check(sample.text(left), operator, sample.text(right), epsilon)
        if kind == "llm-judge":
            return self._judged(params, sample)
        if kind == "tool-calling":
            truth = sample.render(params.get("tool_calls_ground_truth", "{{ item.tool_calls | tojson }}"))
            return metrics.tool_calls(sample.response, truth)
        compare = {
            "em": metrics.exact_match,
            "f1": metrics.token_f1,
            "rouge": metrics.rouge,
            "accuracy": metrics.accuracy,
        }[kind]
        return compare(_output(params, sample), _truth(params, sample))

    def _judged(self, params: Mapping[str, Any], sample: Sample) -> metrics.RowScores:
        if not params.get("model") or not params.get("template") or not params.get("scores"):
            raise BadRequestError("llm-judge needs the parameters model, template and scores")
        body = sample.render(dict(params["template"]))
        return metrics.judge_scores(self._judge(params["model"], body), params["scores"])


def _check(params: Mapping[str, Any]) -> list[str]:
    check = params.get("check")
    if not isinstance(check, list) or len(check) < 3:
        raise BadRequestError("The parameter check must be [left, operator, right]")
    return [str(part) for part in check]


def _output(params: Mapping[str, Any], sample: Sample) -> str:
    return sample.text(params["prediction"]) if "prediction" in params else sample.output


def _truth(params: Mapping[str, Any], sample: Sample) -> str:
    if "ground_truth" in params:
        return sample.text(params["ground_truth"])
    for name in _TRUTHS:
        if isinstance(sample.item.get(name), str):
            return str(sample.item[name])
    raise BadRequestError("The metric needs the parameter ground_truth, or rows with a reference")


def _bleu(params: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, Any]:
    templates = params.get("references")
    references = [
        [sample.text(each) for each in templates] if templates else [_truth(params, sample)]
        for sample in samples
    ]
    outputs = [_output(params, sample) for sample in samples]
    sentences, corpus = metrics.bleu(outputs, references)
    whole: dict[str, Any] = {"value": corpus if samples else None, "stats": {"count": len(samples)}}
    if not templates:  # the form of similarity evaluations: one figure
        return {"bleu_score": whole}
    return {**metrics.summarize([{"sentence": value} for value in sentences]), "corpus": whole}
