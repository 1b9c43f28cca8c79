"""Reports a training in the keys of NVIDIA's own training tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TypeAlias

from lawtags_client.json_value import JsonValue
from lawtags_stack.engines.training.events import TrainerEvent

DEFAULT_SERIES = ("*_loss", "*_lr", "*_grad_norm")
Details: TypeAlias = dict[str, JsonValue]
"""What a task reports; merged key by key on the platform."""

_ALWAYS = ("train_loss", "val_loss")
_PHASES = {
    "EncodingRows": "compiling_config",
    "LoadingModel": "compiling_config",
    "Training": "training",
    "SavingModel": "processing_checkpoint",
}


class TrainingReport:
    """Collects a trainer's events into the details of the training step's task.

    Details are merged key by key on the platform, so a series is sent whole each time, and a new process
    continues the stored ones.

    Args:
        epochs: the epochs of the job.
        stored: the details that the task already has.
        interval: least seconds between reports.
        series: names or wildcards of the metrics whose course is kept; None: losses, learning rate, gradient
            norm.
    """

    def __init__(
        self,
        epochs: int,
        stored: Mapping[str, JsonValue],
        *,
        interval: float,
        series: Iterable[str] | None = None,
    ) -> None:
        self._epochs = epochs
        self._interval = interval
        self._patterns = tuple(DEFAULT_SERIES if series is None else series)
        self._metrics = _stored_series(stored.get("metrics"))
        self._waiting: Details = {}
        self._steps = 0
        self._per_epoch = 1
        self._sent: float | None = None
        self._urgent = False
        self._changed = False

    def add(self, event: TrainerEvent) -> None:
        """Take in one event."""
        match event["event"]:
            case "phase" if event["name"] in _PHASES:
                self._phase(_PHASES[event["name"]], urgent=True)
            case "data":
                self._steps, self._per_epoch = event["steps"], max(event["steps_per_epoch"], 1)
                self._waiting |= {"max_steps": self._steps, "num_epochs": self._epochs}
                self._urgent = True
            case "train":
                self._point("training", "train", event, lr="learning_rate", grad_norm="gradient_norm")
            case "validation":
                self._point("validation", "val", event)
            case "early_stop":
                self._waiting["message"] = f"No improvement; stopped at step {event['step'] + 1}"
            case "done":
                self._waiting |= {"step": event["steps"], "percentage_done": 100}

    def started(self, at: datetime) -> None:
        """Note the start of the training."""
        self._waiting["training_started_at"] = at.astimezone(UTC).isoformat()

    def finished(self, at: datetime, seconds: float) -> None:
        """Note the end of the training, and how long it took by a clock that nobody sets."""
        self._waiting["training_finished_at"] = at.astimezone(UTC).isoformat()
        self._waiting["training_duration_seconds"] = round(seconds, 3)

    def due(self, now: float, *, last: bool = False) -> Details | None:
        """The details to send now; None if there are none, or if the last report was sent too recently.

        Args:
            now: seconds of a monotonic clock.
            last: send them however recent the last report is.
        """
        waited = self._sent is None or now - self._sent >= self._interval
        if not self._waiting or not (last or waited or (self._urgent and self._sent is None)):
            return None
        details, self._waiting = self._waiting, {}
        if self._changed:
            details["metrics"] = {
                name: list(points.values())
                for name, points in self._metrics.items()
                if name in _ALWAYS or points
            }
        self._sent, self._urgent, self._changed = now, False, False
        return details

    def put_back(self, details: Details) -> None:
        """Take back details that could not be sent; newer values win."""
        self._changed = self._changed or "metrics" in details
        self._waiting = {name: value for name, value in details.items() if name != "metrics"} | self._waiting

    def _phase(self, phase: str, *, urgent: bool = False) -> None:
        self._waiting["phase"] = phase
        self._urgent = self._urgent or urgent

    def _point(self, phase: str, prefix: str, event: TrainerEvent, **further: str) -> None:
        # Steps and epochs count from one here.
        step = event["step"] + 1
        epoch = min(event["step"] // self._per_epoch + 1, max(self._epochs, 1))
        self._phase(phase)
        self._waiting |= {"step": step, "epoch": epoch, "percentage_done": self._percentage(step)}
        values: Details = {"loss": event["value"]}
        values |= {name: event[key] for name, key in further.items() if key in event}  # type: ignore[literal-required]
        if "accuracy" in event:
            values["accuracy"] = event["accuracy"]
        for name, value in values.items():
            self._waiting[f"{prefix}_{name}"] = value
            if any(fnmatchcase(f"{prefix}_{name}", pattern) for pattern in self._patterns):
                # A step that is trained again after a crash replaces its point.
                points = self._metrics.setdefault(f"{prefix}_{name}", {})
                points[step] = {"step": step, "epoch": epoch, "value": value}
        self._changed = True

    def _percentage(self, step: int) -> int:
        return min(100, 100 * step // self._steps) if self._steps else 0


def _stored_series(metrics: JsonValue) -> dict[str, dict[int, JsonValue]]:
    found: dict[str, dict[int, JsonValue]] = {name: {} for name in _ALWAYS}
    if not isinstance(metrics, dict):
        return found
    for name, points in metrics.items():
        if isinstance(points, list):
            found[name] = {
                point["step"]: point
                for point in points
                if isinstance(point, dict) and isinstance(point.get("step"), int)
            }
    return found


class TransferReport:
    """Reports a download or an upload, at most once per interval.

    Args:
        phase: such as ``downloading``.
        prefix: of the keys, ``downloaded`` or ``uploaded``.
        interval: least seconds between reports.
    """

    def __init__(self, phase: str, prefix: str, *, interval: float) -> None:
        self._prefix = prefix
        self._interval = interval
        self._waiting: Details = {"phase": phase}
        self._sent: float | None = None

    def note(self, **details: JsonValue) -> None:
        """Note some details."""
        self._waiting |= details

    def bytes(self, done: int, total: int) -> None:
        """Note how far it is."""
        share = 100 * done // total if total else 100
        self._waiting |= {f"{self._prefix}_bytes": done, "total_size": total, "progress_pct": share}

    def due(self, now: float, *, last: bool = False) -> Details | None:
        """See ``TrainingReport.due``."""
        waited = self._sent is None or now - self._sent >= self._interval
        if not self._waiting or not (last or waited):
            return None
        details, self._waiting = self._waiting, {}
        self._sent = now
        return details

    def put_back(self, details: Details) -> None:
        """See ``TrainingReport.put_back``."""
        self._waiting = details | self._waiting
