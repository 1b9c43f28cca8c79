"""Compares the tagger with the best system without a language model."""

from __future__ import annotations

from dataclasses import replace

from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import Difference, LanguageModelGain, Metrics, TrainingCost
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.quantities import in_words, money
from lawtags_client.runs.series import StoppedTraining
from lawtags_client.runs.verdict import reading
from lawtags_client.terminal import escape_controls

WITH_LANGUAGE_MODEL = ("tagger", "tuned", "base")
"""The systems that use a language model."""

_FIGURE = "micro_f1"


def language_model_gain(metrics: Metrics, cost: TrainingCost | None = None) -> LanguageModelGain | None:
    """Compare the tagger with the best system without a language model, by micro F1.

    The best system is chosen on the test rows, which favors it; the sentence says so. Of equal systems, the
    simplest is chosen.

    Args:
        metrics: the verdict.
        cost: cost of the training, if known.

    Returns:
        None if the verdict has no tagger, or no other system.
    """
    rivals = [name for name in metrics.systems if name not in WITH_LANGUAGE_MODEL]
    rows = {row.b: row for row in metrics.differences if (row.a, row.metric) == ("tagger", _FIGURE)}
    # The simpler systems come later.
    rival = max(reversed(rivals), key=lambda name: metrics.systems[name].micro_f1, default=None)
    if rival is None or rival not in rows:
        return None
    row = rows[rival]
    found = LanguageModelGain(
        rival=rival,
        rivals=len(rivals),
        metric=_FIGURE,
        difference=row.difference,
        low=row.low,
        high=row.high,
        reading=reading(row),
        training=cost,
        sentence="",
    )
    return replace(
        found,
        sentence=_sentence(metrics, row, len(rivals), cost),
        seconds_per_point=_per_point(row, cost.seconds if cost else None),
        price_per_point=_per_point(row, cost.price if cost else None),
    )


def cost_per_point(gain: LanguageModelGain) -> str | None:
    """What a point of F1 cost, in money where a price is known; None without a gain that is shown."""
    if gain.price_per_point is not None and gain.training is not None:
        return money(gain.price_per_point, gain.training.currency)
    return None if gain.seconds_per_point is None else in_words(gain.seconds_per_point)


def _per_point(row: Difference, cost: float | None) -> float | None:
    """Seconds or money per .01 of F1, if a gain is shown."""
    if cost is None or reading(row) != "better":
        return None
    return cost / (100 * row.difference)


def language_model_in_words(metrics: Metrics) -> list[str]:
    """One sentence on whether the language model paid for itself; empty if unknown."""
    found = metrics.language_model or language_model_gain(metrics)
    return [] if found is None else [escape_controls(found.sentence)]


def training_cost(ledger: Ledger, plan: JobPlan, stopped: StoppedTraining | None = None) -> TrainingCost:
    """The cost of a run's training job.

    The time is unknown if the job was followed in several attempts, because it may have run between them.

    Args:
        ledger: of the run.
        plan: of the job.
        stopped: the job that was stopped before the one whose model is kept, if there was one.
    """
    record = ledger.finished("customize")
    watched = record is not None and ledger.attempts(record) == 1
    rows, seen = plan.rows.get("training"), plan.rows_seen
    tokens = round(plan.tokens.training_total * seen / rows) if rows and seen else None
    if stopped is not None and tokens is not None:
        # The plan is that of the job that was stopped; both jobs together took fewer steps.
        tokens = round(tokens * (stopped.planned - stopped.steps_saved) / stopped.planned)
    seconds = record.seconds if record and watched else None
    if seconds is None or plan.hourly is None:
        return TrainingCost(seconds=seconds, tokens=tokens)
    hourly = plan.hourly
    return TrainingCost(
        seconds=seconds, tokens=tokens, price=hourly.of_seconds(seconds), currency=hourly.currency
    )


def _sentence(metrics: Metrics, row: Difference, rivals: int, cost: TrainingCost | None) -> str:
    name, found = row.b, reading(row)
    if found == "not judged":
        return (
            "It is not known whether the language model paid for itself, since too many rows have no answer."
        )
    mine, other = (f"{metrics.systems[system].micro_f1:.3f}" for system in (row.a, row.b))
    gain = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
    best = (
        f"{name} is the best of {rivals} systems without one, chosen on these {metrics.test_rows} rows, "
        "which favors it"
        if rivals > 1
        else f"{name} is the only system without one"
    )
    spent = _spent(cost)
    if found == "better":
        price = f" for {spent}" if spent else ""
        if cost is not None and (seconds := _per_point(row, cost.seconds)) is not None:
            amount = _per_point(row, cost.price)
            paid = "" if amount is None else f" or {money(amount, cost.currency)}"
            price += f", which is {seconds:,.0f} s{paid} per point"
        return (
            f"The language model paid for itself: it adds {gain} micro F1{price} "
            f"(tagger {mine}, {name} {other}; {best})."
        )
    # Most of the difference may be that of other parts: the model has no share in it where it changes no tag.
    alike = _same_tags(metrics)
    differs = f"the tagger's micro F1 differs by {gain}" + (
        "" if alike is None else ", with the same tags" if alike == name else f", with the tags of {alike}"
    )
    price = f", and the language model cost {spent}" if spent else ""
    if found == "worse":
        return (
            f"{name} is better without a language model, which did not pay for itself: {differs}{price} "
            f"({name} {other}, tagger {mine}; {best})."
        )
    return (
        f"{name} is as good without a language model, as far as {metrics.test_rows} test rows can show: "
        f"{differs}{price} ({name} {other}, tagger {mine}; {best})."
    )


def _same_tags(metrics: Metrics) -> str | None:
    """What the tagger is without its model, if it gives the same tags: it has left the model out."""
    rest = "blend" if "blend" in metrics.systems else "retriever"
    rows = [row for row in metrics.differences if (row.a, row.b) == ("tagger", rest)]
    return rest if rows and all(row.low == row.difference == row.high == 0 for row in rows) else None


def _spent(cost: TrainingCost | None) -> str:
    if cost is None:
        return ""
    tokens = None if cost.tokens is None else f"about {_rounded(cost.tokens):,} tokens"
    if cost.seconds is None:
        return "" if tokens is None else f"training on {tokens}"
    paid = "" if cost.price is None else f" ({money(cost.price, cost.currency)})"
    return f"a training job of {cost.seconds:,.0f} s{paid}" + ("" if tokens is None else f" over {tokens}")


def _rounded(tokens: int) -> int:
    """To three significant digits."""
    return round(tokens, 3 - len(str(tokens)))
