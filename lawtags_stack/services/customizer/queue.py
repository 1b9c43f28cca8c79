"""The training queue: one job at a time, each in its own process, resumable after any kill."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lawtags_client.errors import LawtagsError
from lawtags_stack.base_models import (
    default_base_model_folder,
    default_base_model_ready,
    start_conversion,
)
from lawtags_stack.chaos.jobs import JobFaults
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.engines.training.process import Worker
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.jobs import TrainingJobs
from lawtags_stack.services.customizer.progress import applied, points_of
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.records import JobRecord
from lawtags_stack.services.customizer.targets import Targets
from lawtags_stack.services.customizer.training import JobFolder
from lawtags_stack.services.data_store.hub_urls import parse_files_url

_POLL_SECONDS = 0.1
_CRASHES_FORGIVEN = 1
_FULL_DISK_SECONDS = 5.0
_log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """The stack is stopping, or the job was cancelled."""


class TrainingQueue:
    """Trains jobs in the order of their creation.

    Args:
        context: the stack.
        jobs: the jobs.
        targets: their base models.
        entities: datasets and output models by name.
        files: the rows, and the repositories for output models.
    """

    def __init__(
        self,
        context: StackContext,
        jobs: TrainingJobs,
        targets: Targets,
        entities: CustomizerEntityStore,
        files: CustomizerDataStore,
    ) -> None:
        self._context = context
        self._entities = entities
        self._files = files
        self._jobs = jobs
        self._targets = targets
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._faults = JobFaults(context.options.chaos)
        jobs.on_change = self._wake.set

    def start(self) -> None:
        """Start the queue, resuming an interrupted training first."""
        self._thread = threading.Thread(target=self._run, name="customizer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the queue and the running worker; the job resumes from its checkpoint at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            job_id = self._next()
            if job_id is None:
                self._wake.wait()
                continue
            try:
                self._train(job_id)
            except _Interrupted:
                continue
            except LawtagsError as error:
                self._failed(job_id, error.message, error.hint)
            except Exception as error:
                _log.exception("training %s failed", job_id)
                self._failed(job_id, f"{type(error).__name__}: {error}")

    def _next(self) -> str | None:
        waiting = [record.job for record in self._jobs.unfinished()]
        for job in waiting:
            if job.status == "cancelling":
                self._cancelled(job.id)
        waiting = [job for job in waiting if job.status != "cancelling"]
        running = [job for job in waiting if job.status == "running"]
        return next((job.id for job in running + waiting), None)

    def _train(self, job_id: str) -> None:
        self._keep_pending(job_id)
        record = self._begin(job_id)
        self._mark_started(job_id)
        try:
            self._run_to_end(job_id, record)
        finally:
            # Skipped if the stack crashes, which the next start detects. On a full disk, it counts as a
            # crash.
            with contextlib.suppress(sqlite3.Error):
                self._mark_interrupted(job_id)

    def _run_to_end(self, job_id: str, record: JobRecord) -> None:
        self._note_waiting(job_id)
        folder = JobFolder(self._context, job_id)
        model = self._model(job_id, record.work.target)
        if not folder.prepared:
            self._log(job_id, "EntityHandler_0_Running")
            folder.prepare(record, model, self._entities, self._files)
            self._log(job_id, "EntityHandler_0_Completed")
        while True:
            attempt = self._attempt(job_id)
            self._log(job_id, "TrainingJobCreated")
            failure = self._follow(job_id, folder, attempt)
            if failure is None:
                break
            crashes = self._note_crash(job_id, failure)
            if crashes > _CRASHES_FORGIVEN:
                raise LawtagsError(failure)
        self._log(job_id, "TrainingJobCompleted")
        self._complete(job_id, folder)

    def _follow(self, job_id: str, folder: JobFolder, attempt: int) -> str | None:
        job = self._jobs.stored(job_id).job
        worker = Worker.start(folder.launcher, folder.path, attempt, folder.device)
        self._log(job_id, "TrainingJobRunning")
        try:
            while True:
                # Polled before reading the events, since none are written after the exit.
                ended = worker.process.poll() is not None
                events: Sequence[TrainerEvent] = [*worker.events]
                if events:
                    events, fault = self._faults.inject(job, events)
                    self._apply(job_id, events)
                    if fault == "fail":
                        raise LawtagsError("the chaos file makes this job fail at this step")
                    if fault == "kill":
                        worker.process.kill()
                        worker.process.wait()
                        return worker.crash_reason()
                for event in events:
                    if event["event"] == "failed":
                        raise LawtagsError(event["reason"], hint=event["hint"])
                    if event["event"] == "done":
                        return None
                if ended:
                    return worker.crash_reason()
                self._check_interrupted(job_id)
                if self._wake.wait(_POLL_SECONDS):
                    self._wake.clear()
                    self._note_waiting(job_id)
        finally:
            worker.end()

    def _check_interrupted(self, job_id: str) -> None:
        if self._stopping.is_set():
            raise _Interrupted
        if self._jobs.stored(job_id).job.status == "cancelling":
            raise _Interrupted

    def _keep_pending(self, job_id: str) -> None:
        """Keep a job pending as long as the chaos file says."""
        while self._faults.keeps_pending(job := self._jobs.stored(job_id).job, self._context.clock()):
            if job.status == "created":
                self._note_pending(job_id, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu")
            elif job.status != "pending":
                raise _Interrupted
            self._stopping.wait(_POLL_SECONDS)
            if self._stopping.is_set():
                raise _Interrupted

    def _begin(self, job_id: str) -> JobRecord:
        now = self._jobs.now()

        def begun(record: JobRecord) -> JobRecord | None:
            if record.job.status not in ("created", "pending"):
                return None
            moved = record.moved("running", "EntityHandler_0_Created", now)
            return replace(moved, work=replace(moved.work, started_at=now))

        record = self._jobs.update(job_id, begun)
        if record.job.status != "running":
            raise _Interrupted
        return record

    def _mark_started(self, job_id: str) -> None:
        """Mark a job as running; fail it if the stack crashed several times before it completed a step."""

        def noted(record: JobRecord) -> JobRecord:
            work, step = record.work, record.details.steps_completed
            lost = 0 if work.at_work is None else 1 if step > work.at_work else work.lost + 1
            return replace(record, work=replace(work, at_work=step, lost=lost))

        lost = self._jobs.update(job_id, noted).work.lost
        if lost > _CRASHES_FORGIVEN:
            raise LawtagsError(
                f"the stack stopped {lost} times in a row during this training, before it completed a step",
                hint="Find out why the stack stopped (out of memory?), then submit the job again.",
            )

    def _mark_interrupted(self, job_id: str) -> None:
        self._jobs.update(job_id, lambda record: replace(record, work=replace(record.work, at_work=None)))

    def _note_waiting(self, running: str) -> None:
        for record in self._jobs.unfinished():
            if record.job.status == "created" and record.job.id != running:
                self._note_pending(record.job.id, f"another job is training: {running}")

    def _note_pending(self, job_id: str, detail: str) -> None:
        def noted(record: JobRecord) -> JobRecord | None:
            if record.job.status != "created":
                return None
            return record.moved("pending", "NotEnoughResources", self._jobs.now(), detail)

        self._jobs.update(job_id, noted)

    def _model(self, job_id: str, target: str) -> Path:
        self._log(job_id, "ModelPending")
        while (folder := self._targets.folder(target)) is None:
            self._pause(job_id)
        if folder == default_base_model_folder() and not default_base_model_ready():
            self._convert(job_id)
        return folder

    def _convert(self, job_id: str) -> None:
        self._log(job_id, "ConvertingBaseModel", "converted once; then kept in the user's cache")
        conversion = start_conversion()
        try:
            while conversion.poll() is None:
                self._pause(job_id)
        except _Interrupted:
            conversion.kill()
            raise
        finally:
            said = _last_error_line(conversion)
        if not default_base_model_ready():
            raise LawtagsError(f"the default base model could not be converted: {said}")

    def _pause(self, job_id: str) -> None:
        self._check_interrupted(job_id)
        self._stopping.wait(_POLL_SECONDS)

    def _attempt(self, job_id: str) -> int:
        def counted(record: JobRecord) -> JobRecord:
            return replace(record, work=replace(record.work, attempts=record.work.attempts + 1))

        return self._jobs.update(job_id, counted).work.attempts

    def _note_crash(self, job_id: str, reason: str) -> int:
        def noted(record: JobRecord) -> JobRecord:
            moved = record.moved("running", "TrainingRestarted", self._jobs.now(), reason)
            return replace(moved, work=replace(moved.work, crashes=moved.work.crashes + 1))

        return self._jobs.update(job_id, noted).work.crashes

    def _apply(self, job_id: str, events: Sequence[TrainerEvent]) -> None:
        now = self._context.clock()
        with self._context.database.transaction():
            self._jobs.points.add(job_id, points_of(events))
            self._jobs.update(job_id, lambda record: applied(record, events, now))

    def _log(self, job_id: str, message: str, detail: str | None = None) -> None:
        def logged(record: JobRecord) -> JobRecord:
            return record.moved(record.job.status, message, self._jobs.now(), detail)

        self._jobs.update(job_id, logged)

    def _complete(self, job_id: str, folder: JobFolder) -> None:
        output = self._jobs.stored(job_id).job.output_model
        if output is not None:
            self._log(job_id, "EntityHandler_1_Running", "uploading the model")
            self._upload(output, folder, f"Result of {job_id}")
            self._log(job_id, "EntityHandler_1_Completed")

        def completed(record: JobRecord) -> JobRecord:
            if record.job.status == "cancelling":
                return record.moved("cancelled", "cancelled", self._jobs.now())
            details = record.details
            if not any(log.message == "EarlyStopping" for log in details.status_logs):
                details = replace(details, percentage_done=100.0)
            return replace(record, details=details).moved("completed", "completed", self._jobs.now())

        with self._context.database.transaction():
            record = self._jobs.update(job_id, completed)
            done = record.job.status == "completed"
            self._jobs.set_artifact(record, "upload_completed" if done else "upload_failed")
        folder.clear()

    def _upload(self, output: str, folder: JobFolder, message: str) -> None:
        url, store = parse_files_url(f"hf://{output}"), self._files
        store.repo_create("model", url.namespace, url.repo, exist_ok=True, make_namespace=True)
        files = folder.result_files()
        store.commit("model", url.namespace, url.repo, files, message, revision=url.revision)

    def _failed(self, job_id: str, reason: str, hint: str | None = None) -> None:
        try:
            self._fail(job_id, reason, hint)
        except sqlite3.Error:
            # Fails if the disk is full; the queue retries the job until there is space.
            _log.exception("cannot store the end of training %s", job_id)
            self._stopping.wait(_FULL_DISK_SECONDS)

    def _fail(self, job_id: str, reason: str, hint: str | None = None) -> None:
        detail = f"{reason}. {hint}" if hint else reason
        self._end(job_id, "failed", detail)

    def _cancelled(self, job_id: str) -> None:
        self._end(job_id, "cancelled", None)

    def _end(self, job_id: str, status: str, detail: str | None) -> None:
        def ended(record: JobRecord) -> JobRecord:
            return record.moved(status, status, self._jobs.now(), detail)

        with self._context.database.transaction():
            self._jobs.set_artifact(self._jobs.update(job_id, ended), "upload_failed")
        # A failed training keeps its best weights until the folder is pruned.
        JobFolder(self._context, job_id).clear(keep_best=status == "failed")


def _last_error_line(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate()
    return (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
