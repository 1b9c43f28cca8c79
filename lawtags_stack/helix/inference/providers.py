"""Providers of models, and what they serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.inference.deployments import ANYONE
from lawtags_stack.helix.inference.virtual_models import VirtualModels
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.models import Models
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

ADAPTERS = "&adapters/"
_LIST = ListKind(
    fields=("status", "model_deployment_id", "description", "host_url"),
    sorts=(
        "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at", "status", "-status",
    ),
    sort="created_at",
    echo=("sort",),
    opaque=("custom_fields", "default_extra_body", "required_extra_body"),
)  # fmt: skip
_OPTIONAL = (
    "project", "description", "api_key_secret_name", "enabled_models", "default_extra_body",
    "default_extra_headers", "required_extra_body", "required_extra_headers", "model_deployment_id",
    "auth_header_format",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProvidedModel:
    """A model that a provider serves.

    Args:
        provider: the provider.
        name: the model's name at the provider.
        entity: ``workspace/name``, or ``workspace/base&adapters/workspace/adapter``.
    """

    provider: JsonObject
    name: str
    entity: str


class HelixProviders:
    """The providers of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
        models: the models; discovery creates and links them.
        virtual_models: the virtual models; discovery creates one for each served model.
    """

    def __init__(
        self, database: Database, clock: Clock, models: Models, virtual_models: VirtualModels
    ) -> None:
        self._models = models
        self._virtual_models = virtual_models
        self._table = Table(
            database,
            "providers",
            "model-provider",
            clock,
            exists=lambda workspace, name: (
                f"Model provider with workspace '{workspace}' and name '{name}' already exists"
            ),
            missing=lambda workspace, name: f"Model provider not found: {workspace}/{name}",
        )

        database.migrate("helix-serving", ["CREATE TABLE helix_serving (url TEXT NOT NULL)"])

    def follow_server(self, url: str) -> bool:
        """Give the providers of the stack's own inference server its address, which a restart may change.

        Args:
            url: where it is now.

        Returns:
            Whether it has moved.
        """
        database = self._table.database
        with database.transaction():
            before = database.row("SELECT url FROM helix_serving")
            if before is None:
                database.execute("INSERT INTO helix_serving (url) VALUES (?)", (url,))
                return False
            if before["url"] == url:
                return False
            database.execute("UPDATE helix_serving SET url = ?", (url,))
            for each in self.all():
                if each["model_deployment_id"] and str(each["host_url"]).rstrip("/") == before["url"]:
                    self._table.change(str(each["workspace"]), str(each["name"]), {"host_url": url})
        return True

    def find(self, workspace: str, name: str) -> JsonObject | None:
        """Return a provider, or None."""
        return self._table.find(workspace, name)

    def all(self) -> list[JsonObject]:
        """All providers, oldest first."""
        return [*self._table.within("-")]

    def served(self, entity: str) -> ProvidedModel | None:
        """Find who serves an entity or an adapter of one; None if nobody does."""
        for provider in self.all():
            for each in _mappings(provider):
                if each["model_entity_id"] == entity:
                    return ProvidedModel(provider, str(each["served_model_name"]), entity)
        return None

    def create(self, workspace: str, name: str, body: JsonObject) -> JsonObject:
        """Create a provider.

        Raises:
            HelixError: the name is taken (409).
        """
        fields: JsonObject = {
            **{each: body.get(each) for each in _OPTIONAL},
            "host_url": body["host_url"],
            "served_models": [],
            "status": body.get("status") or "CREATED",
            "status_message": body.get("status_message") or "Model provider created",
            "auth_context": ANYONE,
        }
        return self._table.insert(workspace, name, fields)

    def discovered(self, provider: JsonObject, found: Sequence[tuple[str, str]], *, linked: bool) -> None:
        """Record what a provider serves, create or link the entities, and their virtual models.

        Args:
            provider: the provider.
            found: its models: name at the provider, and entity.
            linked: whether the entities belong to a deployment, and are not to be created.
        """
        workspace, name = str(provider["workspace"]), str(provider["name"])
        mappings: list[JsonValue] = [
            {"model_entity_id": entity, "served_model_name": served} for served, entity in found
        ]
        with self._table.database.transaction():
            current = self.find(workspace, name)
            if current is None:
                return
            if not linked:
                for _, entity in found:
                    self._adopt(current, entity)
            for _, entity in found:
                if ADAPTERS not in entity:
                    self._virtual_models.provision(*split_reference(entity, workspace))
            if current["served_models"] != mappings or current["status"] != "READY":
                fields: JsonObject = {
                    "served_models": mappings, "status": "READY", "status_message": "",
                }  # fmt: skip
                self._table.change(workspace, name, fields)

    def delete(self, workspace: str, name: str) -> None:
        """Delete a provider, and the entities that only it served; a deployment's are unlinked.

        Raises:
            HelixError: it does not exist (404).
        """
        with self._table.database.transaction():
            provider = self._table.delete(workspace, name)
            for each in _mappings(provider):
                entity = str(each["model_entity_id"])
                if ADAPTERS in entity or self.served(entity) is not None:
                    continue
                owner, model = split_reference(entity, workspace)
                self._virtual_models.retire(owner, model)
                found = self._models.find(entity, workspace)
                if found is None:
                    continue
                rest = [one for one in _names(found) if one != f"{workspace}/{name}"]
                if provider["model_deployment_id"] is None and not rest:
                    self._models.delete(owner, model)
                elif provider["model_deployment_id"] is None:
                    self._models.link(owner, model, {"model_providers": rest})

    def purge(self, workspace: str) -> None:
        """Delete all providers of a workspace."""
        for each in [*self._table.within(workspace)]:
            self.delete(workspace, str(each["name"]))

    def _adopt(self, provider: JsonObject, entity: str) -> None:
        """Create the entity of a discovered model, or link the one of its name."""
        workspace, name = split_reference(entity, str(provider["workspace"]))
        reference = f"{provider['workspace']}/{provider['name']}"
        found = self._models.find(entity, workspace)
        known = _names(found) if found is not None else []
        if reference in known:
            return
        fields: JsonObject = {
            "api_endpoint": {
                "url": f"{str(provider['host_url']).rstrip('/')}/",
                "model_id": name,
                "api_key": None,
                "format": "openai",
            },
            "backend_format": "OPENAI_CHAT",
            "model_providers": [*known, reference],
        }
        if found is None:
            description = f"Auto-discovered model from provider {reference}"
            self._models.create(workspace, name, {**fields, "description": description})
        else:
            self._models.link(workspace, name, fields)

    def routes(self) -> list[ApiRoute]:
        """The routes of providers."""
        root = f"/apis/models{WORKSPACE}/providers"
        one = f"{root}/{{name}}"
        status = "UpdateModelProviderStatusRequest"
        return [
            helix_route("GET", root, self._list),
            helix_route("POST", root, self._create, schema="CreateModelProviderRequest", status=201),
            helix_route("GET", one, self._read),
            helix_route("PUT", one, self._put, schema="UpsertModelProviderRequest"),
            helix_route("PUT", f"{one}/status", self._put_status, schema=status),
            helix_route("DELETE", one, self._delete, status=204),
        ]

    def _list(self, call: HelixCall) -> JsonObject:
        """List providers."""
        return listed(self._table.within(call.workspace), call.query, _LIST)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a provider; its models are discovered in the background."""
        return self.create(call.workspace, str(call.body["name"]), call.body)

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a provider."""
        return self._table.get(call.workspace, call.path["name"])

    def _put(self, call: HelixCall) -> JsonObject:
        """Create or replace a provider."""
        workspace, name = call.workspace, call.path["name"]
        with self._table.database.transaction():
            if self.find(workspace, name) is None:
                return self.create(workspace, name, call.body)
            fields = {each: call.body[each] for each in (*_OPTIONAL, "host_url") if each in call.sent}
            return self._table.change(workspace, name, fields)

    def _put_status(self, call: HelixCall) -> JsonObject:
        """Set what a provider serves; discovery overwrites it."""
        names = ("model_deployment_id", "served_models", "status", "status_message")
        fields = {name: call.body[name] for name in names if name in call.sent}
        return self._table.change(call.workspace, call.path["name"], fields)

    def _delete(self, call: HelixCall) -> object:
        """Delete a provider, and the entities that only it served."""
        self.delete(call.workspace, call.path["name"])
        return empty()


def _mappings(provider: JsonObject) -> list[JsonObject]:
    served = provider["served_models"]
    return [each for each in served if isinstance(each, dict)] if isinstance(served, list) else []


def _names(model: JsonObject) -> list[str]:
    names = model["model_providers"]
    return [str(each) for each in names] if isinstance(names, list) else []
