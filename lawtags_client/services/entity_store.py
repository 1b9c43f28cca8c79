"""The Entity Store: namespaces, projects, datasets, models."""

from __future__ import annotations

from lawtags_client.services.base import Entities, by_id
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.entity_store import (
    Dataset,
    DatasetFilter,
    DatasetRequest,
    DatasetUpdate,
    Model,
    ModelFilter,
    ModelRequest,
    ModelUpdate,
    Namespace,
    NamespaceFilter,
    NamespaceRequest,
    NamespaceUpdate,
    Project,
    ProjectFilter,
    ProjectRequest,
    ProjectUpdate,
)


class EntityStore:
    """What the platform knows by name.

    Args:
        http: the transport of the service.
    """

    def __init__(self, http: ServiceTransport) -> None:
        self.namespaces = Entities[Namespace, NamespaceRequest, NamespaceUpdate, NamespaceFilter](
            http, "/v1/namespaces", Namespace, NamespaceRequest, NamespaceUpdate, by_id
        )
        self.projects = Entities[Project, ProjectRequest, ProjectUpdate, ProjectFilter](
            http, "/v1/projects", Project, ProjectRequest, ProjectUpdate
        )
        self.datasets = Entities[Dataset, DatasetRequest, DatasetUpdate, DatasetFilter](
            http, "/v1/datasets", Dataset, DatasetRequest, DatasetUpdate
        )
        self.models = Entities[Model, ModelRequest, ModelUpdate, ModelFilter](
            http, "/v1/models", Model, ModelRequest, ModelUpdate
        )

    async def ensure_namespace(self, name: str) -> Namespace:
        """Get a namespace, or create it if it is missing."""
        return await self.namespaces.create_or_get(NamespaceRequest(id=name), compare=())
