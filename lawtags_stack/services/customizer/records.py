"""Stored records of jobs, targets and configs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityRecord
from lawtags_stack.store.codec import Codec


@dataclass(frozen=True, slots=True)
class StatusLogRecord:
    """A line in a job's status log."""

    updated_at: str
    message: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobWarningRecord:
    """A warning about a job."""

    message: str
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSnapshotRecord:
    """The config at the time of the job's creation."""

    base_model: str
    precision: str | None = None
    max_seq_length: int
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    tokenizer: JsonObject | None = None
    training_option: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFields:
    """The fields of a job in responses, except its status details, in the API's order."""

    id: str
    namespace: str
    description: str | None = None
    project: str | None = None
    created_at: str
    updated_at: str
    config: JsonValue
    config_snapshot: ConfigSnapshotRecord
    dataset: str
    dataset_parameters: JsonObject | None = None
    hyperparameters: JsonObject
    output_model: str | None = None
    integrations: JsonValue = None
    ownership: JsonObject | None = None
    custom_fields: JsonObject = field(default_factory=dict)
    warnings: list[JobWarningRecord] | None = None
    status: str


@dataclass(frozen=True, slots=True)
class JobDetails:
    """The progress of a job."""

    created_at: str
    updated_at: str
    elapsed_time: float = 0.0
    percentage_done: float = 0.0
    epochs_completed: int = 0
    best_epoch: int | None = None
    steps_completed: int = 0
    steps_per_epoch: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    status_logs: list[StatusLogRecord] = field(default_factory=list)

    def logged(self, at: str, message: str, detail: str | None = None) -> JobDetails:
        """Add a line to the status log."""
        return replace(self, status_logs=[*self.status_logs, StatusLogRecord(at, message, detail)])


@dataclass(frozen=True, slots=True)
class JobWork:
    """Internal data of a job.

    Args:
        target: the target it trains on, as ``namespace/name``.
        files_url: the location of its rows.
        num_parameters: of the base model.
        precision: training precision that the config asks for; None leaves it to the device.
        crashes: number of crashes of its training process.
        attempts: number of training processes started.
        started_at: start time.
        at_work: step at which the stack started or resumed it; None while it is not running.
        lost: consecutive stops of the stack without a completed step.
    """

    target: str
    files_url: str
    num_parameters: int | None = None
    precision: str | None = None
    crashes: int = 0
    attempts: int = 0
    started_at: str | None = None
    at_work: int | None = None
    lost: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A training job."""

    job: JobFields
    details: JobDetails
    work: JobWork

    def moved(self, status: str, message: str, now: str, detail: str | None = None) -> JobRecord:
        """Change the job's state, and add a line to the status log."""
        details = replace(self.details.logged(now, message, detail), updated_at=now)
        return replace(self, job=replace(self.job, status=status, updated_at=now), details=details)


JOBS_TABLE = "customizer_jobs"
JOB = Codec(JobRecord)
"""Reads and writes stored jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord(EntityRecord):
    """A base model that can be trained.

    Args:
        status: status of its files.
        model_uri: the source of its files.
        hf_endpoint: the Data Store of its files; only this stack's is supported.
        folder: the local folder of its files, once copied.
    """

    base_model: str | None = None
    enabled: bool = False
    status: str = "created"
    description: str | None = None
    model_uri: str | None = None
    hf_endpoint: str | None = None
    num_parameters: int | None = None
    precision: str | None = None
    tokenizer: JsonObject | None = None
    folder: Annotated[str | None, Field(validation_alias="_folder")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRecord(EntityRecord):
    """A target with its training options, sequence length and prompt template.

    Args:
        target: the target, as ``namespace/name``.
        training_options: the training options, in the API's format.
    """

    target: str | None = None
    max_seq_length: int
    training_options: list[JsonObject]
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    training_precision: str | None = None
    pod_spec: JsonObject | None = None
