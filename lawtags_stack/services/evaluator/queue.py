"""Runs evaluation jobs in a pool of threads; interrupted jobs restart from the beginning."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import queue
import shutil
import sqlite3
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from lawtags_client.errors import LawtagsError
from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http import naive, new_id
from lawtags_stack.sandbox.process import Sandboxes
from lawtags_stack.services.evaluator import sandboxed
from lawtags_stack.services.evaluator.creation import ResolvedEvaluation
from lawtags_stack.services.evaluator.evaluation import (
    CancelledError,
    EvaluationOutcome,
    EvaluationProgress,
    EvaluationRunner,
    EvaluationSources,
    ScoredRow,
)
from lawtags_stack.services.evaluator.records import EvaluationRecord, EvaluationStatusRecord
from lawtags_stack.services.evaluator.state import EvaluatorState
from lawtags_stack.times import Clock

_log = logging.getLogger(__name__)
_STOP_SECONDS = 1.5
# More than one, so a short job does not wait for one that sends thousands of requests.
_AT_A_TIME = 3
# A job that was running when the stack was killed may be the cause, so its restarts are limited.
_STARTS = 2
LOG_FILE = "log.txt"
ROWS_FILE = "rows.jsonl"
SCORES_FILE = "scores.json"
RESULTS_FILE = "results/results.json"
"""The file in the archive where clients expect the rows of each task."""


class EvaluationQueue:
    """Runs queued jobs, oldest first.

    Args:
        state: the jobs and results.
        sources: rows and models.
        folder: logs and answers, one folder per job.
        clock: returns the time.
    """

    def __init__(self, state: EvaluatorState, sources: EvaluationSources, folder: Path, clock: Clock) -> None:
        self._state = state
        self._sources = sources
        self._folder = folder
        self._clock = clock
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._cancelled: dict[str, threading.Event] = {}
        self._sandboxes = Sandboxes(sandboxed.MODULE, _AT_A_TIME)
        self._at_work: set[str] = set()
        self._live: set[threading.Event] = set()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"evaluator-{number}", daemon=True)
            for number in range(_AT_A_TIME)
        ]

    def start(self) -> None:
        """Start running jobs, unfinished ones first."""
        for job_id in self._state.unfinished():
            self.submit(job_id)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop; running jobs stay unfinished, and restart at the next start."""
        self._stopping.set()
        for job_id in list(self._at_work):
            self._state.job_interrupted(job_id)
        for event in [*self._cancelled.values(), *self._live]:
            event.set()
        self._sandboxes.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, job_id: str) -> None:
        """Queue a job."""
        self._cancelled[job_id] = threading.Event()
        self._queue.put(job_id)

    def cancel(self, job_id: str) -> None:
        """Cancel a job, or remove it from the queue."""
        self._state.job_change(job_id, lambda job: job.with_status("cancelled"))
        event = self._cancelled.get(job_id)
        if event is not None:
            event.set()

    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return bool(self._cancelled or self._live)

    def live(self, described: ResolvedEvaluation, cancelled: threading.Event) -> JsonObject:
        """Evaluate while the caller waits; stores nothing.

        Args:
            described: the full config and target.
            cancelled: set it to cancel the evaluation; ``stop`` sets it, too.
        """
        self._live.add(cancelled)
        if self._stopping.is_set():
            cancelled.set()
        try:
            return self._evaluated(described, cancelled)
        finally:
            self._live.discard(cancelled)

    def _evaluated(self, described: ResolvedEvaluation, cancelled: threading.Event) -> JsonObject:
        lines: list[str] = []
        latest = [EvaluationStatusRecord()]

        def on_progress(progress: EvaluationProgress) -> None:
            latest[0] = _details(progress)

        def ended(status: str, message: str, result: JsonObject | None = None) -> JsonObject:
            details = replace(latest[0].ended(status), message=message)
            if result is not None:
                details = replace(details, progress=100.0)
            return {
                "status": status,
                "status_details": details.as_json(),
                "result": result,
                "logs": {"lines": lines},
            }

        try:
            if cancelled.is_set():  # while it was queued
                raise CancelledError
            outcome = self._evaluation(described, cancelled, on_progress, lines.append).run()
        except CancelledError:
            return ended("failed", "The evaluation was stopped")
        except LawtagsError as error:
            return ended("failed", error.message)
        tasks, groups = _scores(outcome)
        result = self._state.result_draft({"job": new_id("eval"), "tasks": tasks, "groups": groups})
        return ended("completed", "Job completed successfully", result)

    def _evaluation(
        self,
        described: ResolvedEvaluation,
        cancelled: threading.Event,
        on_progress: Callable[[EvaluationProgress], None],
        log: Callable[[str], None],
    ) -> EvaluationRunner:
        return EvaluationRunner(
            self._sources,
            described.config,
            described.target,
            sandboxes=self._sandboxes,
            cancelled=cancelled,
            on_progress=on_progress,
            log=log,
        )

    # Files of a job

    def logs(self, job_id: str) -> JsonObject:
        """The log of a job, as a response."""
        return {"job_id": job_id, "lines": self.log_lines(job_id)}

    def log_lines(self, job_id: str) -> list[str]:
        """The log of a job, by line."""
        path = self._folder / job_id / LOG_FILE
        # Written line by line: a kill may have truncated the last line within a character.
        text = path.read_text("utf-8", "replace") if path.exists() else ""
        return text.split("\n")[:-1]

    def archive(self, job_id: str) -> bytes:
        """A ZIP file with the job, its result, its log, and all rows with their answers."""
        job = self._state.job(job_id)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in self._documents(job).items():
                archive.writestr(name, text)
            for path in self._files(job_id):
                archive.write(path, path.relative_to(self._folder / job_id))
        return content.getvalue()

    def tarball(self, job_id: str) -> bytes:
        """The same as a compressed tar file, for version 2 of the API."""
        job = self._state.platform_job(job_id)
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name, text in self._documents(job).items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode("utf-8"))
                archive.addfile(member, io.BytesIO(text.encode("utf-8")))
            for path in self._files(job_id):
                archive.add(path, path.relative_to(self._folder / job_id))
        return content.getvalue()

    def _files(self, job_id: str) -> list[Path]:
        return sorted(path for path in (self._folder / job_id).rglob("*") if path.is_file())

    def scores(self, job_id: str) -> bytes:
        """The scores of a completed job by task and group, as JSON."""
        return (self._folder / job_id / SCORES_FILE).read_bytes()

    def _documents(self, job: EvaluationRecord) -> dict[str, str]:
        documents = {"job.json": json.dumps(self._state.shown(job), indent=2)}
        if job.result:
            documents["result.json"] = json.dumps(self._state.result(job.result), indent=2)
        return documents

    def forget(self, job_id: str) -> None:
        """Delete a job's files."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    # The threads

    def _run(self) -> None:
        while (job_id := self._queue.get()) is not None and not self._stopping.is_set():
            try:
                self._work(job_id)
            except Exception as error:  # an internal error fails the job, not the thread
                _log.exception("evaluation %s failed unexpectedly", job_id)
                # If the failure cannot be stored, the job restarts at the next start.
                with contextlib.suppress(sqlite3.Error):
                    self._fail(job_id, f"Internal error: {type(error).__name__}: {error}")
            finally:
                self._cancelled.pop(job_id, None)
                self._at_work.discard(job_id)

    def _work(self, job_id: str) -> None:
        cancelled = self._cancelled[job_id]
        if cancelled.is_set() or (starts := self._state.job_begin(job_id)) is None:
            return
        if starts > _STARTS:
            times = f"The stack stopped {starts - 1} times while this evaluation was running"
            self._fail(job_id, f"{times}, so it is not tried again. Check the stack's log for the reason.")
            return
        job = self._state.stored(job_id)
        self._at_work.add(job_id)
        path = self._folder / job_id / LOG_FILE
        path.parent.mkdir(exist_ok=True)

        def log(line: str) -> None:
            # Deleted meanwhile: the folder is gone.
            with contextlib.suppress(FileNotFoundError), path.open("a", encoding="utf-8") as stream:
                stream.write(f"{naive(self._clock())} {' '.join(line.split())}\n")

        def on_progress(progress: EvaluationProgress) -> None:
            details = _details(progress)
            self._state.job_change(job_id, lambda job: replace(job, status_details=details))

        described = ResolvedEvaluation(job.config, job.target)
        try:
            evaluation = self._evaluation(described, cancelled, _ProgressThrottle(on_progress), log)
            self._finish(job_id, evaluation.run(), log)
        except CancelledError:
            log("cancelled")
        except LawtagsError as error:
            log(f"failed: {error.message}")
            self._fail(job_id, error.message)
        if not self._state.exists(job_id):
            self.forget(job_id)  # deleted meanwhile

    def _finish(self, job_id: str, outcome: EvaluationOutcome, log: Callable[[str], None]) -> None:
        if not self._state.exists(job_id):
            return
        log(f"completed: {len(outcome.rows)} rows")
        folder = self._folder / job_id
        rows = [masked(_row_json(row)) for row in outcome.rows]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        atomic_write_text(folder / ROWS_FILE, lines)
        (folder / RESULTS_FILE).parent.mkdir(exist_ok=True)
        atomic_write_json(folder / RESULTS_FILE, _by_task(outcome.tasks, outcome.rows, rows))
        tasks, groups = _scores(outcome)
        atomic_write_json(folder / SCORES_FILE, {"tasks": tasks, "groups": groups})
        details = EvaluationStatusRecord(
            message="Job completed successfully",
            task_status=dict.fromkeys(outcome.tasks, "completed"),
            progress=100.0,
            samples_processed=len(outcome.rows),
        )
        self._state.job_complete(job_id, tasks, groups, details)

    def _fail(self, job_id: str, message: str) -> None:
        def failed(job: EvaluationRecord) -> EvaluationRecord:
            return job.with_status("failed", replace(job.status_details, message=message))

        self._state.job_change(job_id, failed)


def _scores(outcome: EvaluationOutcome) -> tuple[JsonObject, JsonObject]:
    """The scores by task and by group, as JSON."""
    return cast("JsonObject", outcome.tasks), cast("JsonObject", outcome.groups)


def _row_json(row: ScoredRow) -> JsonObject:
    scored = row.scored
    return {
        "task": row.task,
        "item": scored.sample.item,
        "sample": scored.sample.shown(),
        "metrics": scored.figures,
        "requests": [{"request": each["request"], "response": each["response"]} for each in scored.requests],
    }


def _by_task(
    tasks: Iterable[str], found: Sequence[ScoredRow], shown: Sequence[JsonObject]
) -> dict[str, list[JsonObject]]:
    """The rows of each task, with their metrics as scores.

    Args:
        tasks: the tasks.
        found: the rows.
        shown: the same rows as written to files, without secrets.
    """
    by_task: dict[str, list[JsonObject]] = {task: [] for task in tasks}
    for row, written in zip(found, shown, strict=True):
        scored: dict[str, JsonValue] = {
            key: {"scores": {name: {"value": value, "stats": None} for name, value in figures.items()}}
            for key, figures in row.scored.figures.items()
        }
        named = {name: written[name] for name in ("item", "sample")}
        by_task[row.task].append({**named, "metrics": scored, "requests": written["requests"]})
    return by_task


class _ProgressThrottle:
    """Reports progress only after a change of one percent, since each report is a disk write."""

    def __init__(self, tell: Callable[[EvaluationProgress], None]) -> None:
        self._tell = tell
        self._told: tuple[int, tuple[str, ...]] | None = None

    def __call__(self, progress: EvaluationProgress) -> None:
        percent = 100 * progress.processed // max(1, progress.total)
        now = percent, tuple(progress.tasks.values())
        if now != self._told:
            self._told = now
            self._tell(progress)


def _details(progress: EvaluationProgress) -> EvaluationStatusRecord:
    return EvaluationStatusRecord(
        task_status=dict(progress.tasks),
        progress=round(100.0 * progress.processed / max(1, progress.total), 2),
        samples_processed=progress.processed,
    )
