"""Wire models of the Evaluator's v2 jobs, which are platform jobs around the same targets and configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import (
    DateTimeFilter,
    Items,
    Mapped,
    Ownership,
    UtcDateTime,
    WireModel,
    WireRequest,
)
from lawtags_client.types.entity_store import Dataset
from lawtags_client.types.evaluator import (
    CachedOutputs,
    ConfigType,
    EvaluationParams,
    GroupConfig,
    GroupResult,
    ModelTarget,
    RagTarget,
    RetrieverTarget,
    TargetType,
    TaskConfig,
    TaskResult,
)

# Open on purpose: a newer server may know values that this list does not.
PlatformJobStatus: TypeAlias = (
    Literal[
        "created",
        "pending",
        "active",
        "cancelled",
        "cancelling",
        "error",
        "completed",
        "paused",
        "pausing",
        "resuming",
    ]
    | str
)

FINAL_PLATFORM_STATES = frozenset({"completed", "error", "cancelled"})
"""The states that a platform job does not leave; v1 jobs end in ``failed`` where these end in ``error``."""


class InlineEvaluationConfig(WireRequest):
    """How it is measured, written into a job."""

    type: ConfigType
    params: EvaluationParams | None = None
    tasks: dict[str, TaskConfig] | None = None
    groups: dict[str, GroupConfig] | None = None


class InlineEvaluationTarget(WireRequest):
    """What is measured, written into a job."""

    type: TargetType
    model: str | ModelTarget | None = None
    cached_outputs: CachedOutputs | None = None
    rows: list[Mapping[str, JsonValue]] | None = None
    dataset: str | Dataset | None = None
    retriever: RetrieverTarget | None = None
    rag: RagTarget | None = None


class EvaluationSpec(WireModel):
    """What a job is made of."""

    config: str | InlineEvaluationConfig
    target: str | InlineEvaluationTarget


class PlatformEvaluationJobRequest(WireRequest):
    """``POST /v2/evaluation/jobs``."""

    spec: EvaluationSpec
    name: str | None = None
    namespace: str | None = None
    project: str | None = None
    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class PlatformEvaluationJob(WireModel):
    """An evaluation as a platform job."""

    id: str
    name: str | None = None
    namespace: str | None = None
    spec: EvaluationSpec | None = None
    status: PlatformJobStatus | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: Mapped[JsonValue] = Field(default_factory=dict)
    description: str | None = None
    project: str | None = None
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)
    ownership: Ownership | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class PlatformEvaluationJobFilter(WireRequest):
    """Filter of ``GET /v2/evaluation/jobs``."""

    name: str | None = None
    namespace: str | None = None
    project: str | None = None
    status: PlatformJobStatus | None = None
    created_at: DateTimeFilter | None = None
    updated_at: DateTimeFilter | None = None


class PlatformJobTaskStatusResponse(WireModel):
    """How far one task of a step is."""

    id: str
    status: PlatformJobStatus | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_stack: str | None = None


class PlatformJobStepStatusResponse(WireModel):
    """How far one step of a job is."""

    name: str
    status: PlatformJobStatus | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: Mapped[JsonValue] = Field(default_factory=dict)
    tasks: Items[PlatformJobTaskStatusResponse] = Field(default_factory=list)


class PlatformJobStatusResponse(WireModel):
    """``GET /v2/evaluation/jobs/{id}/status``."""

    job_id: str
    status: PlatformJobStatus | None = None
    status_details: Mapped[JsonValue] = Field(default_factory=dict)
    error_details: Mapped[JsonValue] = Field(default_factory=dict)
    steps: Items[PlatformJobStepStatusResponse] = Field(default_factory=list)


class PlatformJobResult(WireModel):
    """A file that a job left, by name."""

    result_name: str
    job_id: str | None = None
    namespace: str | None = None
    project: str | None = None
    artifact_url: str | None = None
    artifact_storage_type: Literal["nds"] | str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class PlatformJobListResultResponse(WireModel):
    """``GET /v2/evaluation/jobs/{id}/results``."""

    object: str | None = None
    data: Items[PlatformJobResult] = Field(default_factory=list)


class PlatformJobLog(WireModel):
    """One line that a job wrote."""

    message: str
    timestamp: UtcDateTime | None = None
    job_id: str | None = None
    job_step: str | None = None
    job_task: str | None = None


class PlatformJobLogPage(WireModel):
    """A part of a job's log; the lists of logs go by a cursor, which is empty at the end."""

    object: str | None = None
    data: Items[PlatformJobLog] = Field(default_factory=list)
    next_page: str | None = None
    prev_page: str | None = None
    total: int | None = None


class PlatformEvaluationResult(WireModel):
    """What an evaluation found."""

    tasks: Mapped[TaskResult] = Field(default_factory=dict)
    groups: Mapped[GroupResult] = Field(default_factory=dict)
