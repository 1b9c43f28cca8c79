"""The verdict: every system on the same test rows, with intervals, and whether the gates are passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lawtags_client.errors import ConfigurationError, GateNotPassedError
from lawtags_client.runs.recipe import EvaluationSection, Gate
from lawtags_client.tagging.metrics import bootstrap, paired_bootstrap, per_tag, score

SYSTEMS = {
    "tagger": "Tuned model mixed with the retriever",
    "tuned": "Tuned model alone, held to the vocabulary",
    "base": "Base model untuned, held to the vocabulary",
    "retriever": "Retriever without a language model",
    "tfidf": "TF-IDF + logistic regression",
    "most_frequent": "Most frequent tags",
}
"""Every system of a verdict, and what it is."""

COMPARISONS = (
    ("tuned", "base"),
    ("tagger", "tfidf"),
    ("tagger", "retriever"),
    ("tagger", "tuned"),
    ("retriever", "tfidf"),
)

COMPARED = ("micro_f1", "macro_f1", "samples_f1")

Tags = Sequence[frozenset[str]]


def verdict(truth: Tags, predicted: Mapping[str, Tags], options: EvaluationSection) -> dict[str, Any]:
    """Score all systems.

    Args:
        truth: the true tags of each test row.
        predicted: the tags that each system gave, in the same order.
        options: how to resample.

    Returns:
        The content of ``metrics.json``: ``test_rows``, ``systems`` with ``intervals`` (95 %) beside each
        system's figures, paired ``differences``, and ``per_tag``.
    """
    systems: dict[str, Any] = {}
    for name, tags in predicted.items():
        intervals = bootstrap(truth, tags, samples=options.bootstrap, seed=options.seed)
        systems[name] = {
            **asdict(score(truth, tags)),
            "intervals": {metric: [found.low, found.high] for metric, found in intervals.items()},
        }
    differences = [
        {
            "a": a,
            "b": b,
            "metric": metric,
            "difference": difference.value,
            "low": difference.low,
            "high": difference.high,
        }
        for a, b in COMPARISONS
        if a in predicted and b in predicted
        for metric, difference in paired_bootstrap(
            truth, predicted[a], predicted[b], samples=options.bootstrap, seed=options.seed
        ).items()
        if metric in COMPARED
    ]
    return {
        "schema_version": 1,
        "test_rows": len(truth),
        "systems": systems,
        "differences": differences,
        "per_tag": {name: [asdict(tag) for tag in per_tag(truth, tags)] for name, tags in predicted.items()},
    }


def judge(gates: Sequence[Gate], metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold a verdict against a recipe's gates.

    Returns:
        One object for each gate: its bound in words, the value found, and whether it is passed.

    Raises:
        ConfigurationError: a gate names a system or metric that the verdict lacks.
    """
    return [_judge(gate, metrics) for gate in gates]


def require(judged: Sequence[Mapping[str, Any]]) -> None:
    """Raise when a gate is not passed.

    Raises:
        GateNotPassedError: names each of them.
    """
    missed = [f"{gate['gate']}: {gate['found']}" for gate in judged if not gate["passed"]]
    if missed:
        raise GateNotPassedError("gate not passed: " + "; ".join(missed))


def _judge(gate: Gate, metrics: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = float(metrics["systems"][gate.system][gate.metric])
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"gate on {gate.system}.{gate.metric}: the verdict has no such figure"
        ) from None
    words = [f"{gate.system} {gate.metric}"]
    found = f"{value:.3f}"
    passed = True
    if gate.at_least is not None:
        words.append(f">= {gate.at_least:g}")
        passed = value >= gate.at_least
    if gate.better_than is not None:
        words.append(f"better than {gate.better_than}")
        low, high = _interval(gate, metrics)
        found += f", difference in [{low:+.3f}, {high:+.3f}]"
        passed = passed and low > 0
    return {"gate": " ".join(words), "found": found, "passed": passed}


def _interval(gate: Gate, metrics: Mapping[str, Any]) -> tuple[float, float]:
    for row in metrics["differences"]:
        if (row["a"], row["b"], row["metric"]) == (gate.system, gate.better_than, gate.metric):
            return row["low"], row["high"]
    compared = ", ".join(f"{a} with {b}" for a, b in COMPARISONS)
    raise ConfigurationError(
        f"gate: {gate.system} is not compared with {gate.better_than} by {gate.metric}",
        hint=f"Compared are {compared}, by {', '.join(COMPARED)}.",
    )
