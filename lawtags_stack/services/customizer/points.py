"""The metric series of jobs, one row per point, so appending to a long series stays cheap."""

from __future__ import annotations

from collections.abc import Iterable

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.store import Database

TRAIN_LOSS = "train_loss"
VALIDATION_LOSS = "val_loss"
TRAIN_ACCURACY = "train_accuracy"
VALIDATION_ACCURACY = "val_accuracy"


class MetricPoints:
    """Metric points of all jobs, by series and step; a retrained step replaces its point."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(
            "customizer_points",
            [
                "CREATE TABLE customizer_points (job TEXT NOT NULL, series TEXT NOT NULL, "
                "step INTEGER NOT NULL, timestamp TEXT NOT NULL, value REAL NOT NULL, "
                "PRIMARY KEY (job, series, step)) WITHOUT ROWID"
            ],
        )

    def add(self, job: str, points: Iterable[tuple[str, int, str, float]]) -> None:
        """Store points: series, step counted from zero, timestamp, value."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO customizer_points VALUES (?, ?, ?, ?, ?)",
                [(job, *point) for point in points],
            )

    def series(self, job: str) -> JsonObject:
        """The ``metrics`` of a job as in its status."""
        rows = self._database.rows(
            "SELECT series, step, timestamp, value FROM customizer_points WHERE job = ? "
            "ORDER BY series, step",
            (job,),
        )
        metrics: dict[str, list[JsonValue]] = {TRAIN_LOSS: [], VALIDATION_LOSS: []}
        for row in rows:
            # Accuracies appear only if a training reports them.
            metrics.setdefault(row["series"], []).append(
                {"step": row["step"], "timestamp": row["timestamp"], "value": row["value"]}
            )
        return {"keys": [name for name, points in metrics.items() if points], "metrics": metrics}
