"""A v1 job's events, one poll at a time, in the terms of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lawtags_client.platform.protocol import JobUpdate
from lawtags_client.platform.validations import HELD_OUT_SHARE, steps_between_validations, validation_cost
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
        validation_share: validation rows per training row.
    """

    def __init__(self, job: CustomizationJob, *, validation_share: float = HELD_OUT_SHARE) -> None:
        # Not the job's own status at the time of an event: that has changed before what led to it is told.
        self._status = job.status or "unknown"
        self._hyperparameters = job.hyperparameters
        self._validation_share = validation_share
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
            validation_cost=self._validation_cost(),
            peak_memory=next(filter(None, map(_peak_memory, events)), None),
        )

    def _validation_cost(self) -> float | None:
        per_epoch, wanted = self._progress and self._progress.steps_per_epoch, self._hyperparameters
        if not per_epoch or wanted is None or not wanted.batch_size:
            return None
        rows = self._validation_share * per_epoch * wanted.batch_size
        return validation_cost(wanted.finetuning_type, rows, wanted.batch_size)


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
