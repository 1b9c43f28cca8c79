"""The Entity Store as a service."""

from __future__ import annotations

from functools import partial
from typing import Any

from lawtags_client.types.entity_store import (
    Dataset,
    DatasetRequest,
    DatasetUpdate,
    Model,
    ModelRequest,
    ModelUpdate,
    Namespace,
    NamespaceRequest,
    NamespaceUpdate,
    Project,
    ProjectRequest,
    ProjectUpdate,
)
from lawtags_stack.entities import entity_routes
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.entity_store.state import EntityStoreState


class EntityStore(Service):
    """The Entity Store; it answers on the platform's port."""

    def summary(self) -> dict[str, Any]:
        state: EntityStoreState = self.state
        return {
            "datasets": state.datasets.count(),
            "models": [f"{model['namespace']}/{model['name']}" for model in state.models.all()],
        }


def create(context: StackContext) -> Service:
    """Make the Entity Store."""
    state = EntityStoreState(context.database, clock=context.clock)
    routes = entity_routes(
        "/v1/namespaces",
        state.namespaces,
        NamespaceRequest,
        NamespaceUpdate,
        Namespace,
        on_delete=lambda _, name: state.namespace_delete(name),
    )
    for path, entities, request, update, shown in (
        ("/v1/projects", state.projects, ProjectRequest, ProjectUpdate, Project),
        ("/v1/datasets", state.datasets, DatasetRequest, DatasetUpdate, Dataset),
        ("/v1/models", state.models, ModelRequest, ModelUpdate, Model),
    ):
        routes += entity_routes(
            path, entities, request, update, shown, on_create=partial(state.add, entities)
        )
    return EntityStore("entity_store", "platform", routes, state)
