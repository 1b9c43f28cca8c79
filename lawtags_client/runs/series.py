"""Metric series of a training: collected, summarized, written for TensorBoard."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import MissingExtraError
from lawtags_client.json_value import JsonObject


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """A point of a metric; its value is None if it is not a number."""

    step: int
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """The finished training job; content of ``customization.json``.

    Attributes:
        job: its id.
        output_model: the model it made.
        metrics: the points of each metric, by step.
    """

    job: str
    output_model: str
    metrics: dict[str, tuple[SeriesPoint, ...]]


class Series:
    """Points by metric and step; a repeated point counts once."""

    def __init__(self) -> None:
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

    def write_tensorboard(self, folder: Path, hyperparameters: JsonObject) -> list[Path]:
        """Write the series as TensorBoard events.

        Args:
            folder: emptied first, so that a repeated stage leaves one event file.
            hyperparameters: written as a text summary beside the scalars.

        Returns:
            The files written.

        Raises:
            MissingExtraError: the ``tensorboard`` package is absent.
        """
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.plugins.text.summary_v2 import text_pb
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "report", "TensorBoard events") from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        writer = EventFileWriter(str(folder))
        for metric, points in sorted(self._points.items()):
            for step, value in sorted(points.items()):
                summary = Summary(value=[Summary.Value(tag=metric, simple_value=value)])
                writer.add_event(Event(step=step, summary=summary))
        table = "\n".join(
            ["| name | value |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in hyperparameters.items())]
        )
        writer.add_event(Event(step=0, summary=text_pb("hyperparameters", table)))
        writer.close()
        return sorted(folder.iterdir())
