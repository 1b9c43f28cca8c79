"""Metrics of a training as TensorBoard events, written while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from lawtags_client.errors import MissingExtraError
from lawtags_client.json_value import JsonObject


class TensorBoardLog:
    """One file of TensorBoard events; every point is on disk when ``add`` returns.

    Args:
        folder: emptied first. A command that attaches to a job again receives all of its points again, and a
            second file would draw each curve twice.
        hyperparameters: written as a text summary.

    Raises:
        MissingExtraError: the ``tensorboard`` package is absent.
    """

    def __init__(self, folder: Path, hyperparameters: JsonObject) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.plugins.text.summary_v2 import text_pb
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "report", "TensorBoard events") from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder, self._event, self._summary = folder, Event, Summary
        self._writer = EventFileWriter(str(folder))
        table = "\n".join(
            ["| name | value |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in hyperparameters.items())]
        )
        self._writer.add_event(Event(step=0, summary=text_pb("hyperparameters", table)))
        self._writer.flush()

    def add(self, points: Iterable[tuple[str, int, float]]) -> None:
        """Write ``(metric, step, value)`` points."""
        added = False
        for metric, step, value in points:
            summary = self._summary(value=[self._summary.Value(tag=metric, simple_value=value)])
            self._writer.add_event(self._event(step=step, summary=summary))
            added = True
        if added:
            self._writer.flush()

    def close(self) -> list[Path]:
        """Close the file, and return what the folder holds."""
        self._writer.close()
        return sorted(self._folder.iterdir())
