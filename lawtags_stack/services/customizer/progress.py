"""Converts a trainer's events to the status of its job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.services.customizer.hyperparameters import planned
from lawtags_stack.services.customizer.points import (
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
)
from lawtags_stack.services.customizer.records import JobDetails, JobRecord, JobWarningRecord
from lawtags_stack.times import naive

_LOSSES = {"train": TRAIN_LOSS, "validation": VALIDATION_LOSS}
_ACCURACIES = {"train": TRAIN_ACCURACY, "validation": VALIDATION_ACCURACY}


def points_of(events: Iterable[TrainerEvent]) -> list[tuple[str, int, str, float]]:
    """The metric points among events."""
    found = []
    for event in events:
        kind = event["event"]
        if kind in _LOSSES and "value" in event:
            found.append((_LOSSES[kind], event["step"], event["at"], event["value"]))
        if kind in _ACCURACIES and "accuracy" in event:
            found.append((_ACCURACIES[kind], event["step"], event["at"], event["accuracy"]))
    return found


def applied(record: JobRecord, events: Iterable[TrainerEvent], now: datetime) -> JobRecord:
    """Apply a worker's events to a stored job.

    As on the platform, the completed share counts whole epochs: it grows in jumps, and stays at zero during
    the first epoch.
    """
    job, details = record.job, record.details
    epochs = planned(job.hyperparameters).epochs
    for event in events:
        if event["event"] == "warning":
            job = replace(job, warnings=_with_warning(job.warnings, event))
            continue
        details = _after(details, event, epochs)
        if precision := event.get("precision"):
            # What the config asks for is not what every device trains in.
            job = replace(job, config_snapshot=replace(job.config_snapshot, precision=precision))
    started = record.work.started_at
    if started is not None:
        begun = datetime.fromisoformat(started).replace(tzinfo=UTC)
        # A clock that is set back makes no time unhappen.
        elapsed = max(round((now - begun).total_seconds(), 3), details.elapsed_time)
        details = replace(details, elapsed_time=elapsed)
    stamp = naive(now)
    return replace(record, job=replace(job, updated_at=stamp), details=replace(details, updated_at=stamp))


def _after(details: JobDetails, event: TrainerEvent, epochs: int) -> JobDetails:
    match event["event"]:
        case "phase":
            return details.logged(event["at"], event["name"], event.get("detail"))
        case "data":
            rows = f"{event['training_rows']} training and {event['validation_rows']} validation rows"
            ready = replace(details, steps_per_epoch=event["steps_per_epoch"])
            return ready.logged(event["at"], "DatasetReady", f"{rows}, {event['steps']} steps")
        case "validation":
            return replace(
                details,
                best_epoch=event["best_epoch"],
                train_loss=event["best_train_loss"],
                val_loss=event["best_loss"],
            )
        case "early_stop":
            why = f"no improvement; stopped at step {event['step']}"
            return details.logged(event["at"], "EarlyStopping", why)
        case "progress":
            return replace(
                details,
                steps_completed=event["steps"],
                epochs_completed=event["epochs"],
                percentage_done=round(100.0 * event["epochs"] / epochs, 2),
            )
    return details


def planned_steps(record: JobRecord) -> int | None:
    """The optimizer steps of a stored job; None until its rows are counted."""
    plan, per_epoch = planned(record.job.hyperparameters), record.details.steps_per_epoch
    if per_epoch is None:
        return None
    steps = per_epoch * plan.epochs
    return min(steps, plan.max_steps) if plan.max_steps > 0 else steps


def _with_warning(warnings: list[JobWarningRecord] | None, event: TrainerEvent) -> list[JobWarningRecord]:
    warning = JobWarningRecord(event["message"], event.get("explanation"))
    known = warnings or []
    # A resumed training repeats its warnings.
    return known if warning in known else [*known, warning]
