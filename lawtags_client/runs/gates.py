"""Whether a verdict passes the gates of its recipe, on one split or over repeated ones."""

from __future__ import annotations

from collections.abc import Sequence

from lawtags_client.errors import ConfigurationError, GateNotPassedError, RecipeError, RowsFailedError
from lawtags_client.runs.metrics import Difference, JudgedGate, Metrics
from lawtags_client.runs.outputs import EvaluateOutput
from lawtags_client.runs.planning.rates import HourlyPrice
from lawtags_client.runs.recipe import Gate
from lawtags_client.runs.recipe_faults import CORRECT, RecipeFault, nearest
from lawtags_client.runs.repeats import RepeatedDifference, RepeatedVerdict
from lawtags_client.runs.verdict import COMPARED, SYSTEMS, in_words, remedy

CALIBRATION_ERROR, MCNEMAR = "calibration_error", "mcnemar_p"
SECONDS_PER_POINT, PRICE_PER_POINT = "seconds_per_point", "price_per_point"
"""Figures that a gate may be about, besides those of a system."""

_OF_A_TAG = ("f1", "precision", "recall")
_OTHERS = (CALIBRATION_ERROR, MCNEMAR, SECONDS_PER_POINT, PRICE_PER_POINT)
_SHARES = (
    *(f"{average}_{name}" for average in ("micro", "macro", "samples") for name in _OF_A_TAG),
    "exact_match",
)
_COUNTS = ("rows", "tags_per_row", "failed", "refused")
_FROM_0_TO_1 = frozenset({*_SHARES, *_OF_A_TAG, CALIBRATION_ERROR, MCNEMAR})
# What only the verdict on the run's own split has.
_OF_ONE_SPLIT = frozenset(_OTHERS)


def check_gates(gates: Sequence[Gate]) -> None:
    """Refuse gates that no verdict can be judged by, before anything is paid for.

    Args:
        gates: of a recipe.

    Raises:
        RecipeError: one names no system or figure, or its bound is out of the figure's range.
    """
    for number, gate in enumerate(gates):
        if (fault := gate_fault(gate, number)) is not None:
            raise RecipeError([fault.told("the recipe", {})], hint=CORRECT)


def gate_fault(gate: Gate, number: int) -> RecipeFault | None:
    """Why no verdict can be judged by a gate; None if one can.

    Args:
        gate: of a recipe.
        number: its index in the list.
    """
    for key, name in (("system", gate.system), ("better_than", gate.better_than)):
        if name is not None and name not in SYSTEMS:
            return _unknown(number, key, "there is no such system", name, list(SYSTEMS))
    if gate.better_than is not None and gate.metric != MCNEMAR:
        figures: Sequence[str] = COMPARED
    else:
        figures = _OF_A_TAG if gate.tag is not None else (*_SHARES, *_COUNTS, *_OTHERS)
    if gate.metric not in figures:
        return _unknown(number, "metric", "there is no such figure to judge by", gate.metric, figures)
    for side, bound in (("at_least", gate.at_least), ("at_most", gate.at_most)):
        if bound is not None and gate.metric in _FROM_0_TO_1 and not 0 <= bound <= 1:
            return RecipeFault(
                ("gates", number, side), f"is {bound:g}, and {gate.metric} is from 0 to 1, such as 0.6"
            )
    return None


def _unknown(number: int, key: str, message: str, asked: str, known: Sequence[str]) -> RecipeFault:
    return RecipeFault(
        ("gates", number, key),
        f"{message}: {asked!r}; known: {', '.join(known)}",
        meant=nearest(asked, known),
    )


def judge(gates: Sequence[Gate], metrics: Metrics) -> list[JudgedGate]:
    """Check the verdict on one split against a recipe's gates, in their order.

    Raises:
        ConfigurationError: a gate names a system or metric that the verdict lacks.
    """
    return [_judge(gate, metrics) for gate in gates]


def judge_repeats(
    gates: Sequence[Gate], verdicts: Sequence[Metrics], pooled: RepeatedVerdict
) -> list[JudgedGate]:
    """Check the verdict over repeated splits against a recipe's gates, in their order.

    A gate on a system that is not repeated is judged on the run's own split.

    Args:
        gates: of the recipe.
        verdicts: of each repeat, that of the run's own split first.
        pooled: the verdict over all of them, with the differences that the gates are about.

    Raises:
        ConfigurationError: a gate names a system or metric that the verdicts lack.
    """
    return [_judge_repeats(gate, verdicts, pooled) for gate in gates]


def gates_of(metrics: Metrics, repeats: RepeatedVerdict | None) -> tuple[JudgedGate, ...]:
    """The judged gates of a run: those over repeated splits if there are any."""
    # A verdict of an older release has judged none over its splits.
    return repeats.gates if repeats is not None and repeats.gates else metrics.gates


def require(judged: Sequence[JudgedGate]) -> None:
    """Raise if a gate is not passed.

    Raises:
        GateNotPassedError: names each of them.
    """
    missed = [f"{gate.gate}: {gate.found}" for gate in judged if not gate.passed]
    if missed:
        raise GateNotPassedError("gate not passed: " + "; ".join(missed))


def require_verdict(evaluated: EvaluateOutput, repeats: RepeatedVerdict | None = None) -> None:
    """Raise if a run has no verdict, or does not pass its gates.

    Args:
        evaluated: the output of the evaluate stage.
        repeats: the verdict over repeated splits, if there is one; its gates count then.

    Raises:
        RowsFailedError: too many rows have no answer; says what to do.
        GateNotPassedError: a gate is not passed.
    """
    incomplete = evaluated.incomplete
    if incomplete:
        raise RowsFailedError(
            "there is no verdict: " + "; ".join(in_words(entry) for entry in incomplete),
            hint=remedy(incomplete),
        )
    require(repeats.gates if repeats is not None and repeats.gates else evaluated.gates)


def _judge(gate: Gate, metrics: Metrics, *, why: str = "") -> JudgedGate:
    over = f" on one split, since {why}" if why else ""
    if gate.metric == MCNEMAR:
        return _judged_questions(gate, metrics, over)
    value = _figure(gate, metrics)
    if value is None:
        found = f"no gain over the best system without a language model is shown{over}"
        return JudgedGate(gate=_in_words(gate), found=found, passed=False)
    return _judged(gate, value, over, metrics.differences, _lost(gate, metrics))


def _judge_repeats(gate: Gate, verdicts: Sequence[Metrics], pooled: RepeatedVerdict) -> JudgedGate:
    if gate.tag is not None or gate.metric in _OF_ONE_SPLIT:
        return _judge(gate, verdicts[0], why=f"{gate.metric} is not averaged over {pooled.counted}")
    named = [gate.system, *([gate.better_than] if gate.better_than else [])]
    single = [name for name in named if name not in pooled.systems]
    if not single:
        value = sum(_figure(gate, each) or 0.0 for each in verdicts) / len(verdicts)
        return _judged(gate, value, f" on average over {pooled.counted}", pooled.differences)
    lost = [
        f"{reason} in repeat {number}"
        for number, each in enumerate(verdicts, 1)
        for reason in _lost(gate, each)
    ]
    if lost and all(name in each.systems for each in verdicts for name in single):
        # The split whose rows all have an answer must not stand for the others.
        found = f"no figure over {pooled.counted}, since {' and '.join(lost)}"
        return JudgedGate(gate=_in_words(gate), found=found, passed=False)
    are = "is" if len(single) == 1 else "are"
    return _judge(gate, verdicts[0], why=f"{' and '.join(single)} {are} not repeated")


def _judged(
    gate: Gate,
    value: float,
    over: str,
    differences: Sequence[Difference | RepeatedDifference],
    lost: Sequence[str] = (),
) -> JudgedGate:
    found, passed = f"{value:.3f}{over}", not lost
    passed = passed and _is_within(gate, value)
    if gate.better_than is not None:
        low, high = _interval(gate, differences)
        found += f", difference in [{low:+.3f}, {high:+.3f}]"
        passed = passed and low > 0
    return JudgedGate(gate=_in_words(gate), found=", but ".join([found, *lost]), passed=passed)


def _judged_questions(gate: Gate, metrics: Metrics, over: str) -> JudgedGate:
    """The gate on McNemar's p: small enough, and more questions won than lost."""
    for row in metrics.questions:
        if {row.a, row.b} == {gate.system, gate.better_than}:
            won, lost = (row.won, row.lost) if row.a == gate.system else (row.lost, row.won)
            found = f"{row.p_value:.3g}{over}, {won} questions won and {lost} lost"
            passed = won > lost and _is_within(gate, row.p_value) and not _lost(gate, metrics)
            return JudgedGate(gate=_in_words(gate), found=found, passed=passed)
    if _lost(gate, metrics):
        found = ", ".join(_lost(gate, metrics))
        return JudgedGate(gate=_in_words(gate), found=found, passed=False)
    raise ConfigurationError(
        f"gate on {MCNEMAR}: {gate.system} is not compared with {gate.better_than or 'any system'}",
        hint=f"Set better_than to another system of the verdict: {', '.join(metrics.systems)}.",
    )


def _is_within(gate: Gate, value: float) -> bool:
    # Of what is not a number, both comparisons are false.
    above = gate.at_least is None or value >= gate.at_least
    return above and (gate.at_most is None or value <= gate.at_most)


def _in_words(gate: Gate) -> str:
    words = [gate.system, *([f"tag {gate.tag}"] if gate.tag is not None else []), gate.metric]
    if gate.at_least is not None:
        words.append(f">= {gate.at_least:g}")
    if gate.at_most is not None:
        words.append(f"<= {gate.at_most:g}")
    if gate.better_than is not None:
        words.append(f"better than {gate.better_than}")
    return " ".join(words)


def _figure(gate: Gate, metrics: Metrics) -> float | None:
    """The value that a gate is about; None for a cost per gain where no gain is shown."""
    gain = metrics.language_model
    if gate.metric == SECONDS_PER_POINT and gain is not None:
        return gain.seconds_per_point
    if gate.metric == PRICE_PER_POINT and gain is not None:
        return gain.price_per_point
    value = _plain_figure(gate, metrics)
    if value is None:
        place = gate.system if gate.tag is None else f"{gate.system}, tag {gate.tag}"
        figures = (
            ("f1", "precision", "recall") if gate.tag is not None else (*COMPARED, "exact_match", *_OTHERS)
        )
        raise ConfigurationError(
            f"gate on {place}.{gate.metric}: the verdict has no such figure",
            hint=f"Systems: {', '.join(metrics.systems)}. Figures: {', '.join(figures)}, …",
        )
    return value


def require_price(hourly: HourlyPrice | None) -> None:
    """Refuse a gate on the price where nothing says what an hour costs.

    Args:
        hourly: the price of an hour of the job.

    Raises:
        ConfigurationError: there is none.
    """
    if hourly is None:
        raise ConfigurationError(
            f"gate on {PRICE_PER_POINT}: the recipe has no price per hour",
            hint="Set hardware.price_per_gpu_hour, or hardware.price_per_machine_hour without a GPU.",
        )


def _plain_figure(gate: Gate, metrics: Metrics) -> float | None:
    if gate.tag is not None:
        for score in metrics.per_tag.get(gate.system, ()):
            if score.tag == gate.tag and gate.metric in _OF_A_TAG:
                return float(getattr(score, gate.metric))
        return None
    if gate.metric == CALIBRATION_ERROR:
        found = metrics.calibration.get(gate.system)
        return found.ece if found else None
    figures = metrics.systems.get(gate.system)
    return figures.figure(gate.metric) if figures else None


def _lost(gate: Gate, metrics: Metrics) -> list[str]:
    return [
        in_words(entry) for entry in metrics.incomplete if entry.system in (gate.system, gate.better_than)
    ]


def _interval(gate: Gate, differences: Sequence[Difference | RepeatedDifference]) -> tuple[float, float]:
    for row in differences:
        if (row.a, row.b, row.metric) == (gate.system, gate.better_than, gate.metric):
            return row.low, row.high
    raise ConfigurationError(
        f"gate: {gate.system} is not compared with {gate.better_than} by {gate.metric}",
        hint=f"A system is compared with those after it: {', '.join(SYSTEMS)}; by {', '.join(COMPARED)}.",
    )
