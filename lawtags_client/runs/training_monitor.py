"""What is known of a training while it runs: its curves, its pace, its end, and whether it overfits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lawtags_client.json_value import JsonObject
from lawtags_client.loss_chart import Curve
from lawtags_client.platform import JobUpdate
from lawtags_client.runs.overfitting import VALIDATION, Overfitting, OverfittingRule, find_overfitting
from lawtags_client.runs.step_timer import StepTimer
from lawtags_client.types.common import is_final

_SHOWN_LINES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """A training at one moment; steps are counted from one.

    Attributes:
        job: its id.
        status: the job's state.
        steps: optimizer steps done.
        total_steps: of the whole job, if known; it may stop early with fewer.
        seconds_left: until the last step; None if that is not known yet.
        steps_per_second: the pace, validations included.
        tokens_per_second: training tokens, if their number is known.
        curves: ``(step, value)`` points by series.
        lines: the newest log lines.
        overfitting: set if the model overfits.
    """

    job: str
    status: str
    steps: int
    total_steps: int | None = None
    seconds_left: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    overfitting: Overfitting | None = None

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of the lowest validation loss."""
        # What is not a number is never the lowest.
        points = [point for point in self.curves.get(VALIDATION, ()) if point[1] == point[1]]
        return min(points, key=lambda point: point[1], default=None)

    def words(self) -> str:
        """Losses, pace and remaining time in one line."""
        told = [
            f"{name.replace('_', ' ')} {_value(curve[-1][1])}" for name, curve in self.curves.items() if curve
        ]
        if self.tokens_per_second:
            told.append(f"{self.tokens_per_second:,.0f} tokens/s")
        elif self.steps_per_second:
            told.append(pace_words(self.steps_per_second))
        if self.seconds_left is not None:
            told.append(f"{duration_words(self.seconds_left)} left")
        return ", ".join(told)

    def as_json(self) -> JsonObject:
        """Its figures, without curves and lines."""
        return {
            "job": self.job,
            "status": self.status,
            "steps": self.steps,
            "total_steps": self.total_steps,
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
            "steps_per_second": _rounded(self.steps_per_second),
            "tokens_per_second": _rounded(self.tokens_per_second),
            "last": {name: curve[-1][1] for name, curve in self.curves.items() if curve},
            "overfitting": str(self.overfitting) if self.overfitting else None,
        }


class TrainingMonitor:
    """Takes in the signs of life of a training.

    Args:
        job: its id.
        timer: measures its pace.
        tokens_per_step: training tokens of an optimizer step, if known.
        rule: when the training counts as overfitting; None to ignore it.
        clock: seconds.
    """

    def __init__(
        self,
        job: str,
        *,
        timer: StepTimer | None = None,
        tokens_per_step: float | None = None,
        rule: OverfittingRule | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._job = job
        self._timer = timer or StepTimer()
        self._tokens_per_step = tokens_per_step
        self._rule = rule
        self._clock = clock
        self._status = "unknown"
        self._steps = 0
        self._points: dict[str, dict[int, float]] = {}
        self._lines: deque[str] = deque(maxlen=_SHOWN_LINES)
        self.overfitting: Overfitting | None = None
        self._announced = False

    def update(self, sign: JobUpdate) -> Overfitting | None:
        """Take in a sign of life.

        Returns:
            The finding that the training overfits, the first time that it does.
        """
        now = self._clock()
        self._status = sign.status
        self._lines.extend(sign.lines)
        if sign.total_steps is not None:
            self._timer.total = sign.total_steps
        if sign.validate_every is not None:
            self._timer.validate_every = sign.validate_every
        # Who plans a job knows its rows; a platform tells their share at best.
        if sign.validation_cost is not None and not self._timer.validation_cost:
            self._timer.validation_cost = sign.validation_cost
        for metric, step, value in sign.points:
            self._points.setdefault(metric, {})[step + 1] = value
            if metric == VALIDATION:
                self._timer.validated(step + 1)
        for step, at in sorted(sign.times):
            self._timer.record(step + 1, now=now, at=at)
        if sign.steps is not None:
            self._steps = sign.steps
            if sign.steps > 0 and sign.steps > self._timer.steps:
                self._timer.record(sign.steps, now=now)
        return self._judge()

    def _judge(self) -> Overfitting | None:
        if self._rule is None:
            return None
        self.overfitting = find_overfitting(self.curves(), self._rule)
        if self.overfitting is None or self._announced:
            return None
        self._announced = True
        return self.overfitting

    def curves(self) -> dict[str, Curve]:
        """Points by series, by rising step."""
        return {name: sorted(points.items()) for name, points in sorted(self._points.items())}

    def state(self) -> TrainingState:
        """The training at this moment."""
        pace = self._timer.steps_per_second()
        return TrainingState(
            job=self._job,
            status=self._status,
            steps=max(self._steps, self._timer.steps),
            total_steps=self._timer.total,
            seconds_left=None if is_final(self._status) else self._timer.seconds_left(self._clock()),
            steps_per_second=pace,
            tokens_per_second=pace * self._tokens_per_step if pace and self._tokens_per_step else None,
            curves=self.curves(),
            lines=tuple(self._lines),
            overfitting=self.overfitting,
        )


def duration_words(seconds: float) -> str:
    """A duration as ``2:05`` or ``1:02:05``, rounded up to seconds."""
    whole = int(seconds) + (seconds > int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pace_words(steps_per_second: float) -> str:
    """A pace in the unit that leaves figures above one."""
    if steps_per_second >= 1:
        return f"{steps_per_second:.1f} steps/s"
    return f"{1 / steps_per_second:.1f} s/step"


def _value(value: float) -> str:
    return f"{value:.4f}" if value == value and abs(value) != float("inf") else "diverged"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
