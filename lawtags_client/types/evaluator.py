"""Wire models of the Evaluator, v1: targets, configs, jobs, results, live evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import (
    APIEndpoint,
    DateTimeFilter,
    JobStatus,
    Mapped,
    Ownership,
    UtcDateTime,
    WireModel,
    WireRequest,
)
from lawtags_client.types.entity_store import Dataset, Model

TargetType: TypeAlias = Literal["model", "cached_outputs", "retriever", "rag", "rows", "dataset"] | str
ConfigType: TypeAlias = Literal["custom", "similarity_metrics", "agentic", "retriever", "rag"] | str
TaskStatus: TypeAlias = Literal["pending", "running", "completed", "failed"] | str


class CachedOutputs(WireModel):
    """Outputs made before, as one file."""

    files_url: str


class RetrieverPipeline(WireModel):
    """The models of a retriever."""

    query_embedding_model: str | Model
    index_embedding_model: str | Model
    reranker_model: str | Model | None = None
    top_k: int | None = None


class RetrieverTarget(WireModel):
    """A retriever to measure."""

    pipeline: RetrieverPipeline | None = None
    dataset: Dataset | None = None
    cached_outputs: CachedOutputs | None = None


class RagPipeline(WireModel):
    """A retriever with a model behind it."""

    retriever: RetrieverTarget
    model: str | Model
    context_ordering: str | None = None


class RagTarget(WireModel):
    """Retrieval-augmented generation to measure."""

    pipeline: RagPipeline | None = None
    dataset: Dataset | None = None
    cached_outputs: CachedOutputs | None = None


class ModelTarget(WireModel):
    """A model to measure, reached by its endpoint."""

    api_endpoint: APIEndpoint


class EvaluationTargetUpdate(WireRequest):
    """``PATCH /v1/evaluation/targets/{namespace}/{name}``."""

    type: TargetType | None = None
    model: str | ModelTarget | None = None
    cached_outputs: CachedOutputs | None = None
    rows: list[Mapping[str, JsonValue]] | None = None
    dataset: str | Dataset | None = None
    retriever: RetrieverTarget | None = None
    rag: RagTarget | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class EvaluationTargetRequest(EvaluationTargetUpdate):
    """``POST /v1/evaluation/targets``, or a target written into a job."""

    type: TargetType
    name: str | None = None
    namespace: str | None = None


class EvaluationTarget(WireModel):
    """What is measured."""

    type: TargetType
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    model: str | Model | None = None
    cached_outputs: CachedOutputs | None = None
    rows: list[Mapping[str, JsonValue]] | None = None
    dataset: str | Dataset | None = None
    retriever: RetrieverTarget | None = None
    rag: RagTarget | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None
    type_prefix: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class EvaluationParams(WireModel):
    """How an evaluation asks the model."""

    parallelism: int | None = None
    request_timeout: int | None = None
    max_retries: int | None = None
    limit_samples: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    extra: Mapping[str, JsonValue] | None = None


class MetricConfig(WireModel):
    """One metric of a task."""

    type: str
    params: Mapping[str, JsonValue] | None = None


class TaskConfig(WireModel):
    """One task of an evaluation; ``params.template`` renders the request."""

    type: Literal["completion", "chat-completion", "data", "default"] | str
    dataset: str | Dataset | None = None
    params: Mapping[str, JsonValue] | None = None
    metrics: dict[str, MetricConfig] | None = None


class GroupConfig(WireModel):
    """Tasks whose scores are put together."""

    tasks: list[str] | None = None
    groups: Mapping[str, JsonValue] | None = None
    metrics: dict[str, MetricConfig] | None = None


class EvaluationConfigUpdate(WireRequest):
    """``PATCH /v1/evaluation/configs/{namespace}/{name}``; the one PATCH that may carry a name."""

    type: ConfigType | None = None
    name: str | None = None
    namespace: str | None = None
    params: EvaluationParams | None = None
    tasks: dict[str, TaskConfig] | None = None
    groups: dict[str, GroupConfig] | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class EvaluationConfigRequest(EvaluationConfigUpdate):
    """``POST /v1/evaluation/configs``, or a config written into a job."""

    type: ConfigType


class EvaluationConfig(WireModel):
    """How it is measured."""

    type: ConfigType
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    params: EvaluationParams | None = None
    tasks: Mapped[TaskConfig] = Field(default_factory=dict)
    groups: Mapped[GroupConfig] = Field(default_factory=dict)
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None
    type_prefix: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class EvaluationJobRequest(WireRequest):
    """``POST /v1/evaluation/jobs`` and ``POST /v1/evaluation/live``."""

    config: str | EvaluationConfigRequest
    target: str | EvaluationTargetRequest
    namespace: str | None = None
    project: str | None = None
    description: str | None = None
    output_files_url: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class EvaluationStatusDetails(WireModel):
    """How far an evaluation is; carries no ``status``, which stands in the job."""

    message: str | None = None
    progress: float | None = None
    samples_processed: int | None = None
    task_status: Mapped[TaskStatus] = Field(default_factory=dict)


class EvaluationJob(WireModel):
    """An evaluation, its target and config written out."""

    id: str
    config: str | EvaluationConfig | None = None
    target: str | EvaluationTarget | None = None
    namespace: str | None = None
    project: str | None = None
    description: str | None = None
    output_files_url: str | None = None
    result: str | None = None
    status: JobStatus | None = None
    status_details: EvaluationStatusDetails | None = None
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)
    ownership: Ownership | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class ScoreStats(WireModel):
    """What a score was made of."""

    count: int | None = None
    sum: float | None = None
    mean: float | None = None
    min: float | None = None
    max: float | None = None
    stddev: float | None = None
    stderr: float | None = None
    variance: float | None = None
    sum_squared: float | None = None
    nan_count: int | None = None


class Score(WireModel):
    """One figure; ``value`` is the one to report, ``stats.mean`` may differ."""

    value: float | None = None
    stats: ScoreStats | None = None


class MetricResult(WireModel):
    """The scores of one metric, named by the service."""

    scores: Mapped[Score] = Field(default_factory=dict)


class TaskResult(WireModel):
    """The metrics of one task."""

    metrics: Mapped[MetricResult] = Field(default_factory=dict)
    data: Mapping[str, JsonValue] | None = None


class GroupResult(WireModel):
    """The metrics of one group."""

    metrics: Mapped[MetricResult] = Field(default_factory=dict)
    groups: Mapping[str, JsonValue] | None = None


class EvaluationResultUpdate(WireRequest):
    """``PATCH /v1/evaluation/results/{id}``."""

    job: str | None = None
    tasks: dict[str, TaskResult] | None = None
    groups: dict[str, GroupResult] | None = None
    files_url: str | None = None
    namespace: str | None = None
    project: str | None = None
    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class EvaluationResultRequest(EvaluationResultUpdate):
    """``POST /v1/evaluation/results``; written by the service itself as a rule."""

    job: str


class EvaluationResult(WireModel):
    """What an evaluation found."""

    job: str | None = None
    id: str | None = None
    tasks: Mapped[TaskResult] = Field(default_factory=dict)
    groups: Mapped[GroupResult] = Field(default_factory=dict)
    files_url: str | None = None
    namespace: str | None = None
    project: str | None = None
    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class LiveEvaluation(WireModel):
    """The answer of a live evaluation; nothing of it is stored."""

    status: JobStatus | None = None
    status_details: EvaluationStatusDetails | None = None
    result: EvaluationResult | None = None
    logs: Mapped[JsonValue] = Field(default_factory=dict)


class EvaluationEntityFilter(WireRequest):
    """Filter of evaluation targets and configs; ``model`` is for targets only."""

    name: str | None = None
    namespace: str | None = None
    project: str | None = None
    type: str | None = None
    model: str | None = None
    custom_fields: dict[str, str] | None = None
    created_at: DateTimeFilter | None = None


class EvaluationJobFilter(WireRequest):
    """Filter of ``GET /v1/evaluation/jobs``."""

    namespace: str | None = None
    project: str | None = None
    status: JobStatus | None = None
    config: str | EvaluationEntityFilter | None = None
    target: str | EvaluationEntityFilter | None = None
    custom_fields: dict[str, str] | None = None
    created_at: DateTimeFilter | None = None


class EvaluationResultFilter(WireRequest):
    """Filter of ``GET /v1/evaluation/results``."""

    job_id: str | None = None
