"""Wire models of the models service: deployments and providers."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Items, Mapped, Resource, WireModel
from lawtags_client.json_value import JsonValue

Engine: TypeAlias = Literal["vllm", "nim", "generic"] | str


class HelixDeploymentConfig(Resource):
    """How a model is to be deployed."""

    engine: Engine | None = None
    entity_version: int | None = None
    model_spec: Mapped[JsonValue] = Field(default_factory=dict)
    executor_config: Mapped[JsonValue] = Field(default_factory=dict)
    model_entity_id: str | None = None


class ModelSpecRequest(HelixRequest):
    """Which model a deployment config is for."""

    model_namespace: str | None = None
    model_name: str | None = None
    model_revision: str | None = None
    model_type: str | None = None
    chat_template: str | None = None
    tool_call_config: dict[str, JsonValue] | None = None
    lora_enabled: bool | None = None


class ExecutorConfigRequest(HelixRequest):
    """What a deployment runs on."""

    gpu: int
    disk_size: str | None = None
    image_name: str | None = None
    image_tag: str | None = None
    health_check_path: str | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    additional_envs: dict[str, str] | None = Field(default=None, repr=False)
    additional_args: list[str] | None = None
    k8s_nim_operator_config: dict[str, JsonValue] | None = None
    override_config: dict[str, JsonValue] | None = None


class HelixDeploymentConfigRequest(HelixRequest):
    """What creates a deployment config."""

    name: str
    engine: Engine
    model_spec: ModelSpecRequest
    executor_config: ExecutorConfigRequest
    model_entity_id: str | None = None
    description: str | None = None
    project: str | None = None


class Deployment(Resource):
    """A model that is to be deployed."""

    config: str | None = None
    config_version: int | None = None
    status: str | None = None
    status_message: str | None = None
    status_history: Items[JsonValue] = Field(default_factory=list, repr=False)
    model_provider_id: str | None = None


class DeploymentRequest(HelixRequest):
    """What creates a deployment."""

    name: str
    config: str
    project: str | None = None


class ServedModelMapping(WireModel):
    """Which entity a name of a model server stands for."""

    model_entity_id: str
    served_model_name: str


class Provider(Resource):
    """A model server that the gateway asks."""

    host_url: str | None = None
    api_key_secret_name: str | None = None
    auth_header_format: str | None = None
    served_models: Items[ServedModelMapping] = Field(default_factory=list)
    enabled_models: Items[str] = Field(default_factory=list)
    status: str | None = None
    status_message: str | None = None
    default_extra_body: dict[str, JsonValue] | None = None
    default_extra_headers: dict[str, str] | None = Field(default=None, repr=False)
    required_extra_body: dict[str, JsonValue] | None = None
    required_extra_headers: dict[str, str] | None = Field(default=None, repr=False)
    model_deployment_id: str | None = None


class ProviderChanges(HelixRequest):
    """What replaces a provider."""

    host_url: str
    description: str | None = None
    project: str | None = None
    api_key_secret_name: str | None = None
    auth_header_format: str | None = None
    enabled_models: list[str] | None = None
    default_extra_body: dict[str, JsonValue] | None = None
    default_extra_headers: dict[str, str] | None = Field(default=None, repr=False)
    required_extra_body: dict[str, JsonValue] | None = None
    required_extra_headers: dict[str, str] | None = Field(default=None, repr=False)
    model_deployment_id: str | None = None


class ProviderRequest(ProviderChanges):
    """What creates a provider."""

    name: str
