"""Jobs, targets and configs as the Customizer keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityRecord
from lawtags_stack.store.codec import Codec


@dataclass(frozen=True, slots=True)
class StatusLogRecord:
    """A line of a job's history."""

    updated_at: str
    message: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobWarningRecord:
    """Something to know about a job."""

    message: str
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSnapshotRecord:
    """The config as it was when the job was made."""

    base_model: str
    precision: str | None = None
    max_seq_length: int
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    tokenizer: JsonObject | None = None
    training_option: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFields:
    """What responses show of a job, apart from its status details, in the order of the wire."""

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
    """How far a job is."""

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
        """The same with a line more in its history."""
        return replace(self, status_logs=[*self.status_logs, StatusLogRecord(at, message, detail)])


@dataclass(frozen=True, slots=True)
class JobWork:
    """What only the stack needs of a job.

    Args:
        target: the target it trains on, as ``namespace/name``.
        files_url: where its rows are.
        num_parameters: of the base model.
        crashes: how often its training process has crashed.
        attempts: how many training processes it has had.
        started_at: when it began.
        at_work: the step at which the stack took it up; None while it is not at work.
        lost: how often in a row the stack has stopped before the job completed a step.
    """

    target: str
    files_url: str
    num_parameters: int | None = None
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
        """The job in another state, with a line more in its history."""
        details = replace(self.details.logged(now, message, detail), updated_at=now)
        return replace(self, job=replace(self.job, status=status, updated_at=now), details=details)


JOBS_TABLE = "customizer_jobs"
JOB = Codec(JobRecord)
"""Reads and writes stored jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord(EntityRecord):
    """A base model that can be trained.

    Args:
        status: how far its files are.
        model_uri: where they are fetched from.
        hf_endpoint: the Data Store to fetch them from; only that of this stack will do.
        folder: where they are on this machine, once they are there.
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
    """A target with its ways of training, sequence length and prompt template.

    Args:
        target: the target, as ``namespace/name``.
        training_options: the ways of training, as the wire shows them.
    """

    target: str | None = None
    max_seq_length: int
    training_options: list[JsonObject]
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    training_precision: str | None = None
    pod_spec: JsonObject | None = None
