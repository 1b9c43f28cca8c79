"""Metrics of Helix's evaluator, with the outputs that the platform derives from them.

Templates are Jinja on ``{{item.column}}`` and, where a target is asked, ``{{sample.output_text}}``. There is
no F1 over sets of tags; it has to be computed from the scored rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lawtags_client.helix.types.evaluations import Metric, MetricOutput, MetricPayload
from lawtags_client.json_value import JsonValue

OUTPUT_TEXT = "{{sample.output_text}}"
"""What the target wrote."""

_NUMBER: Mapping[str, JsonValue] = {
    "description": "Continuous numeric metric value.",
    "title": "ContinuousScore",
    "type": "number",
}
_LABEL: Mapping[str, JsonValue] = {
    "description": "String label metric value.",
    "title": "Label",
    "type": "string",
}


def exact_match(reference: str, candidate: str = OUTPUT_TEXT) -> Metric:
    """1 for texts that are equal without regard to case, punctuation and articles."""
    return _metric("exact-match", {"reference": reference, "candidate": candidate}, ["exact-match"])


def f1(reference: str, candidate: str = OUTPUT_TEXT) -> Metric:
    """F1 over the tokens of two texts, normalized as for ``exact_match``."""
    return _metric("f1", {"reference": reference, "candidate": candidate}, ["f1"])


def string_check(left: str, operation: str, right: str) -> Metric:
    """1 where two texts are related in a way.

    Args:
        left: a template.
        operation: ``equals``, ``not equals``, ``contains``, ``not contains``, ``startswith`` or ``endswith``.
        right: a template.
    """
    fields: dict[str, JsonValue] = {"operation": operation, "left_template": left, "right_template": right}
    return _metric("string-check", fields, ["string-check"])


def number_check(left: str, operation: str, right: str, *, epsilon: float | None = None) -> Metric:
    """1 where two numbers are related in a way.

    Args:
        left: a template.
        operation: ``equals``, ``not equals``, ``gt``, ``gte``, ``lt``, ``lte`` or ``absolute difference``.
        right: a template.
        epsilon: the largest difference, for ``absolute difference`` alone.
    """
    fields: dict[str, JsonValue] = {"operation": operation, "left_template": left, "right_template": right}
    if epsilon is not None:
        fields["epsilon"] = epsilon
    return _metric("number-check", fields, ["number-check"])


def bleu(references: Sequence[str], candidate: str = OUTPUT_TEXT) -> Metric:
    """BLEU per sentence, 0 to 100."""
    return _metric("bleu", {"references": list(references), "candidate": candidate}, ["sentence"])


def rouge(reference: str, candidate: str = OUTPUT_TEXT) -> Metric:
    """ROUGE-1, -2, -3 and -L."""
    outputs = [f"rouge_{kind}_score" for kind in ("1", "2", "3", "L")]
    return _metric("rouge", {"reference": reference, "candidate": candidate}, outputs)


def tool_calling(reference: str) -> Metric:
    """Accuracy of the functions that were called, and of their arguments."""
    outputs = ["function_name_accuracy", "function_name_and_args_accuracy"]
    return _metric("tool-calling", {"reference": reference}, outputs)


def llm_judge(
    *,
    model: Mapping[str, JsonValue],
    prompt_template: Mapping[str, JsonValue],
    scores: Sequence[Mapping[str, JsonValue]],
) -> Metric:
    """Scores that a model gives.

    Args:
        model: ``url`` and ``name`` of the model.
        prompt_template: ``{"messages": [...]}``.
        scores: ranges ``{"name", "minimum", "maximum"}``, or rubrics
            ``{"name", "rubric": [{"label", "value"}]}``.
    """
    outputs: list[MetricOutput] = []
    for score in scores:
        name, description = str(score["name"]), score.get("description")
        outputs.append(_output(name, _NUMBER, description if isinstance(description, str) else None))
        if "rubric" in score:
            outputs.append(_output(f"{name}.label", _LABEL, f"Selected rubric label for {name}"))
    fields: dict[str, JsonValue] = {
        "model": dict(model),
        "prompt_template": dict(prompt_template),
        "scores": [dict(score) for score in scores],
    }
    return Metric(
        metric_type="llm-judge",
        outputs=outputs,
        payload=MetricPayload(kind="inline", metric={"type": "llm-judge", **fields}),
    )


def _metric(kind: str, fields: Mapping[str, JsonValue], outputs: Sequence[str]) -> Metric:
    return Metric(
        metric_type=kind,
        outputs=[_output(name, _NUMBER) for name in outputs],
        payload=MetricPayload(kind="inline", metric={"type": kind, **fields}),
    )


def _output(name: str, schema: Mapping[str, JsonValue], description: str | None = None) -> MetricOutput:
    if description is None:
        return MetricOutput(name=name, value_json_schema=dict(schema))
    return MetricOutput(name=name, value_json_schema=dict(schema), description=description)


__all__ = [
    "OUTPUT_TEXT",
    "bleu",
    "exact_match",
    "f1",
    "llm_judge",
    "number_check",
    "rouge",
    "string_check",
    "tool_calling",
]
