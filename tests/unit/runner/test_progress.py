from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.runner.progress import TrainingReport, TransferReport


def train(step: int, value: float) -> TrainerEvent:
    return {"event": "train", "step": step, "value": value, "learning_rate": 1e-4, "gradient_norm": 0.5}


def report(stored: dict[str, Any] | None = None, **settings: Any) -> TrainingReport:
    made = TrainingReport(2, stored or {}, **({"interval": 10.0} | settings))
    made.add({"event": "data", "steps": 4, "steps_per_epoch": 2, "training_rows": 8, "validation_rows": 1})
    return made


def test_reports_have_the_keys_of_nvidia_and_whole_series() -> None:
    made = report()
    made.add({"event": "phase", "name": "Training"})
    assert made.due(0.0) == {"phase": "training", "max_steps": 4, "num_epochs": 2}
    made.add(train(0, 2.0))
    made.add(train(1, 1.5))
    made.add({"event": "validation", "step": 1, "value": 1.7})
    assert made.due(9.9) is None
    details = made.due(10.0)
    assert details == {
        "phase": "validation",
        "step": 2,
        "epoch": 1,
        "percentage_done": 50,
        "train_loss": 1.5,
        "train_lr": 1e-4,
        "train_grad_norm": 0.5,
        "val_loss": 1.7,
        "metrics": {
            "train_loss": [{"step": 1, "epoch": 1, "value": 2.0}, {"step": 2, "epoch": 1, "value": 1.5}],
            "val_loss": [{"step": 2, "epoch": 1, "value": 1.7}],
            "train_lr": [{"step": step, "epoch": 1, "value": 1e-4} for step in (1, 2)],
            "train_grad_norm": [{"step": step, "epoch": 1, "value": 0.5} for step in (1, 2)],
        },
    }
    assert made.due(30.0) is None
    made.add(train(2, 1.0))
    later = made.due(31.0)
    assert later is not None
    assert later["epoch"] == 2
    assert len(later["metrics"]["train_loss"]) == 3  # type: ignore[index,call-overload,arg-type]


def test_a_new_process_continues_the_stored_series_and_replaces_repeated_steps() -> None:
    stored = {
        "metrics": {
            "train_loss": [{"step": step, "epoch": 1, "value": 9.0} for step in (1, 2)],
            "odd": "text",
            "val_loss": [None, {"step": "x"}],
        }
    }
    made = report(stored)
    made.add(train(1, 1.5))
    details: Any = made.due(0.0)
    assert details["metrics"]["train_loss"] == [
        {"step": 1, "epoch": 1, "value": 9.0},
        {"step": 2, "epoch": 1, "value": 1.5},
    ]
    assert details["metrics"]["val_loss"] == []


def test_only_the_wanted_series_are_kept() -> None:
    made = report(series=["val_*"])
    made.add(train(0, 2.0))
    made.add({"event": "validation", "step": 1, "value": 1.7, "accuracy": 0.5})
    details: Any = made.due(0.0)
    assert details["train_loss"] == 2.0
    assert {name: len(points) for name, points in details["metrics"].items()} == {
        "train_loss": 0,
        "val_loss": 1,
        "val_accuracy": 1,
    }


def test_what_could_not_be_sent_is_sent_later_with_newer_values() -> None:
    made = report()
    made.add(train(0, 2.0))
    lost = made.due(0.0)
    assert lost is not None
    made.add(train(1, 1.5))
    made.put_back(lost)
    details: Any = made.due(10.0)
    assert (details["max_steps"], details["step"], details["train_loss"]) == (4, 2, 1.5)
    assert [point["value"] for point in details["metrics"]["train_loss"]] == [2.0, 1.5]


def test_start_and_end_are_reported_without_waiting() -> None:
    made = report()
    begun = datetime(2026, 11, 26, 12, tzinfo=UTC)
    made.started(begun)
    assert made.due(0.0) == {
        "max_steps": 4,
        "num_epochs": 2,
        "training_started_at": "2026-11-26T12:00:00+00:00",
    }
    made.add({"event": "done", "steps": 4, "epochs": 2, "seconds": 300.0})
    made.finished(begun + timedelta(minutes=5), 300.0)
    assert made.due(1.0) is None
    assert made.due(1.0, last=True) == {
        "step": 4,
        "percentage_done": 100,
        "training_finished_at": "2026-11-26T12:05:00+00:00",
        "training_duration_seconds": 300.0,
    }


def test_transfers_report_bytes_once_per_interval() -> None:
    made = TransferReport("downloading", "downloaded", interval=10.0)
    assert made.due(0.0) == {"phase": "downloading"}
    made.bytes(5, 10)
    assert made.due(5.0) is None
    made.bytes(10, 10)
    assert made.due(10.0) == {"downloaded_bytes": 10, "total_size": 10, "progress_pct": 100}
    made.note(phase="completed")
    details = made.due(11.0, last=True)
    assert details == {"phase": "completed"}
    made.put_back(details)
    assert made.due(30.0) == details
