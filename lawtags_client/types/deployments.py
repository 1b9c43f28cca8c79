"""Wire models of Deployment Management: configs and deployments of NIMs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import Items, JobStatus, Ownership, UtcDateTime, WireModel, WireRequest
from lawtags_client.types.entity_store import Model


class NIMDeploymentConfig(WireModel):
    """The container that serves a model."""

    image_name: str
    image_tag: str
    gpu: int
    pvc_size: str | None = None
    additional_envs: dict[str, str] | None = Field(default=None, repr=False)
    namespace: str | None = None
    disable_lora_support: bool | None = None


class ExternalEndpointConfig(WireModel):
    """A hosted API offered through the proxy."""

    host_url: str
    api_key: str | None = Field(default=None, repr=False)
    enabled_models: list[str] | None = None


class DeploymentConfigUpdate(WireRequest):
    """``PATCH /v1/deployment/configs/{namespace}/{name}``."""

    model: str | Model | None = None
    nim_deployment: NIMDeploymentConfig | None = None
    external_endpoint: ExternalEndpointConfig | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None


class DeploymentConfigRequest(DeploymentConfigUpdate):
    """``POST /v1/deployment/configs``, or a config written into a deployment."""

    name: str | None = None
    namespace: str | None = None


class DeploymentConfig(WireModel):
    """What is to be deployed, and how."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    model: str | Model | None = None
    nim_deployment: NIMDeploymentConfig | None = None
    external_endpoint: ExternalEndpointConfig | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class ModelDeploymentUpdate(WireRequest):
    """``PATCH /v1/deployment/model-deployments/{namespace}/{name}``."""

    config: str | DeploymentConfigRequest | None = None
    async_enabled: bool | None = None
    models: list[str] | None = None
    hf_token: str | None = Field(default=None, repr=False)
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None


class ModelDeploymentRequest(ModelDeploymentUpdate):
    """``POST /v1/deployment/model-deployments``."""

    config: str | DeploymentConfigRequest
    name: str | None = None
    namespace: str | None = None


class DeploymentStatusDetails(WireModel):
    """How far a deployment is."""

    status: JobStatus | None = None
    description: str | None = None


class ModelDeployment(WireModel):
    """A deployed model."""

    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    config: str | DeploymentConfig | None = None
    deployed: bool | None = None
    url: str | None = None
    models: Items[str] = Field(default_factory=list)
    async_enabled: bool | None = None
    status_details: DeploymentStatusDetails | None = None
    description: str | None = None
    project: str | None = None
    custom_fields: Mapping[str, JsonValue] | None = None
    ownership: Ownership | None = None
    schema_version: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None


class DeploymentFilter(WireRequest):
    """Filter of deployments and of their configs; the API leaves open which fields there are."""

    name: str | None = None
    namespace: str | None = None
    project: str | None = None
