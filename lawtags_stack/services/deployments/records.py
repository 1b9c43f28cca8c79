"""Stored records of deployments and their configs."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_stack.entities import EntityRecord


@dataclass(frozen=True, slots=True)
class ModelName:
    """An inline model of a config."""

    name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ExternalEndpoint:
    """An external API to forward requests to."""

    host_url: str
    enabled_models: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ModelsToServe:
    """The models of a deployment config.

    Args:
        model: the model, by name or inline.
        external_endpoint: the external API that serves them; None if this stack does.
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
    """The status of a deployment."""

    status: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord(EntityRecord):
    """A deployment.

    Args:
        config_found: its config at the time the deployment was created or changed.
        status_details: its status.
        models: the models to serve, if the deployment itself names them.
        gone_at: when a deleted deployment disappears; None if it is not deleted.
    """

    config_found: ModelsToServe
    status_details: DeploymentStatusRecord
    models: list[str] | None = None
    gone_at: str | None = None

    @property
    def served(self) -> tuple[str, ...]:
        """The models to serve, as ``namespace/name[@version]``."""
        return tuple(self.models or ()) or self.config_found.models

    @property
    def external(self) -> bool:
        """Whether an external API serves them."""
        return self.config_found.external_endpoint is not None
