"""Wire models of the Entity Store: namespaces, projects, datasets, models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import (
    APIEndpoint,
    DateTimeFilter,
    FinetuningType,
    Items,
    ModelPrecision,
    Ownership,
    UtcDateTime,
    VersionTag,
    WireModel,
    WireRequest,
)


class Namespace(WireModel):
    """A namespace; its id is its name."""

    id: str | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class NamespaceRequest(WireRequest):
    """``POST /v1/namespaces``."""

    id: str | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class NamespaceUpdate(WireRequest):
    """``PATCH /v1/namespaces/{id}``."""

    description: str | None = None
    project: str | None = None
    namespace: str | None = None
    schema_version: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class NamespaceFilter(WireRequest):
    """Filter of ``GET /v1/namespaces``."""

    namespace: str | None = None
    project: str | None = None


class Project(WireModel):
    """A project: a label that groups other things."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class ProjectRequest(WireRequest):
    """``POST /v1/projects``."""

    name: str | None = None
    namespace: str | None = None
    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class ProjectUpdate(WireRequest):
    """``PATCH /v1/projects/{namespace}/{name}``."""

    description: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class ProjectFilter(WireRequest):
    """Filter of ``GET /v1/projects``."""

    name: str | None = None
    namespace: str | None = None


class Dataset(WireModel):
    """A dataset: a name for files in a repository."""

    files_url: str | None = None
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    description: str | None = None
    project: str | None = None
    format: str | None = None
    hf_endpoint: str | None = None
    split: str | None = None
    limit: int | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    version_id: str | None = None
    version_tags: Items[VersionTag] = Field(default_factory=list)
    schema_version: str | None = None
    type_prefix: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class DatasetUpdate(WireRequest):
    """``PATCH /v1/datasets/{namespace}/{name}``."""

    files_url: str | None = None
    description: str | None = None
    project: str | None = None
    format: str | None = None
    hf_endpoint: str | None = None
    split: str | None = None
    limit: int | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None


class DatasetRequest(DatasetUpdate):
    """``POST /v1/datasets``; ``files_url`` is required."""

    files_url: str
    name: str | None = None
    namespace: str | None = None


class DatasetFilter(WireRequest):
    """Filter of ``GET /v1/datasets``."""

    namespace: str | None = None
    project: str | None = None


class ModelArtifact(WireModel):
    """Where a model's files are and whether they are there."""

    files_url: str | None = None
    status: Literal["created", "upload_failed", "upload_completed"] | str | None = None
    backend_engine: Literal["nemo", "trt_llm", "vllm", "faster_transformer", "hugging_face"] | str | None = (
        None
    )
    gpu_arch: str | None = None
    precision: ModelPrecision | None = None
    tensor_parallelism: int | None = None


class ModelSpec(WireModel):
    """What a model is."""

    context_size: int | None = None
    is_chat: bool | None = None
    num_parameters: int | None = None
    num_virtual_tokens: int | None = None


class LoraFinetuning(WireModel):
    """What a LoRA adapter touches."""

    alpha: int | None = None
    apply_lora_to_mlp: bool | None = None
    apply_lora_to_output: bool | None = None


class PTuningFinetuning(WireModel):
    """Embeddings found by p-tuning."""

    token_embeddings: list[list[float]] | None = None


class ParameterEfficientFinetuning(WireModel):
    """What makes a model an adapter of another."""

    finetuning_type: FinetuningType | None = None
    lora: LoraFinetuning | None = None
    p_tuning: PTuningFinetuning | None = None


class InferenceParams(WireModel):
    """Default sampling of a model."""

    max_tokens: int | None = None
    stop: list[str] | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None


class ReasoningParams(WireModel):
    """How a model's reasoning is asked for."""

    effort: str | None = None
    end_token: str | None = None
    include_if_not_finished: bool | None = None


class PromptData(WireModel):
    """A prompt that belongs to a model."""

    system_prompt: str | None = None
    system_prompt_template: str | None = None
    icl_few_shot_examples: str | None = None
    inference_params: InferenceParams | None = None
    reasoning_params: ReasoningParams | None = None


class Model(WireModel):
    """A model: base, adapter, or an endpoint elsewhere; ``name`` may hold ``@version``."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    description: str | None = None
    project: str | None = None
    base_model: str | Mapping[str, JsonValue] | None = None
    spec: ModelSpec | None = None
    artifact: ModelArtifact | None = None
    api_endpoint: APIEndpoint | None = None
    peft: ParameterEfficientFinetuning | None = None
    prompt: PromptData | None = None
    guardrails: Mapping[str, JsonValue] | None = None
    model_providers: Items[str] = Field(default_factory=list)
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None
    type_prefix: str | None = None
    version_id: str | None = None
    version_tags: Items[VersionTag] = Field(default_factory=list)
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class ModelUpdate(WireRequest):
    """``PATCH /v1/models/{namespace}/{name}``."""

    description: str | None = None
    project: str | None = None
    base_model: str | Mapping[str, JsonValue] | None = None
    spec: ModelSpec | None = None
    artifact: ModelArtifact | None = None
    api_endpoint: APIEndpoint | None = None
    peft: ParameterEfficientFinetuning | None = None
    prompt: PromptData | None = None
    guardrails: Mapping[str, JsonValue] | None = None
    model_providers: list[str] | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None


class ModelRequest(ModelUpdate):
    """``POST /v1/models``."""

    name: str | None = None
    namespace: str | None = None


class ModelPeftFilter(WireRequest):
    """Adapters of a kind."""

    lora: bool | None = None


class BaseModelFilter(WireRequest):
    """Models by the name of their base."""

    name: str | None = None


class ModelFilter(WireRequest):
    """Filter of ``GET /v1/models``."""

    namespace: str | None = None
    project: str | None = None
    base_model: str | BaseModelFilter | None = None
    created_at: DateTimeFilter | None = None
    peft: bool | ModelPeftFilter | None = None
    prompt: bool | None = None
