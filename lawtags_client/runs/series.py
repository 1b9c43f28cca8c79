"""Metric series of a training: collected and summarized."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """A point of a metric; its value is None if it is not a number."""

    step: int
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedTraining:
    """A job that was cancelled because the model overfit; steps are counted from one.

    Attributes:
        job: its id.
        best_step: the step with the lowest validation loss.
        stopped_at: the step of the last validation before it was cancelled.
        planned: the steps that it would have taken.
        reason: the finding in words.
        metrics: the points of each metric, by step counted from zero.
    """

    job: str
    best_step: int
    stopped_at: int
    planned: int
    reason: str
    metrics: dict[str, tuple[SeriesPoint, ...]]

    @property
    def steps_saved(self) -> int:
        """Steps that were not trained: the job's rest, less those of the job that trains up to the best."""
        return self.planned - self.stopped_at - self.best_step


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """The finished training job; content of ``customization.json``.

    Attributes:
        job: its id.
        output_model: the model it made.
        metrics: the points of each metric, by step.
        stopped: the job before it that was stopped because the model overfit, if there was one.
        peak_memory: most memory of the training process in bytes; None where the platform does not tell.
        steps_per_second: of the optimizer, validations included; None if too few steps were reported.
    """

    job: str
    output_model: str
    metrics: dict[str, tuple[SeriesPoint, ...]]
    stopped: StoppedTraining | None = None
    peak_memory: int | None = None
    steps_per_second: float | None = None


class Series:
    """Points by metric and step; a repeated point counts once.

    Attributes:
        peak_memory: most memory of the training process in bytes, once the platform has told.
    """

    def __init__(self) -> None:
        self.peak_memory: int | None = None
        self._points: dict[str, dict[int, float]] = {}

    def add(self, points: Iterable[tuple[str, int, float]]) -> None:
        """Take in ``(metric, step, value)`` points; steps count from zero."""
        for metric, step, value in points:
            self._points.setdefault(metric, {})[step] = value

    def last(self) -> dict[str, float | None]:
        """The newest value of each metric; None if it is not a number."""
        newest = {metric: points[max(points)] for metric, points in self._points.items()}
        return {metric: round(value, 4) if math.isfinite(value) else None for metric, value in newest.items()}

    def headline(self) -> str:
        """The newest values as words, for a progress line."""
        words = (
            f"{metric.replace('_', ' ')} {'diverged' if value is None else f'{value:.4f}'}"
            for metric, value in self.last().items()
        )
        return "".join(f", {word}" for word in words)

    def points(self) -> dict[str, tuple[SeriesPoint, ...]]:
        """All points by metric and step; NaN and infinity, which JSON lacks, become None."""
        return {
            metric: tuple(
                SeriesPoint(step, value if math.isfinite(value) else None)
                for step, value in sorted(points.items())
            )
            for metric, points in sorted(self._points.items())
        }
