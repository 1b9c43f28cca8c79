from __future__ import annotations

import pytest

from lawtags_client.errors import ConfigurationError, GateNotPassedError
from lawtags_client.runs.recipe import EvaluationSection, Gate
from lawtags_client.runs.verdict import judge, require, verdict

pytest.importorskip("numpy")

TRUTH = [frozenset({"a"}), frozenset({"a", "b"}), frozenset({"c"}), frozenset({"b"})] * 20
RIGHT = TRUTH
WRONG = [frozenset({"z"})] * len(TRUTH)
METRICS = verdict(
    TRUTH, {"tagger": RIGHT, "tfidf": WRONG, "retriever": RIGHT}, EvaluationSection(bootstrap=200)
)


def test_a_verdict_holds_what_scripts_read() -> None:
    assert METRICS["test_rows"] == 80
    tagger = METRICS["systems"]["tagger"]
    for metric in ("micro_f1", "macro_f1", "samples_f1", "micro_precision", "micro_recall", "exact_match"):
        assert tagger[metric] == 1.0
        low, high = tagger["intervals"][metric]
        assert low <= tagger[metric] <= high


def test_differences_are_paired_and_only_between_systems_that_ran() -> None:
    pairs = {(row["a"], row["b"]) for row in METRICS["differences"]}
    assert pairs == {("tagger", "tfidf"), ("tagger", "retriever"), ("retriever", "tfidf")}
    same = next(
        row for row in METRICS["differences"] if row["b"] == "retriever" and row["metric"] == "micro_f1"
    )
    assert (same["difference"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


def test_gates_pass_and_fail_by_value_and_by_proof() -> None:
    judged = judge(
        [
            Gate(system="tagger", at_least=0.9),
            Gate(system="tagger", better_than="tfidf"),
            Gate(system="tagger", better_than="retriever"),
            Gate(system="tfidf", at_least=0.1),
        ],
        METRICS,
    )
    assert [gate["passed"] for gate in judged] == [True, True, False, False]
    with pytest.raises(GateNotPassedError, match=r"retriever.*tfidf") as caught:
        require(judged)
    assert caught.value.exit_code == 3
    require(judged[:2])


@pytest.mark.parametrize("gate", [Gate(system="nobody", at_least=0.1), Gate(metric="luck", at_least=0.1),
                                  Gate(system="tfidf", better_than="tagger")])  # fmt: skip
def test_a_gate_on_what_is_not_there_is_an_error_of_the_recipe(gate: Gate) -> None:
    with pytest.raises(ConfigurationError):
        judge([gate], METRICS)
