"""The Entity Store as a service."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from lawtags_client.json_value import JsonObject
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
from lawtags_stack.entities import EntityRecord, EntityTable, entity_routes
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.entity_store.state import EntityStoreState

RecordT = TypeVar("RecordT", bound=EntityRecord)


class EntityStoreService(Service):
    """The Entity Store, on the platform's port.

    Args:
        context: the stack.
    """

    def __init__(self, context: StackContext) -> None:
        self.state = EntityStoreState(context.database, clock=context.clock)
        super().__init__("entity_store", "platform", _routes(self.state))

    def summary(self) -> JsonObject:
        return {
            "datasets": self.state.datasets.count(),
            "models": [model.reference for model in self.state.models.all()],
        }


def _routes(state: EntityStoreState) -> list[ApiRoute]:
    namespaces = entity_routes(
        "/v1/namespaces",
        state.namespaces,
        NamespaceRequest,
        NamespaceUpdate,
        Namespace,
        on_delete=lambda _, name: state.namespace_delete(name),
    )
    return [
        *namespaces,
        *_within_namespaces("/v1/projects", state, state.projects, ProjectRequest, ProjectUpdate, Project),
        *_within_namespaces("/v1/datasets", state, state.datasets, DatasetRequest, DatasetUpdate, Dataset),
        *_within_namespaces("/v1/models", state, state.models, ModelRequest, ModelUpdate, Model),
    ]


def _within_namespaces(
    path: str,
    state: EntityStoreState,
    entities: EntityTable[RecordT],
    request: type[BaseModel],
    update: type[BaseModel],
    shown: type[BaseModel],
) -> list[ApiRoute]:
    """Routes for entities that require an existing namespace."""
    return entity_routes(path, entities, request, update, shown, on_create=partial(state.add, entities))
