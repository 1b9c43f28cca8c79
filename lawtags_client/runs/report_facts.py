"""What a report says of a run as a whole: its date, how long each stage took, and what the training cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lawtags_client.runs.estimate_and_fact import EstimateAndFact, estimates_and_facts
from lawtags_client.runs.language_model import cost_per_point
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import Metrics
from lawtags_client.runs.quantities import in_words, money

_LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDuration:
    """How long a stage took.

    Attributes:
        stage: its name.
        seconds: of its last attempt.
        cpu_seconds: of this machine; None if that is not recorded.
        share: of the longest stage, from 0 to 1.
    """

    stage: str
    seconds: float
    cpu_seconds: float | None
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """Date, duration and cost of a run, in words where there is a unit.

    Attributes:
        date: on which the run began; None if no stage has.
        duration: of all stages.
        training: of the training job, with what waiting it includes; None if unknown.
        tokens: that the training saw; None if unknown.
        price: of the training; None without a price per hour in the recipe.
        per_point: price of the training for each point of F1 gained, or its time; None without a gain.
        stages: in their order.
        estimates: what the plan expected, and what came of it.
    """

    date: str | None
    duration: str
    training: str | None
    tokens: str | None
    price: str | None
    per_point: str | None
    stages: Sequence[StageDuration]
    estimates: Sequence[EstimateAndFact]

    @classmethod
    def read(cls, folder: Path, metrics: Metrics) -> RunFigures:
        """Read them from the ledger of a run.

        Args:
            folder: of the run.
            metrics: its verdict.
        """
        records = [each for each in Ledger(folder / _LEDGER).stages() if each.seconds is not None]
        longest = max((each.seconds or 0.0 for each in records), default=0.0) or 1.0
        stages = [
            StageDuration(
                stage=each.name,
                seconds=each.seconds or 0.0,
                cpu_seconds=_cpu(each.output),
                share=(each.seconds or 0.0) / longest,
            )
            for each in records
        ]
        gain = metrics.language_model
        cost = gain.training if gain else None
        began = min((each.started_at for each in records), default=None)
        return cls(
            date=datetime.fromisoformat(began).strftime("%B %-d, %Y") if began else None,
            duration=in_words(sum(each.seconds for each in stages)),
            training=in_words(cost.seconds) if cost and cost.seconds is not None else None,
            tokens=f"{cost.tokens:,}" if cost and cost.tokens is not None else None,
            price=money(cost.price, cost.currency) if cost and cost.price is not None else None,
            per_point=cost_per_point(gain) if gain else None,
            stages=stages,
            estimates=estimates_and_facts(folder),
        )


def _cpu(output: object) -> float | None:
    summary = output.get("summary") if isinstance(output, dict) else None
    value = summary.get("CPU seconds") if isinstance(summary, dict) else None
    return float(value) if isinstance(value, int | float) else None
