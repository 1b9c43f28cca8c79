"""Metrics as bundles: what the service checks, and how the stack calculates them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.services.evaluator.scoring import MetricFields

TRANSFORM = "Failed to transform nemo-evals job input to output: "
_NUMBER: JsonObject = {
    "description": "Continuous numeric metric value.",
    "title": "ContinuousScore",
    "type": "number",
}
_ROUGE = ("rouge_1_score", "rouge_2_score", "rouge_3_score", "rouge_L_score")
_OUTPUTS: dict[str, tuple[str, ...]] = {
    "exact-match": ("exact-match",),
    "f1": ("f1",),
    "string-check": ("string-check",),
    "number-check": ("number-check",),
    "bleu": ("sentence",),
    "rouge": _ROUGE,
}
_FIELDS: dict[str, tuple[str, ...]] = {
    "exact-match": ("reference", "candidate"),
    "f1": ("reference", "candidate"),
    "string-check": ("operation", "left_template", "right_template"),
    "number-check": ("operation", "left_template", "right_template"),
    "bleu": ("references", "candidate"),
    "rouge": ("reference", "candidate"),
}
_STRING_OPERATIONS = {
    "equals": "equals", "==": "equals", "not equals": "not equals", "!=": "not equals", "<>": "not equals",
    "contains": "contains", "not contains": "not contains", "startswith": "startswith",
    "endswith": "endswith",
}  # fmt: skip
_NUMBER_OPERATIONS = {
    "equals": "==", "==": "==", "not equals": "!=", "!=": "!=", "<>": "!=", "gt": ">", ">": ">",
    "greater than": ">", "gte": ">=", ">=": ">=", "greater than or equal": ">=", "lt": "<", "<": "<",
    "less than": "<", "lte": "<=", "<=": "<=", "less than or equal": "<=",
    "absolute difference": "absolute difference",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BundledMetric:
    """A metric of an evaluation.

    Args:
        kind: its type, which is also the key of its scores.
        outputs: the names of its scores.
        fields: how the stack's evaluation calculates it.
    """

    kind: str
    outputs: tuple[str, ...]
    fields: MetricFields


def checked_bundle(bundle: JsonObject) -> JsonObject:
    """Check an inline metric, and return it with its digest.

    Args:
        bundle: the metric, with defaults.

    Raises:
        HelixError: the stack does not have this metric, or its outputs are not those of the metric (422).
    """
    metric = read_metric(bundle)
    outputs = bundle["outputs"]
    found = [each for each in outputs if isinstance(each, dict)] if isinstance(outputs, list) else []
    wanted: list[JsonObject] = [
        {"name": name, "description": None, "value_json_schema": _NUMBER} for name in metric.outputs
    ]
    names = ("name", "description", "value_json_schema")
    wrong = sorted(
        {
            name
            for one, other in zip(found, wanted, strict=False)
            for name in names
            if one[name] != other[name]
        }
    )
    if wrong or len(found) != len(wanted):
        fields = wrong or ["outputs"]
        raise HelixError(
            422,
            f"{TRANSFORM}unbundled metric output spec does not match bundle metadata (mismatched fields: "
            f"{fields})",
        )
    payload = bundle["payload"]
    assert isinstance(payload, dict)
    return {**bundle, "outputs": wanted, "payload": {**payload, "digest": digest(payload["metric"])}}


def read_metric(bundle: JsonObject) -> BundledMetric:
    """Convert a bundle to a metric of the stack's evaluation.

    Raises:
        HelixError: the stack does not have this metric, or a field of it is missing or invalid (422).
    """
    payload = bundle["payload"]
    sent = payload.get("metric") if isinstance(payload, dict) else None
    if not isinstance(sent, dict):
        raise HelixError(422, f"{TRANSFORM}this stack accepts metrics of payload.kind 'inline' alone")
    kind = str(sent.get("type"))
    if kind not in _OUTPUTS or bundle["metric_type"] != kind:
        raise HelixError(
            422,
            f"{TRANSFORM}this stack has no metric of the type {kind[:80]!r}, or its metric_type differs; it "
            f"has {', '.join(_OUTPUTS)}",
        )
    missing = [name for name in _FIELDS[kind] if sent.get(name) is None]
    if missing:
        reason = f"the metric {kind} lacks {', '.join(missing)}"
        raise HelixError(422, f"{TRANSFORM}{reason}")
    return BundledMetric(kind, _OUTPUTS[kind], {"type": _own_kind(kind), "params": _params(kind, sent)})


def digest(metric: JsonValue) -> str:
    """The digest of an inline metric."""
    text = json.dumps(metric, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _own_kind(kind: str) -> str:
    return "em" if kind == "exact-match" else kind


def _params(kind: str, sent: JsonObject) -> JsonObject:
    if kind in ("string-check", "number-check"):
        known = _STRING_OPERATIONS if kind == "string-check" else _NUMBER_OPERATIONS
        operation = known.get(str(sent["operation"]))
        if operation is None:
            reason = f"{kind} has no operation {str(sent['operation'])[:80]!r}; it has {', '.join(known)}"
            raise HelixError(422, f"{TRANSFORM}{reason}")
        check: list[JsonValue] = [sent["left_template"], operation, sent["right_template"]]
        epsilon = sent.get("epsilon")
        if (epsilon is not None) is not (operation == "absolute difference"):
            reason = "epsilon is required for 'absolute difference', and excluded otherwise"
            raise HelixError(422, f"{TRANSFORM}{reason}")
        return {"check": check, **({} if epsilon is None else {"epsilon": epsilon})}
    if kind == "bleu":
        return {"references": sent["references"], "prediction": sent["candidate"]}
    return {"ground_truth": sent["reference"], "prediction": sent["candidate"]}
