"""Wire models of the Customizer: targets, configs, jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import (
    CamelModel,
    FinetuningType,
    Items,
    JobStatus,
    Mapped,
    ModelPrecision,
    Ownership,
    TrainingType,
    UtcDateTime,
    WireModel,
    WireRequest,
)
from lawtags_client.types.entity_store import Dataset
from lawtags_client.types.hyperparameters import DistillationParameters as DistillationParameters
from lawtags_client.types.hyperparameters import DpoParameters as DpoParameters
from lawtags_client.types.hyperparameters import Hyperparameters as Hyperparameters
from lawtags_client.types.hyperparameters import LoraParameters as LoraParameters
from lawtags_client.types.hyperparameters import Optimizer as Optimizer
from lawtags_client.types.hyperparameters import SftParameters as SftParameters

TargetState: TypeAlias = Literal[
    "created", "pending", "downloading", "ready", "failed", "cancelled", "unknown"
]
TargetStatus: TypeAlias = TargetState | Literal["deleting", "deleted", "delete_failed"] | str


class CustomizationTarget(WireModel):
    """A base checkpoint on the cluster."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    base_model: str | None = None
    description: str | None = None
    enabled: bool | None = None
    hf_endpoint: str | None = None
    model_path: str | None = None
    model_type: Literal["nemo", "hf", "hf-lora"] | str | None = None
    model_uri: str | None = None
    num_parameters: int | None = None
    precision: ModelPrecision | None = None
    status: TargetStatus | None = None
    tokenizer: Mapping[str, JsonValue] | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    warning_message: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class CustomizationTargetUpdate(WireRequest):
    """``PATCH /v1/customization/targets/{namespace}/{name}``."""

    base_model: str | None = None
    custom_fields: dict[str, str] | None = None
    description: str | None = None
    enabled: bool | None = None
    hf_endpoint: str | None = None
    model_path: str | None = None
    model_uri: str | None = None
    num_parameters: int | None = None
    precision: ModelPrecision | None = None
    project: str | None = None
    tokenizer: Mapping[str, JsonValue] | None = None


class CustomizationTargetRequest(CustomizationTargetUpdate):
    """``POST /v1/customization/targets``."""

    num_parameters: int
    precision: ModelPrecision
    name: str | None = None
    namespace: str | None = None


class CustomizationTargetFilter(WireRequest):
    """Filter of ``GET /v1/customization/targets``."""

    name: str | None = None
    namespace: str | None = None
    base_model: str | None = None
    enabled: bool | None = None
    status: TargetStatus | None = None


class TrainingOption(WireModel):
    """One way of training that a config offers, and what it takes."""

    training_type: TrainingType
    finetuning_type: FinetuningType
    num_gpus: int | None = None
    micro_batch_size: int | None = None
    num_nodes: int | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    expert_model_parallel_size: int | None = None
    use_sequence_parallel: bool | None = None


class TrainingOptionRemoval(WireModel):
    """Which way of training a config shall no longer offer."""

    training_type: TrainingType
    finetuning_type: FinetuningType


class Toleration(CamelModel):
    """A Kubernetes toleration."""

    effect: str | None = None
    key: str | None = None
    operator: str | None = None
    toleration_seconds: int | None = None
    value: str | None = None


class TrainingPodSpec(WireModel):
    """Where training pods may run; ``node_affinity`` is spelt as Kubernetes spells it."""

    annotations: dict[str, str] | None = None
    node_selectors: dict[str, str] | None = None
    node_affinity: Mapping[str, JsonValue] | None = None
    tolerations: list[Toleration] | None = None


class CustomizationConfig(WireModel):
    """A target with its ways of training, sequence length and prompt template."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    target: str | CustomizationTarget | None = None
    max_seq_length: int | None = None
    training_options: Items[TrainingOption] = Field(default_factory=list)
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    training_precision: ModelPrecision | None = None
    dataset_schemas: Items[Mapping[str, JsonValue]] = Field(default_factory=list)
    pod_spec: TrainingPodSpec | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    warning_message: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class _ConfigFields(WireRequest):
    chat_prompt_template: str | None = None
    custom_fields: dict[str, str] | None = None
    dataset_schemas: list[Mapping[str, JsonValue]] | None = None
    description: str | None = None
    ownership: Ownership | None = None
    pod_spec: TrainingPodSpec | None = None
    project: str | None = None
    prompt_template: str | None = None
    training_precision: ModelPrecision | None = None


class CustomizationConfigRequest(_ConfigFields):
    """``POST /v1/customization/configs``."""

    max_seq_length: int
    training_options: list[TrainingOption]
    target: str | CustomizationTargetRequest | None = None
    name: str | None = None
    namespace: str | None = None


class CustomizationConfigUpdate(_ConfigFields):
    """``PATCH /v1/customization/configs/{namespace}/{name}``; the target cannot be changed."""

    max_seq_length: int | None = None
    training_options: list[TrainingOption] | None = None
    add_training_options: list[TrainingOption] | None = None
    remove_training_options: list[TrainingOptionRemoval] | None = None


class CustomizationConfigFilter(WireRequest):
    """Filter of ``GET /v1/customization/configs``."""

    name: str | None = None
    namespace: str | None = None
    finetuning_type: FinetuningType | None = None
    training_type: TrainingType | None = None
    target_name: str | None = None
    target_base_model: str | None = None
    target_enabled: bool | None = None


class DatasetReference(WireModel):
    """A data set named in a job, by name or by URL."""

    name: str | None = None
    namespace: str | None = None
    files_url: str | None = None


class DatasetParameters(WireModel):
    """Options for particular kinds of rows."""

    tools: list[Mapping[str, JsonValue]] | None = None
    in_batch_negatives: bool | None = None
    negative_sample_strategy: str | None = None
    num_hard_negatives: int | None = None


class WandBData(WireModel):
    """Where Weights & Biases files a job."""

    project: str | None = None
    entity: str | None = None
    notes: str | None = None
    tags: list[str] | None = None


class WandBIntegration(WireModel):
    """Weights & Biases for a job; the key travels as a header."""

    wandb: WandBData
    type: Literal["wandb"] | str = "wandb"


class CustomizationJobRequest(WireRequest):
    """``POST /v1/customization/jobs``."""

    config: str | CustomizationConfigRequest
    dataset: str | DatasetReference
    hyperparameters: Hyperparameters
    name: str | None = None
    namespace: str | None = None
    description: str | None = None
    project: str | None = None
    output_model: str | None = None
    dataset_parameters: DatasetParameters | None = None
    integrations: list[WandBIntegration] | None = None
    custom_fields: dict[str, str] | None = None
    ownership: Ownership | None = None


class StatusLog(WireModel):
    """A line of a job's history; failure reasons stand in ``detail``."""

    updated_at: UtcDateTime | None = None
    message: str | None = None
    detail: str | None = None


class MetricPoint(WireModel):
    """One value of a series; ``step`` counts from zero, ``value`` may be NaN."""

    step: int | None = None
    timestamp: UtcDateTime | None = None
    value: float | None = None


class MetricSeries(WireModel):
    """The series of a job."""

    train_loss: Items[MetricPoint] = Field(default_factory=list)
    val_loss: Items[MetricPoint] = Field(default_factory=list)
    train_accuracy: Items[MetricPoint] = Field(default_factory=list)
    val_accuracy: Items[MetricPoint] = Field(default_factory=list)


class CustomizationMetrics(WireModel):
    """Which series there are, and the series."""

    keys: Items[str] = Field(default_factory=list)
    metrics: MetricSeries | None = None


class CustomizationStatusDetails(WireModel):
    """How far a job is; inside a job ``status`` may be absent."""

    status: JobStatus | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None
    elapsed_time: float | None = None
    percentage_done: float | None = None
    epochs_completed: int | None = None
    best_epoch: int | None = None
    steps_completed: int | None = None
    steps_per_epoch: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    metrics: CustomizationMetrics | None = None
    status_logs: Items[StatusLog] = Field(default_factory=list)


class ConfigSnapshot(WireModel):
    """The config as it was when the job was made."""

    base_model: str | None = None
    precision: ModelPrecision | None = None
    max_seq_length: int | None = None
    prompt_template: str | None = None
    chat_prompt_template: str | None = None
    tokenizer: Mapping[str, JsonValue] | None = None
    dataset_schema: Mapping[str, JsonValue] | None = None
    training_option: TrainingOption | None = None


class JobWarning(WireModel):
    """Something the service wants known about a job."""

    message: str | None = None
    explanation: str | None = None


class CustomizationJob(WireModel):
    """A training job."""

    id: str
    config: str | CustomizationConfig | None = None
    dataset: str | Dataset | None = None
    hyperparameters: Hyperparameters | None = None
    namespace: str | None = None
    description: str | None = None
    project: str | None = None
    output_model: str | None = None
    config_snapshot: ConfigSnapshot | None = None
    dataset_parameters: DatasetParameters | None = None
    integrations: Items[WandBIntegration] = Field(default_factory=list)
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)
    ownership: Ownership | None = None
    warnings: Items[JobWarning] = Field(default_factory=list)
    status: JobStatus | None = None
    status_details: CustomizationStatusDetails | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class CustomizationJobFilter(WireRequest):
    """Filter of ``GET /v1/customization/jobs``; ``dataset`` is the files URL."""

    namespace: str | None = None
    project: str | None = None
    status: JobStatus | None = None
    base_model: str | None = None
    dataset: str | None = None
    finetuning_type: FinetuningType | None = None
    training_type: TrainingType | None = None
    batch_size: int | None = None
    epochs: int | None = None
    log_every_n_steps: int | None = None


class PodEvent(WireModel):
    """A Kubernetes event of a training pod."""

    type: str | None = None
    reason: str | None = None
    message: str | None = None
    count: int | str | None = None
    first_seen: int | None = None
    last_seen: int | None = None


class PodLogs(WireModel):
    """Logs and events of one pod or container."""

    object: str | None = None
    status: Mapped[JsonValue] = Field(default_factory=dict)
    events: Items[PodEvent] = Field(default_factory=list)
    logs: Mapped[JsonValue] = Field(default_factory=dict)


class ContainerLogsError(WireModel):
    """What a training container died of."""

    message: str | None = None
    explanation: str | None = None
    exception_type: str | None = None
    stack_trace: str | None = None
    file: str | None = None
    line: int | None = None
    timestamp: str | None = None


class ContainerLogs(WireModel):
    """``GET /v1/customization/jobs/{id}/container-logs``."""

    entries: Mapped[PodLogs] = Field(default_factory=dict)
    error: ContainerLogsError | None = None
