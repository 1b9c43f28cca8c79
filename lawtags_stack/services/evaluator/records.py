"""Stored records of evaluation jobs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.store.codec import Codec


@dataclass(frozen=True, slots=True)
class EvaluationStatusRecord:
    """The status of an evaluation.

    Args:
        message: the outcome, once it has ended.
        task_status: the state of each task.
        progress: percentage of rows completed.
        samples_processed: number of rows completed; None before the start.
    """

    message: str | None = None
    task_status: dict[str, str] = field(default_factory=dict)
    progress: float | None = None
    samples_processed: int | None = None

    def ended(self, status: str) -> EvaluationStatusRecord:
        """The status after the evaluation has ended: no task is running.

        Args:
            status: the final state. The API has no cancelled tasks, so unfinished tasks have failed.
        """
        rest = "completed" if status == "completed" else "failed"
        states = {
            name: "completed" if state == "completed" else rest for name, state in self.task_status.items()
        }
        return replace(self, task_status=states)

    def as_json(self) -> JsonObject:
        """Convert to a response."""
        counted = {} if self.samples_processed is None else {"samples_processed": self.samples_processed}
        return {
            "message": self.message,
            "task_status": self.task_status,
            "progress": self.progress,
            **counted,
        }


@dataclass(frozen=True, slots=True)
class PlatformJob:
    """The additional fields of a version 2 job."""

    name: str
    spec: JsonObject
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """An evaluation job, its fields in the API's order.

    Args:
        target: the full target, including secrets.
        config: the full config.
        result: the id of its result; None for version 2 jobs.
        platform: its version 2 fields; None for version 1 jobs.
        starts: number of starts without an orderly end.
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
        """Whether it has ended."""
        return self.status in FINAL_JOB_STATES

    def with_status(self, status: str, details: EvaluationStatusRecord | None = None) -> EvaluationRecord:
        """The job in another state; if that is final, its tasks end, too."""
        shown = details or self.status_details
        if status in FINAL_JOB_STATES:
            shown = shown.ended(status)
        return replace(self, status=status, status_details=shown)


JOBS_TABLE = "evaluator_jobs"
JOB = Codec(EvaluationRecord)
"""Reads and writes stored jobs."""
