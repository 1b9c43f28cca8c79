"""What the stack reads of deployments and their configs."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_stack.entities import EntityRecord


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model that a config describes rather than names."""

    name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ExternalEndpoint:
    """A hosted API to pass on to."""

    host_url: str
    enabled_models: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ServedBy:
    """What a config says of the models to serve.

    Args:
        model: the model, by name or described.
        external_endpoint: the hosted API that serves them; None where they are served here.
    """

    model: str | ModelName | None = None
    external_endpoint: ExternalEndpoint | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models to serve, as ``namespace/name[@version]``."""
        if self.external_endpoint is not None and self.external_endpoint.enabled_models:
            return tuple(self.external_endpoint.enabled_models)
        model = self.model
        if isinstance(model, ModelName):
            model = f"{model.namespace or 'default'}/{model.name}"
        return (model,) if model else ()


@dataclass(frozen=True, slots=True)
class DeploymentStatusRecord:
    """How far a deployment is."""

    status: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord(EntityRecord):
    """A deployment.

    Args:
        config_found: its config as it was when the deployment was made or changed.
        status_details: how far it is.
        models: the models to serve, where the deployment names them itself.
        gone_at: when a deleted deployment is to go; None for all others.
    """

    config_found: ServedBy
    status_details: DeploymentStatusRecord
    models: list[str] | None = None
    gone_at: str | None = None

    @property
    def served(self) -> tuple[str, ...]:
        """The models to serve, as ``namespace/name[@version]``."""
        return tuple(self.models or ()) or self.config_found.models

    @property
    def external(self) -> bool:
        """Whether a hosted API serves them."""
        return self.config_found.external_endpoint is not None
