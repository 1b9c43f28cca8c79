"""A v1 job's events, one poll at a time, in the terms of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lawtags_client.platform.protocol import JobUpdate
from lawtags_client.services.customizer.events import (
    JobEvent,
    LogWritten,
    MetricRecorded,
    ProgressMade,
    StateChanged,
    WarningIssued,
)
from lawtags_client.types.customizer import CustomizationJob, Hyperparameters

_PEAK = "PeakMemory"
_BYTES = re.compile(r"\((\d{1,15}) bytes\)")


class UpdateReader:
    """Turns the events of each poll into one update.

    Args:
        job: as it was before the first poll.
    """

    def __init__(self, job: CustomizationJob) -> None:
        # Not the job's own status at the time of an event: that has changed before what led to it is told.
        self._status = job.status or "unknown"
        self._hyperparameters = job.hyperparameters
        self._progress: ProgressMade | None = None

    def read(self, events: Sequence[JobEvent]) -> JobUpdate:
        """The update that the events of one poll amount to."""
        for event in events:
            if isinstance(event, ProgressMade):
                self._progress = event
            elif isinstance(event, StateChanged):
                self._status = event.state
        progress = self._progress
        return JobUpdate(
            status=self._status,
            steps=progress.steps if progress else None,
            percentage=progress.percentage if progress else None,
            points=tuple(point for event in events for point in _points(event)),
            messages=tuple(map(str, filter(_is_noted, events))),
            lines=tuple(str(event) for event in events if isinstance(event, LogWritten | WarningIssued)),
            times=tuple(_times(events)),
            total_steps=progress.total_steps if progress else None,
            validate_every=_validate_every(self._hyperparameters, progress),
            peak_memory=next(filter(None, map(_peak_memory, events)), None),
        )


def _peak_memory(event: JobEvent) -> int | None:
    """What the embedded stack logs at the end of a training; the platform itself logs nothing like it."""
    if not isinstance(event, LogWritten) or event.message != _PEAK:
        return None
    found = _BYTES.search(event.detail or "")
    return int(found[1]) if found else None


def _is_noted(event: JobEvent) -> bool:
    return isinstance(event, WarningIssued) or (isinstance(event, LogWritten) and bool(event.detail))


def _points(event: JobEvent) -> tuple[tuple[str, int, float], ...]:
    if isinstance(event, MetricRecorded) and event.step is not None:
        return ((event.series, event.step, event.value),)
    return ()


def _times(events: Iterable[JobEvent]) -> Iterable[tuple[int, float]]:
    for event in events:
        if isinstance(event, MetricRecorded) and event.step is not None and event.at is not None:
            yield event.step, event.at.timestamp()


def _validate_every(planned: Hyperparameters | None, progress: ProgressMade | None) -> int | None:
    per_epoch = progress.steps_per_epoch if progress else None
    if not per_epoch:
        return None
    interval = planned.val_check_interval if planned else None
    return steps_between_validations(interval, per_epoch, progress.total_steps if progress else None)


def steps_between_validations(interval: float | None, per_epoch: int, steps: int | None = None) -> int:
    """Steps between two validations, by the hyperparameter ``val_check_interval``.

    A job that ends before the first one validates before its last step, and after it, as every job does.

    Args:
        interval: steps, or a share of an epoch from 0 to 1; None for one epoch.
        per_epoch: steps of an epoch.
        steps: of the whole job, if known.
    """
    every = _interval(interval, per_epoch)
    return every if steps is None or steps >= every else max(steps - 1, 1)


def _interval(interval: float | None, per_epoch: int) -> int:
    if interval is None or interval <= 0:
        return per_epoch
    if isinstance(interval, float) and interval <= 1:
        return max(int(per_epoch * interval), 1)
    return min(int(interval), per_epoch)
