"""The five CRUD routes of every kind of entity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from pydantic import BaseModel

from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import DeleteResponse
from lawtags_client.types.common import Page as Listed
from lawtags_stack.entities.store import EntityKind, EntityRecord
from lawtags_stack.http.bodies import sent_fields
from lawtags_stack.http.operations import list_parameters
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.http.select import EntityPage

RecordT = TypeVar("RecordT", bound=EntityRecord)


class Collection(Protocol[RecordT]):
    """The state behind the routes; ``EntityTable`` implements it."""

    @property
    def kind(self) -> EntityKind[RecordT]:
        """The kind of entity."""
        ...

    def create(self, fields: JsonObject) -> JsonObject:
        """Create an entity."""
        ...

    def get(self, namespace: str, name: str) -> JsonObject:
        """Read an entity."""
        ...

    def patch(self, namespace: str, name: str, changes: JsonObject) -> JsonObject:
        """Update an entity."""
        ...

    def delete(self, namespace: str, name: str) -> JsonObject:
        """Delete an entity, and return the API's receipt."""
        ...

    def select(self, query: ListQuery) -> EntityPage:
        """Return one page of entities."""
        ...


def entity_routes(
    prefix: str,
    entities: Collection[RecordT],
    create: type[BaseModel],
    update: type[BaseModel],
    shown: type[BaseModel],
    *,
    on_create: Callable[[JsonObject], JsonObject] | None = None,
    on_update: Callable[[str, str, JsonObject], JsonObject] | None = None,
    on_delete: Callable[[str, str], JsonObject] | None = None,
    keep_extra: bool = False,
    searched: bool = True,
) -> list[ApiRoute]:
    """Create the routes to list, create, read, update and delete entities under one path.

    Args:
        prefix: e.g. ``"/v1/datasets"``.
        entities: the state behind the routes.
        create: type of the body of POST.
        update: type of the body of PATCH.
        shown: type of the response.
        on_create: replaces ``entities.create``; receives the sent fields.
        on_update: replaces ``entities.patch``; receives namespace, name and the sent fields.
        on_delete: replaces ``entities.delete``; receives namespace and name.
        keep_extra: whether to keep fields that the type does not declare.
        searched: whether the real service supports search in the list.
    """
    make = on_create or entities.create
    change = on_update or entities.patch
    remove = on_delete or entities.delete
    one = f"{prefix}/{{name}}" if entities.kind.keyed_by_id else f"{prefix}/{{namespace}}/{{name}}"

    def names(call: RouteCall) -> tuple[str, str]:
        return call.path.get("namespace", ""), call.path["name"]

    def list_all(call: RouteCall) -> JsonObject:
        return entities.select(call.list_query(entities.kind.sorts)).envelope()

    def create_one(call: RouteCall) -> JsonObject:
        return make(sent_fields(call.sent(BaseModel), extra=keep_extra))

    def read_one(call: RouteCall) -> JsonObject:
        return entities.get(*names(call))

    def change_one(call: RouteCall) -> JsonObject:
        return change(*names(call), sent_fields(call.sent(BaseModel), extra=keep_extra))

    def delete_one(call: RouteCall) -> JsonObject:
        return remove(*names(call))

    listed, label = list_parameters(entities.kind.sorts, search=searched), entities.kind.label
    kept = "missing and null fields keep their values"
    page = Listed[shown]  # type: ignore[valid-type]
    return [
        route("GET", prefix, list_all, answers=page, query=listed, summary=f"List {label}s."),
        route("POST", prefix, create_one, body=create, answers=shown, summary=f"Create a {label}."),
        route("GET", one, read_one, answers=shown, summary=f"Get a {label}."),
        route("PATCH", one, change_one, body=update, answers=shown, summary=f"Update a {label}; {kept}."),
        route("DELETE", one, delete_one, answers=DeleteResponse, summary=f"Delete a {label}."),
    ]
