"""What a report says of a run as a whole: its date, how long each stage took, and what the training cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import Metrics

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
        per_point: training time for each point of F1 gained; None without a gain.
        stages: in their order.
    """

    date: str | None
    duration: str
    training: str | None
    tokens: str | None
    per_point: str | None
    stages: Sequence[StageDuration]

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
            per_point=in_words(gain.seconds_per_point) if gain and gain.seconds_per_point else None,
            stages=stages,
        )


def in_words(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> in_words(4000)
        '1 h 7 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _cpu(output: object) -> float | None:
    summary = output.get("summary") if isinstance(output, dict) else None
    value = summary.get("CPU seconds") if isinstance(summary, dict) else None
    return float(value) if isinstance(value, int | float) else None
