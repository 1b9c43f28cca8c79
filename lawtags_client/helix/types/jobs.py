"""Wire models of the jobs service: jobs of any kind, their steps, tasks, logs and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Items, Mapped, Resource, UtcDateTime, WireModel
from lawtags_client.json_value import JsonValue

# Open on purpose: a later release may have states that this one does not.
JobState: TypeAlias = (
    Literal[
        "created",
        "pending",
        "active",
        "completed",
        "error",
        "cancelled",
        "cancelling",
        "paused",
        "pausing",
        "resuming",
    ]
    | str
)

FINAL_STATES = frozenset({"completed", "error", "cancelled"})
"""The only states that a job does not leave; any other, known or not, continues."""

RUNNER, HEARTBEAT = "runner", "runner_heartbeat"
"""In the details of a step: the runner of lawtags that holds it, and when it gave a sign of life."""

TRAINING_STEPS = ("training", "dpo-training", "grpo-training")
"""Names of the step that trains, by backend."""


def heartbeat_of(details: Mapping[str, JsonValue]) -> str | None:
    """The last sign of life in the details of a step, in the words of its runner."""
    found = details.get(HEARTBEAT)
    return found if isinstance(found, str) else None


def is_final(state: str | None) -> bool:
    """Whether a job in this state has ended; unknown states have not."""
    return state in FINAL_STATES


class ErrorDetails(WireModel):
    """Why a job, step or task failed."""

    message: str | None = None
    type: str | None = None
    detail: JsonValue = None


class JobTask(Resource):
    """One process of a step, and what it reports."""

    name: str = ""
    step_id: str | None = None
    status: JobState | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: ErrorDetails | None = None
    error_stack: str | None = Field(default=None, repr=False)


class JobStep(Resource):
    """One step of a job, as its status lists it, or alone with its config."""

    name: str = ""
    attempt_id: str | None = None
    status: JobState | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: ErrorDetails | None = None
    config: dict[str, JsonValue] | None = None
    tasks: Items[JobTask] = Field(default_factory=list)

    @property
    def heartbeat(self) -> str | None:
        """When a runner of lawtags that holds the step gave its last sign of life, in its words."""
        return heartbeat_of(self.status_details)


class StepExecutor(WireModel):
    """What is to carry out a step."""

    provider: str | None = None
    profile: str | None = None
    container: Mapped[JsonValue] = Field(default_factory=dict)
    resources: Mapped[JsonValue] = Field(default_factory=dict)


class StepSpec(WireModel):
    """A step as it was planned."""

    name: str = ""
    environment: Items[JsonValue] = Field(default_factory=list, repr=False)
    executor: StepExecutor | None = None
    config: Mapped[JsonValue] = Field(default_factory=dict)
    lifecycle: Mapped[JsonValue] = Field(default_factory=dict)


class QueuedStep(WireModel):
    """A step of the queue that runners poll."""

    id: str
    job: str
    name: str
    workspace: str
    attempt_id: str | None = None
    fileset: str | None = None
    step_spec: StepSpec | None = None
    status: JobState | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None

    @property
    def heartbeat(self) -> str | None:
        """As of a step of a job's status."""
        return heartbeat_of(self.status_details)


class PlatformSpec(WireModel):
    """All steps of a job as they were planned."""

    steps: Items[StepSpec] = Field(default_factory=list)


class HelixJob(Resource):
    """A job of any kind. ``attempt_id``, ``source``, ``fileset`` and the plan come with the generic route."""

    spec: Mapped[JsonValue] = Field(default_factory=dict)
    status: JobState | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: ErrorDetails | None = None
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)
    source: str | None = None
    attempt_id: str | None = None
    fileset: str | None = None
    platform_spec: PlatformSpec | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return is_final(self.status)


class JobStatus(WireModel):
    """The state of a job, with the steps and tasks that exist so far."""

    id: str | None = None
    name: str = ""
    status: JobState | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: ErrorDetails | None = None
    steps: Items[JobStep] = Field(default_factory=list)
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return is_final(self.status)

    @property
    def own_storage(self) -> str | None:
        """The folder where a platform that downloads and uploads itself keeps the job's files."""
        tasks = (task for step in self.steps for task in step.tasks)
        named = (task.status_details.get("subprocess_persistent_storage_path") for task in tasks)
        return next((path for path in named if isinstance(path, str)), None)

    @property
    def reason(self) -> str | None:
        """Why it failed, in the words of the platform or of the task."""
        for step in self.steps:
            for task in step.tasks:
                if task.status == "error" and task.error_details and task.error_details.message:
                    return task.error_details.message
        return self.error_details.message if self.error_details else None


class LogLine(WireModel):
    """One line of a job's log."""

    message: str = ""
    timestamp: UtcDateTime | None = None
    job: str | None = None
    job_step: str | None = None
    job_task: str | None = None


class LogPage(WireModel):
    """Some lines of a log, and where the next are."""

    data: Items[LogLine] = Field(default_factory=list)
    total: int | None = None
    next_page: str | None = None
    prev_page: str | None = None


class JobResult(Resource):
    """A file or folder that a job left."""

    job: str | None = None
    artifact_url: str | None = None
    artifact_storage_type: str | None = None
    download_url: str | None = None


class JobResults(WireModel):
    """The results of a job, newest first."""

    data: Items[JobResult] = Field(default_factory=list)


class ExecutionProfile(WireModel):
    """A way to carry out steps that the platform offers."""

    provider: str | None = None
    profile: str | None = None
    backend: str | None = None


class StepUpdate(HelixRequest):
    """How a runner moves a step."""

    status: JobState
    status_details: dict[str, JsonValue] | None = None
    error_details: dict[str, JsonValue] | None = None
    expected_step_id: str | None = None


class TaskUpdate(HelixRequest):
    """What a runner reports of a task; details are merged key by key."""

    status: JobState
    status_details: dict[str, JsonValue] | None = None
    error_details: dict[str, JsonValue] | None = None
    error_stack: str | None = None


class ResultRequest(HelixRequest):
    """What registers a result."""

    artifact_url: str
    artifact_storage_type: str = "fileset"

    def to_wire(self) -> dict[str, JsonValue]:
        return {"artifact_storage_type": self.artifact_storage_type, **super().to_wire()}
