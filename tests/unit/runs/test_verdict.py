from __future__ import annotations

import pytest

from lawtags_client.errors import ConfigurationError, GateNotPassedError, RowsFailedError
from lawtags_client.runs.gates import judge, require, require_verdict
from lawtags_client.runs.lost_rows import lost_rows, too_many
from lawtags_client.runs.metrics import Metrics, ValidationRows
from lawtags_client.runs.outputs import EvaluateOutput
from lawtags_client.runs.predictions import prediction
from lawtags_client.runs.recipe import EvaluationSection, Gate
from lawtags_client.runs.verdict import (
    SYSTEMS,
    lost_in_words,
    sentences,
    verdict,
)

pytest.importorskip("numpy")

TRUTH = [frozenset({"a"}), frozenset({"a", "b"}), frozenset({"c"}), frozenset({"b"})] * 20
RIGHT = TRUTH
WRONG = [frozenset({"z"})] * len(TRUTH)
METRICS = verdict(
    TRUTH, {"tagger": RIGHT, "tfidf": WRONG, "retriever": RIGHT}, EvaluationSection(bootstrap=200)
)


def test_a_verdict_holds_what_scripts_read() -> None:
    assert METRICS.test_rows == 80
    tagger = METRICS.systems["tagger"]
    for metric in ("micro_f1", "macro_f1", "samples_f1", "micro_precision", "micro_recall", "exact_match"):
        assert tagger.figure(metric) == 1.0
        low, high = tagger.intervals[metric]
        assert low <= 1.0 <= high


def test_differences_are_paired_and_only_between_systems_that_ran() -> None:
    pairs = {(row.a, row.b) for row in METRICS.differences}
    assert pairs == {("tagger", "tfidf"), ("tagger", "retriever"), ("retriever", "tfidf")}
    same = next(row for row in METRICS.differences if row.b == "retriever" and row.metric == "micro_f1")
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)


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
    assert [gate.passed for gate in judged] == [True, True, False, False]
    with pytest.raises(GateNotPassedError, match=r"retriever.*tfidf") as caught:
        require(judged)
    assert caught.value.exit_code == 3
    require(judged[:2])


@pytest.mark.parametrize("gate", [Gate(system="nobody", at_least=0.1), Gate(metric="luck", at_least=0.1),
                                  Gate(system="tfidf", better_than="tagger")])  # fmt: skip
def test_a_gate_on_what_is_not_there_is_an_error_of_the_recipe(gate: Gate) -> None:
    with pytest.raises(ConfigurationError):
        judge([gate], METRICS)


def with_lost(system: str, failed: int, *, refused: bool = False) -> Metrics:
    """A verdict of perfect and useless systems, of which one has lost rows."""
    rows = [
        prediction(number, str(number), [], error="DeadlineExceededError: late", refused=refused)
        if number < failed
        else prediction(number, str(number), ["a"])
        for number in range(len(TRUTH))
    ]
    predicted = {"tagger": RIGHT, "tuned": RIGHT, "base": WRONG, "tfidf": WRONG}
    return verdict(TRUTH, predicted, EvaluationSection(bootstrap=100), lost={system: lost_rows(rows)})


def readings(metrics: Metrics, a: str, b: str) -> set[str | None]:
    return {row.reading for row in metrics.differences if (row.a, row.b) == (a, b)}


@pytest.mark.parametrize("system", ["tagger", "tuned", "base", "tfidf"])
def test_no_verdict_for_a_system_that_lost_more_than_two_percent_of_rows(system: str) -> None:
    within = with_lost(system, 1)
    assert within.systems[system].failed == 1
    assert within.incomplete == ()
    assert readings(within, "tuned", "base") == {"better"}
    require_verdict(EvaluateOutput(incomplete=within.incomplete, gates=()))
    beyond = with_lost(system, 2)
    for a, b in (("tagger", "tuned"), ("tagger", "base"), ("tuned", "base"), ("tagger", "tfidf")):
        judged = {"better"} if b != "tuned" else {"not shown"}
        assert readings(beyond, a, b) == ({"not judged"} if system in (a, b) else judged)
    gates = [Gate(system="tagger", at_least=0.5), Gate(system="tuned", better_than="base")]
    passed = [gate.passed for gate in judge(gates, beyond)]
    assert passed == [system != "tagger", system not in ("tuned", "base")]
    with pytest.raises(RowsFailedError, match=f"2 of 80 test rows of {system}") as caught:
        require_verdict(EvaluateOutput(incomplete=beyond.incomplete, gates=tuple(judge(gates, beyond))))
    assert caught.value.exit_code == 1
    assert "Repeat the command" in (caught.value.hint or "")
    (told, *_) = lost_in_words(beyond)
    assert "DeadlineExceededError" in told
    assert "scored with no tags" in told


def test_rows_that_are_refused_for_good_are_lost_and_the_advice_is_another_one() -> None:
    metrics = with_lost("base", 20, refused=True)
    assert metrics.systems["base"].refused == 20
    with pytest.raises(RowsFailedError) as caught:
        require_verdict(EvaluateOutput(incomplete=metrics.incomplete, gates=()))
    assert "Repeat the command" not in (caught.value.hint or "")
    assert "--new" in (caught.value.hint or "")


@pytest.mark.parametrize(("failed", "refused", "judged"), [(1, 0, False), (1, 1, True), (0, 0, True)])
def test_a_tagger_that_was_fitted_without_lost_validation_rows_is_not_judged(
    failed: int, refused: int, judged: bool
) -> None:
    metrics = verdict(
        TRUTH,
        {"tagger": RIGHT, "tuned": WRONG, "base": WRONG},
        EvaluationSection(bootstrap=100),
        validation=ValidationRows(rows=20, failed=failed, refused=refused),
    )
    assert (readings(metrics, "tagger", "base") == {"better"}) is judged
    assert readings(metrics, "tuned", "base") == {"not shown"}


def test_every_two_systems_are_compared_and_worse_is_said_as_well_as_better() -> None:
    predicted = dict.fromkeys(SYSTEMS, WRONG) | {"tuned": RIGHT}
    metrics = verdict(TRUTH, predicted, EvaluationSection(bootstrap=100))
    pairs = {(row.a, row.b, row.metric) for row in metrics.differences}
    assert len(pairs) == len(SYSTEMS) * (len(SYSTEMS) - 1) // 2 * 3
    told = {line.split(":")[0]: line for line in sentences(metrics)}
    assert [*told] == [
        "tagger against tuned", "tagger against base", "tagger against blend", "tagger against encoder",
        "tagger against retriever",
        "tagger against retriever_words", "tagger against tfidf", "tagger against most_frequent",
        "tuned against base",
    ]  # fmt: skip
    assert told["tagger against tuned"].count("worse") == 3
    assert told["tuned against base"].count("better") == 3
    assert told["tagger against base"].count("no difference shown") == 3
    for words in ("micro F1", "macro F1", "samples F1"):
        assert all(words in line for line in told.values())


def test_reasons_that_differ_in_numbers_are_one() -> None:
    rows = [
        prediction(n, str(n), [], error=f"BadRequestError: {500 + n} tokens are too many") for n in range(9)
    ]
    rows.append(prediction(9, "9", [], error="DeadlineExceededError: late"))
    found = lost_rows(rows)
    assert found.failed == 10
    assert found.reasons == (
        ("BadRequestError: 500 tokens are too many", 9), ("DeadlineExceededError: late", 1)
    )  # fmt: skip


def test_two_in_a_hundred_is_not_too_many() -> None:
    assert [too_many(failed, 100) for failed in (0, 2, 3)] == [False, False, True]
    assert not too_many(0, 0)
