"""What a trainer reports, as the status of its job shows it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lawtags_stack.services.customizer.points import (
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
)

Document = dict[str, Any]

_SERIES = {
    "train": {"value": TRAIN_LOSS, "accuracy": TRAIN_ACCURACY},
    "validation": {"value": VALIDATION_LOSS, "accuracy": VALIDATION_ACCURACY},
}


class EventTail:
    """Reads the events of one worker's file as they come; a line that is still being written waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def __iter__(self) -> Iterator[Document]:
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


def points_of(events: Iterable[Document]) -> list[tuple[str, int, str, float]]:
    """The points of the metric series among events."""
    return [
        (series, event["step"], event["at"], event[field])
        for event in events
        for field, series in _SERIES.get(event["event"], {}).items()
        if field in event
    ]


def applied(document: Document, events: Iterable[Document], now: datetime) -> Document:
    """A stored job after its worker's events.

    The share that is done counts whole epochs, as the platform's does: it moves in jumps, and stays at zero
    during the first epoch.
    """
    job, details = dict(document["job"]), dict(document["details"])
    details["status_logs"] = [*details["status_logs"]]
    epochs = job["hyperparameters"]["epochs"]
    for event in events:
        kind = event["event"]
        if kind == "phase":
            _log(details, event["at"], event["name"], event.get("detail"))
        elif kind == "data":
            details["steps_per_epoch"] = event["steps_per_epoch"]
            rows = f"{event['training_rows']} training and {event['validation_rows']} validation rows"
            _log(details, event["at"], "DatasetReady", f"{rows}, {event['steps']} steps")
        elif kind == "warning":
            job["warnings"] = _with_warning(job["warnings"], event)
        elif kind == "validation":
            details["best_epoch"] = event["best_epoch"]
            details["train_loss"] = event["best_train_loss"]
            details["val_loss"] = event["best_loss"]
        elif kind == "early_stop":
            _log(details, event["at"], "EarlyStopping", f"no improvement; stopped at step {event['step']}")
        elif kind == "progress":
            details["steps_completed"] = event["steps"]
            details["epochs_completed"] = event["epochs"]
            details["percentage_done"] = round(100.0 * event["epochs"] / epochs, 2)
    started = document["work"]["started_at"]
    if started is not None:
        begun = datetime.fromisoformat(started).replace(tzinfo=UTC)
        details["elapsed_time"] = round((now - begun).total_seconds(), 3)
    details["updated_at"] = now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return {**document, "job": {**job, "updated_at": details["updated_at"]}, "details": details}


def planned_steps(document: Document) -> int | None:
    """The optimizer steps of a stored job; None until its rows are counted."""
    per_epoch, planned = document["details"]["steps_per_epoch"], document["job"]["hyperparameters"]
    if per_epoch is None:
        return None
    steps = int(per_epoch * planned["epochs"])
    most = planned.get("max_steps") or 0
    return min(steps, int(most)) if most > 0 else steps


def _log(details: Document, at: str, message: str, detail: str | None) -> None:
    details["status_logs"].append({"updated_at": at, "message": message, "detail": detail})


def _with_warning(warnings: list[Document] | None, event: Document) -> list[Document]:
    warning = {"message": event["message"], "explanation": event.get("explanation")}
    known = warnings or []
    # A resumed run warns again.
    return known if warning in known else [*known, warning]
