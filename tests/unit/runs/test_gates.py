"""Gates over repeated splits: what they are judged by, and what they say of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError, DataError, GateNotPassedError, RowsFailedError
from lawtags_client.runs.comparison import compare_runs
from lawtags_client.runs.gates import check_gates, gates_of, judge, judge_repeats, require_verdict
from lawtags_client.runs.language_model import language_model_gain
from lawtags_client.runs.metrics import IncompleteSystem, Metrics, TrainingCost
from lawtags_client.runs.outputs import EvaluateOutput
from lawtags_client.runs.pooling import SplitSampling, pool
from lawtags_client.runs.recipe import EvaluationSection, Gate
from lawtags_client.runs.repeats import RepeatedVerdict
from lawtags_client.runs.verdict import verdict
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.calibration import measure_calibration

pytest.importorskip("scipy")

TRUTH = [frozenset({"a"}), frozenset({"b"}), frozenset({"c"}), frozenset({"a", "b"}), frozenset({"c"})] * 12
NOTHING = [frozenset({"z"})] * len(TRUTH)
LOCAL = ("encoder", "retriever", "tfidf")


def partly(right: int) -> list[frozenset[str]]:
    """The true tags of the first rows, and wrong ones of the others."""
    return [*TRUTH[:right], *NOTHING[right:]]


def judged(**right: int) -> Metrics:
    tags = {system: partly(rows) for system, rows in right.items()}
    return verdict(TRUTH, tags, EvaluationSection(bootstrap=200))


def over(
    verdicts: Sequence[Metrics], systems: Sequence[str] = LOCAL, pairs: Collection[tuple[str, str]] = ()
) -> RepeatedVerdict:
    return pool(
        verdicts,
        sampling=SplitSampling(0.3, same_test_rows=False, test_rows=len(TRUTH)),
        systems=systems,
        repeated_systems="local",
        varied="split",
        seeds=range(len(verdicts)),
        metrics_sha256="",
        pairs=pairs,
    )


LUCKY = [
    judged(tagger=50, retriever=45, tfidf=20),
    judged(retriever=15, tfidf=20),
    judged(retriever=21, tfidf=20),
]


def test_a_lucky_first_split_does_not_pass_a_gate() -> None:
    gates = [Gate(system="retriever", at_least=0.6), Gate(system="retriever", better_than="tfidf")]
    assert [each.passed for each in judge(gates, LUCKY[0])] == [True, True]
    found = judge_repeats(gates, LUCKY, over(LUCKY))
    assert [each.passed for each in found] == [False, False]
    mean = sum(each.systems["retriever"].micro_f1 for each in LUCKY) / 3
    assert found[0].found == f"{mean:.3f} on average over 3 splits"
    assert "on average over 3 splits, difference in [-" in found[1].found


def test_an_unlucky_first_split_passes_a_gate_that_the_mean_passes() -> None:
    unlucky = [LUCKY[1], LUCKY[0], LUCKY[0], LUCKY[0]]
    gate = Gate(system="retriever", metric="exact_match", at_least=0.6)
    assert not judge([gate], unlucky[0])[0].passed
    assert judge_repeats([gate], unlucky, over(unlucky))[0].passed


def test_a_gate_on_systems_that_are_not_the_best_is_judged_by_their_pooled_difference() -> None:
    verdicts = [judged(encoder=50, retriever=40, tfidf=right) for right in (5, 8, 6)]
    gate = Gate(system="retriever", better_than="tfidf")
    (found,) = judge_repeats([gate], verdicts, over(verdicts, pairs=[("retriever", "tfidf")]))
    assert found.passed
    assert "on average over 3 splits" in found.found


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        (Gate(system="tagger", at_least=0.5), "tagger is not repeated"),
        (Gate(system="tagger", better_than="tfidf"), "tagger is not repeated"),
    ],
)
def test_a_gate_on_what_is_not_repeated_is_judged_on_one_split_and_says_so(gate: Gate, named: str) -> None:
    (found,) = judge_repeats([gate], LUCKY, over(LUCKY))
    assert found.passed
    assert f" on one split, since {named}" in found.found


def test_a_split_with_lost_rows_fails_a_gate_though_the_first_one_passes() -> None:
    lost = IncompleteSystem(system="retriever", part="testing", rows=60, failed=30, refused=0)
    verdicts = [LUCKY[0], replace(LUCKY[0], incomplete=(lost,))]
    gates = [Gate(system="retriever", at_least=0.1), Gate(system="tfidf", at_least=0.1)]
    first, second = judge_repeats(gates, verdicts, over(verdicts))
    assert (first.passed, second.passed) == (False, True)
    assert first.found == (
        "no figure over 2 splits, since 30 of 60 test rows of retriever have no answer in repeat 2"
    )


def test_a_gate_may_be_on_a_tag_on_calibration_on_questions_won_and_on_cost() -> None:
    metrics = judged(tagger=50, retriever=45, tfidf=20)
    sure = measure_calibration(np.array([[0.9], [0.1]] * 30), ["a"], [{"a"}, set()] * 30, samples=100, seed=0)
    gain = language_model_gain(metrics, TrainingCost(seconds=120.0, price=1.2, currency="EUR"))
    metrics = replace(metrics, calibration={"tagger": sure}, language_model=gain)
    gates = {
        Gate(tag="a", metric="recall", at_least=0.8): True,
        Gate(tag="a", metric="f1", at_least=0.95): False,
        Gate(metric="calibration_error", at_most=0.2): True,
        Gate(metric="calibration_error", at_most=0.001): False,
        Gate(metric="mcnemar_p", better_than="tfidf", at_most=0.05): True,
        Gate(system="tfidf", metric="mcnemar_p", better_than="tagger", at_most=0.05): False,
        Gate(metric="seconds_per_point", at_most=1000): True,
        Gate(metric="seconds_per_point", at_most=1): False,
        Gate(metric="price_per_point", at_most=0.5): True,
        Gate(metric="price_per_point", at_most=0.001): False,
        Gate(system="tfidf", metric="failed", at_most=0): True,
    }
    found = judge(list(gates), metrics)
    assert [each.passed for each in found] == list(gates.values()), found
    assert found[4].found.endswith("30 questions won and 0 lost")
    assert "tag a recall >= 0.8" in found[0].gate
    none = replace(metrics, language_model=replace(gain, seconds_per_point=None) if gain else None)
    (judged_cost,) = judge([Gate(metric="seconds_per_point", at_most=1)], none)
    assert (judged_cost.passed, "no gain" in judged_cost.found) == (False, True)
    (one,) = judge_repeats([Gate(tag="a", metric="f1", at_least=0.1)], LUCKY, over(LUCKY))
    assert one.passed and "on one split" in one.found
    for wrong in (Gate(tag="none", at_least=0.1), Gate(metric="mcnemar_p", at_most=0.1)):
        with pytest.raises(ConfigurationError):
            judge([wrong], metrics)


def test_a_gate_on_what_is_not_there_is_an_error_of_the_recipe() -> None:
    wrong = [Gate(system="nobody", at_least=0.1), Gate(metric="luck", at_least=0.1),
             Gate(system="tfidf", better_than="retriever")]  # fmt: skip
    for gate in wrong:
        with pytest.raises(ConfigurationError):
            judge_repeats([gate], LUCKY, over(LUCKY))


def test_the_gates_over_repeats_decide_the_exit_code() -> None:
    gates = [Gate(system="retriever", at_least=0.6)]
    once = tuple(judge(gates, LUCKY[0]))
    metrics, pooled = replace(LUCKY[0], gates=once), over(LUCKY)
    repeats = replace(pooled, gates=tuple(judge_repeats(gates, LUCKY, pooled)))
    assert gates_of(metrics, repeats) == repeats.gates
    evaluated = EvaluateOutput(gates=once)
    require_verdict(evaluated)
    with pytest.raises(GateNotPassedError, match="over 3 splits"):
        require_verdict(evaluated, repeats)
    # A verdict over splits of an older release has judged none.
    assert gates_of(metrics, pooled) == once
    require_verdict(evaluated, pooled)
    lost = IncompleteSystem(system="tagger", part="testing", rows=60, failed=30, refused=0)
    with pytest.raises(RowsFailedError):
        require_verdict(replace(evaluated, incomplete=(lost,)), repeats)


@pytest.mark.parametrize(
    "content", ['{"test_rows": 1, "systems": {}}', "[" * 100_000, '{"test_rows": 1, "systems": {"a": NaN}}']
)
def test_a_damaged_verdict_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"metrics\.json") as caught:
        compare_runs([tmp_path, tmp_path])
    assert caught.value.path == str(tmp_path / "metrics.json")


def test_a_figure_that_is_not_a_number_passes_no_gate() -> None:
    metrics = judged(tagger=8, retriever=6)
    figures = {name: replace(each, micro_f1=math.nan) for name, each in metrics.systems.items()}
    lost, gate = replace(metrics, systems=figures), Gate(system="tagger", at_least=0.0)
    assert not judge([gate], lost)[0].passed
    pooled = over([metrics, metrics], systems=("tagger", "retriever"))
    assert not judge_repeats([gate], [metrics, lost], pooled)[0].passed


@pytest.mark.parametrize(
    ("gate", "said", "meant"),
    [
        (Gate(system="taggr", at_least=0.5), r"gates\.1\.system: there is no such system: 'taggr'", "tagger"),
        (Gate(better_than="retreiver"), "better_than: there is no such system: 'retreiver'", "retriever"),
        (Gate(metric="micro_f", at_least=0.5), "no such figure to judge by: 'micro_f'", "micro_f1"),
        (Gate(metric="exact_match", better_than="base"), "no such figure to judge by", "micro_f1"),
        (Gate(tag="tax", metric="micro_f1", at_least=0.5), "no such figure to judge by", "f1"),
        (Gate(at_least=70), "at_least: is 70, and micro_f1 is from 0 to 1", "0.6"),
        (Gate(metric="mcnemar_p", better_than="base", at_most=-1), "at_most: is -1", "0.6"),
    ],
)
def test_a_gate_that_nothing_is_judged_by_is_refused_beforehand(gate: Gate, said: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        check_gates([Gate(at_least=0.5), gate])
    assert meant in caught.value.message


def test_every_figure_of_a_verdict_can_be_asked_for_beforehand() -> None:
    metrics = judged(tagger=50, retriever=45)
    names = [field.name for field in fields(metrics.systems["tagger"])]
    gates = [
        Gate(metric=name, at_least=0) for name in names if metrics.systems["tagger"].figure(name) is not None
    ]
    assert len(gates) > 10
    check_gates([*gates, Gate(metric="seconds_per_point", at_most=900), Gate(better_than="retriever")])
    check_gates([Gate(tag="a", metric="recall", at_least=1), Gate(metric="calibration_error", at_most=0)])
    judge(gates, metrics)
