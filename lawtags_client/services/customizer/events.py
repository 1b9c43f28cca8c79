"""What a job tells while it runs, as typed events without repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from lawtags_client.types.common import is_final
from lawtags_client.types.customizer import CustomizationStatusDetails, Hyperparameters, JobWarning


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The job's state changed; ``final`` says whether it is the last one."""

    state: str
    before: str | None
    final: bool

    def __str__(self) -> str:
        return f"state {self.state}" + (f" (was {self.before})" if self.before else "")


@dataclass(frozen=True, slots=True)
class ProgressMade:
    """Steps and epochs done.

    Attributes:
        steps: optimizer steps done.
        steps_per_epoch: optimizer steps of one epoch.
        epochs: whole epochs done.
        percentage: as the service reports it: whole epochs done, so 0 during the first one.
        total_steps: optimizer steps of the whole job; it may stop early with fewer.
        total_epochs: epochs of the whole job.
        share: steps done, in percent of all steps; the service's percentage if steps are unknown.
    """

    steps: int | None
    steps_per_epoch: int | None
    epochs: int | None
    percentage: float | None
    total_steps: int | None = None
    total_epochs: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, details: CustomizationStatusDetails, planned: Hyperparameters | None = None) -> ProgressMade:
        """The progress in a status.

        Args:
            details: the status.
            planned: the job's hyperparameters.
        """
        steps, per_epoch = details.steps_completed, details.steps_per_epoch
        epochs = planned.epochs if planned else None
        total = epochs * per_epoch if epochs and per_epoch else None
        most = planned.max_steps if planned else None
        if total and most and most > 0:
            total = min(total, most)
        share = details.percentage_done
        if total and steps is not None:
            share = round(min(100.0 * steps / total, 100.0), 1)
        return cls(steps, per_epoch, details.epochs_completed, details.percentage_done, total, epochs, share)

    def __str__(self) -> str:
        told = [f"step {self.steps}" + (f" of {self.total_steps}" if self.total_steps else "")]
        if self.share or self.total_steps:
            told.append(f"{self.share or 0:g} %")
        if self.epochs is not None:
            told.append(f"{self.epochs}{f' of {self.total_epochs}' if self.total_epochs else ''} epochs done")
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class MetricRecorded:
    """A new point of a metric such as ``train_loss``; the value may be NaN if training diverged."""

    series: str
    step: int | None
    value: float
    at: datetime | None = None

    def __str__(self) -> str:
        shown = "diverged" if self.value != self.value else f"{self.value:.4f}"
        return f"{self.series} {shown} at step {self.step}"


@dataclass(frozen=True, slots=True)
class LogWritten:
    """A new line of the job's history."""

    message: str
    detail: str | None = None
    at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.message}: {self.detail}" if self.detail else self.message


@dataclass(frozen=True, slots=True)
class WarningIssued:
    """A warning of the service about the job, such as a setting that has no effect."""

    message: str
    explanation: str | None = None

    @classmethod
    def of(cls, warning: JobWarning) -> WarningIssued:
        """The event of a warning in a job."""
        return cls(warning.message or "no text", warning.explanation)

    def __str__(self) -> str:
        return f"Warning: {self.message}" + (f": {self.explanation}" if self.explanation else "")


JobEvent: TypeAlias = StateChanged | ProgressMade | MetricRecorded | LogWritten | WarningIssued

_SERIES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")


@dataclass(slots=True)
class EventLog:
    """Turns one status after another into what is new in it.

    Args:
        planned: the job's hyperparameters, which say how many epochs and steps it has.
    """

    planned: Hyperparameters | None = None
    state: str | None = None
    _progress: ProgressMade | None = None
    _points: set[tuple[str, int | None]] = field(default_factory=set)
    _lines: Counter[tuple[datetime | None, str | None, str | None]] = field(default_factory=Counter)
    _warnings: set[WarningIssued] = field(default_factory=set)

    def update(self, details: CustomizationStatusDetails, state: str | None) -> list[JobEvent]:
        """What a status says that was not said before: log lines and points by their time, then the state.

        Progress stands behind the points that belong to it, and before what was logged after them.
        """
        told: list[LogWritten | MetricRecorded] = [*self._new_lines(details), *self._new_points(details)]
        events = _by_time(told)
        progress = ProgressMade.of(details, self.planned)
        if progress != self._progress and any((progress.steps, progress.epochs, progress.percentage)):
            points = [place for place, event in enumerate(events) if isinstance(event, MetricRecorded)]
            events.insert(points[-1] + 1 if points else len(events), progress)
        self._progress = progress
        if state is not None and state != self.state:
            events.append(StateChanged(state, self.state, is_final(state)))
            self.state = state
        return events

    def warn(self, warnings: Iterable[JobWarning]) -> list[JobEvent]:
        """The warnings of a job that were not reported before."""
        given = dict.fromkeys(map(WarningIssued.of, warnings))
        fresh = [warning for warning in given if warning not in self._warnings]
        self._warnings.update(fresh)
        return [*fresh]

    def _new_lines(self, details: CustomizationStatusDetails) -> Iterator[LogWritten]:
        counts: Counter[tuple[datetime | None, str | None, str | None]] = Counter()
        for line in details.status_logs:
            key = (line.updated_at, line.message, line.detail)
            counts[key] += 1
            # The same line may honestly stand there twice.
            if counts[key] > self._lines[key]:
                yield LogWritten(line.message or "", line.detail, line.updated_at)
        self._lines |= counts

    def _new_points(self, details: CustomizationStatusDetails) -> Iterator[MetricRecorded]:
        series = details.metrics.metrics if details.metrics else None
        if series is None:
            return
        for name in _SERIES:
            for point in getattr(series, name):
                key = (name, point.step)
                if point.value is None or key in self._points:
                    continue
                self._points.add(key)
                yield MetricRecorded(name, point.step, point.value, point.timestamp)


def _by_time(events: list[LogWritten | MetricRecorded]) -> list[JobEvent]:
    if any(event.at is None for event in events):
        # Some services give no times.
        return [*events]
    return [*sorted(events, key=lambda event: event.at or datetime.min)]
