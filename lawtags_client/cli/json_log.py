"""``--log-format json``: log records and progress as one JSON object per line on stderr."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from lawtags_client.cli.json_lines import json_line
from lawtags_client.runs.training_monitor import TrainingState


class JsonLogFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and the error if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json_line(row).rstrip("\n")


class JsonProgress:
    """What a run does, one JSON object per event.

    Args:
        stream: where they go.
        label: of what happens here, if something else happens at the same time.
    """

    def __init__(self, stream: TextIO | None = None, *, label: str = "") -> None:
        self._stream = stream or sys.stderr
        self._label = label
        self._stage: str | None = None
        # Stages report from several threads, and lines must not mix.
        self._lock = threading.Lock()

    def lane(self, label: str) -> JsonProgress:
        """Events of one of several things that happen at the same time: each has its label as ``of``."""
        lane = JsonProgress(self._stream, label=label)
        lane._lock = self._lock
        return lane

    def stage(self, name: str, number: int, total: int) -> None:
        self._stage = name
        self._write("stage", number=number, total=total)

    def skipped(self, name: str, number: int, total: int) -> None:
        self._stage = name
        self._write("skipped", number=number, total=total)

    def update(self, done: float, total: float | None, text: str) -> None:
        self._write("progress", done=done, total=total, message=text)

    def training(self, state: TrainingState) -> None:
        self._write("training", **state.as_json())

    def note(self, text: str) -> None:
        self._write("note", message=text)

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        named = [dict(zip(headings, row, strict=True)) for row in rows]
        self._write("table", title=title, rows=named)

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._stage = name
        self._write("finished", seconds=round(seconds, 3), summary=dict(summary))

    def report(self, text: str) -> None:
        """A line that is no part of a run."""
        self._write("note", message=text)

    def _write(self, event: str, **fields: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        stage = {"stage": self._stage} if self._stage else {}
        of = {"of": self._label} if self._label else {}
        with self._lock:
            self._stream.write(json_line({"at": at, "event": event, **of, **stage, **fields}))
            self._stream.flush()
