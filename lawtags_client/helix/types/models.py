"""Wire models of the models service: models and adapters."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Items, Mapped, Resource, WireModel
from lawtags_client.json_value import JsonValue

FinetuningType: TypeAlias = Literal["lora", "lora_merged", "all_weights"] | str


class LoraConfig(WireModel):
    """Size of a low-rank adapter."""

    rank: int | None = None
    alpha: int | None = None


class HelixAdapter(Resource):
    """A low-rank adapter of a model; its name is unique in the workspace, whatever its base."""

    fileset: str | None = None
    finetuning_type: FinetuningType | None = None
    enabled: bool | None = None
    lora_config: LoraConfig | None = None
    model: str | None = None


class HelixModel(Resource):
    """A model: an entity that points to a fileset of weights, and to what serves it."""

    spec: dict[str, JsonValue] | None = None
    fileset: str | None = None
    base_model: str | None = None
    finetuning_type: FinetuningType | None = None
    trust_remote_code: bool | None = None
    api_endpoint: dict[str, JsonValue] | None = Field(default=None, repr=False)
    backend_format: str | None = None
    adapters: Items[HelixAdapter] = Field(default_factory=list)
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)
    model_providers: Items[str] = Field(default_factory=list)


class HelixModelRequest(HelixRequest):
    """What creates a model."""

    name: str
    fileset: str | None = None
    base_model: str | None = None
    finetuning_type: FinetuningType | None = None
    description: str | None = None
    project: str | None = None
    spec: dict[str, JsonValue] | None = None
    custom_fields: dict[str, JsonValue] | None = None
    trust_remote_code: bool | None = None


class ModelChanges(HelixRequest):
    """What changes a model; maps are replaced whole."""

    fileset: str | None = None
    base_model: str | None = None
    finetuning_type: FinetuningType | None = None
    description: str | None = None
    spec: dict[str, JsonValue] | None = None
    custom_fields: dict[str, JsonValue] | None = None
    trust_remote_code: bool | None = None


class LoraConfigRequest(HelixRequest):
    """Size of a low-rank adapter to be registered."""

    rank: int
    alpha: int | None = None


class AdapterRequest(HelixRequest):
    """What creates an adapter under a base model."""

    name: str
    fileset: str
    finetuning_type: FinetuningType = "lora"
    lora_config: LoraConfigRequest | None = None
    description: str | None = None
    enabled: bool | None = None

    def to_wire(self) -> dict[str, JsonValue]:
        return {"finetuning_type": self.finetuning_type, **super().to_wire()}


class AdapterChanges(HelixRequest):
    """What changes an adapter."""

    fileset: str | None = None
    description: str | None = None
    enabled: bool | None = None
