"""Evaluation jobs as the Evaluator keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.store.codec import Codec


@dataclass(frozen=True, slots=True)
class EvaluationStatusRecord:
    """How far an evaluation is.

    Args:
        message: what became of it, once it has come to its end.
        task_status: the state of each task.
        progress: the share of the rows that is done, in percent.
        samples_processed: how many rows that are; None before it has begun.
    """

    message: str | None = None
    task_status: dict[str, str] = field(default_factory=dict)
    progress: float | None = None
    samples_processed: int | None = None

    def ended(self, status: str) -> EvaluationStatusRecord:
        """The same once the evaluation has come to an end: no task goes on.

        Args:
            status: the end. The wire knows no cancelled tasks, so what did not complete has failed.
        """
        rest = "completed" if status == "completed" else "failed"
        states = {
            name: "completed" if state == "completed" else rest for name, state in self.task_status.items()
        }
        return replace(self, task_status=states)

    def as_json(self) -> JsonObject:
        """As responses show it."""
        counted = {} if self.samples_processed is None else {"samples_processed": self.samples_processed}
        return {
            "message": self.message,
            "task_status": self.task_status,
            "progress": self.progress,
            **counted,
        }


@dataclass(frozen=True, slots=True)
class PlatformJob:
    """What a job of the second version has besides."""

    name: str
    spec: JsonObject
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """An evaluation job, its fields in the order of the wire.

    Args:
        target: what is measured, written out, secrets in it.
        config: how it is measured, written out.
        result: the id of its result; jobs of the second version have none.
        platform: what it has as a job of the second version; None for those of the first.
        starts: how often it was begun without coming to its end in order.
    """

    created_at: str
    updated_at: str
    id: str
    namespace: str
    description: str | None = None
    target: JsonObject
    config: JsonObject
    result: str | None = None
    output_files_url: str | None = None
    status_details: EvaluationStatusRecord
    status: str
    project: str | None = None
    custom_fields: JsonObject = field(default_factory=dict)
    ownership: JsonObject | None = None
    platform: PlatformJob | None = None
    starts: int = 0

    @property
    def final(self) -> bool:
        """Whether it has come to its end."""
        return self.status in FINAL_JOB_STATES

    def with_status(self, status: str, details: EvaluationStatusRecord | None = None) -> EvaluationRecord:
        """The job in another state; its tasks end with it."""
        shown = details or self.status_details
        if status in FINAL_JOB_STATES:
            shown = shown.ended(status)
        return replace(self, status=status, status_details=shown)


JOBS_TABLE = "evaluator_jobs"
JOB = Codec(EvaluationRecord)
"""Reads and writes stored jobs."""
