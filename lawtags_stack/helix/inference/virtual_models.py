"""Virtual models: the names by which the gateway is asked for entities."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_LIST = ListKind(
    fields=("default_model_entity", "guardrail_config"), size=20, most=200, echo=("sort",),
)  # fmt: skip
_FIELDS = (
    "default_model_entity", "autoprovisioned", "models", "request_middleware", "response_middleware",
    "post_response_middleware", "override_proxy",
)  # fmt: skip
_ROOT = f"/apis/inference-gateway{WORKSPACE}/virtual-models"


class VirtualModels:
    """The virtual models of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._table = Table(
            database,
            "virtual_models",
            "virtual-model",
            clock,
            exists=lambda workspace, name: (
                f"VirtualModel '{name}' already exists in workspace '{workspace}'."
            ),
            missing=lambda workspace, name: f"VirtualModel '{name}' not found in workspace '{workspace}'.",
        )

    def find(self, workspace: str, name: str) -> JsonObject | None:
        """Return a virtual model, or None."""
        return self._table.find(workspace, name)

    def within(self, workspace: str) -> list[JsonObject]:
        """The virtual models of a workspace, newest first."""
        return [*self._table.within(workspace)][::-1]

    def provision(self, workspace: str, name: str) -> None:
        """Create the virtual model of a served entity, unless there is one of its name."""
        if self.find(workspace, name) is None:
            body: JsonObject = {"default_model_entity": f"{workspace}/{name}", "autoprovisioned": True}
            self._insert(workspace, name, body)

    def retire(self, workspace: str, name: str) -> None:
        """Delete the virtual model that was created for an entity."""
        found = self.find(workspace, name)
        if found is not None and found["autoprovisioned"]:
            self._table.delete(workspace, name)

    def purge(self, workspace: str) -> None:
        """Delete all virtual models of a workspace."""
        for each in [*self._table.within(workspace)]:
            self._table.delete(workspace, str(each["name"]))

    def routes(self) -> list[ApiRoute]:
        """The routes of virtual models."""
        one = f"{_ROOT}/{{name}}"
        return [
            helix_route("GET", _ROOT, self._list),
            helix_route("POST", _ROOT, self._create, schema="CreateVirtualModelRequest", status=201),
            helix_route("GET", one, self._read),
            helix_route("PATCH", one, self._update, schema="UpdateVirtualModelRequest"),
            helix_route("DELETE", one, self._delete, status=204),
        ]

    def _insert(self, workspace: str, name: str, body: JsonObject) -> JsonObject:
        empty_lists: JsonObject = {field: [] for field in _FIELDS if field.endswith(("models", "middleware"))}
        known = {field: body[field] for field in _FIELDS if body.get(field) is not None}
        fields: dict[str, JsonValue] = {
            "project": None,
            "default_model_entity": None,
            "autoprovisioned": False,
            "override_proxy": None,
            **empty_lists,
            **known,
            "guardrail_config_ids": [],
            "db_version": 1,
        }
        return self._table.insert(workspace, name, fields)

    def _list(self, call: HelixCall) -> JsonObject:
        """List virtual models."""
        wanted = self._table.within(call.workspace)
        if call.request.query_params.get("exclude_autoprovisioned") == "true":
            wanted = (each for each in wanted if not each["autoprovisioned"])
        return listed(map(_shown, wanted), call.query, _LIST)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a virtual model."""
        return _shown(self._insert(call.workspace, str(call.body["name"]), call.body))

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a virtual model."""
        return _shown(self._table.get(call.workspace, call.path["name"]))

    def _update(self, call: HelixCall) -> JsonObject:
        """Replace fields of a virtual model."""
        with self._table.database.transaction():
            found = self._table.get(call.workspace, call.path["name"])
            fields = {name: call.body[name] for name in _FIELDS if name in call.sent}
            version = int(str(found["db_version"])) + 1
            changed: JsonObject = {**fields, "db_version": version}
            return _shown(self._table.change(call.workspace, call.path["name"], changed))

    def _delete(self, call: HelixCall) -> object:
        """Delete a virtual model."""
        self._table.delete(call.workspace, call.path["name"])
        return empty()


def _shown(entity: JsonObject) -> JsonObject:
    by = {"created_by": "service:platform", "updated_by": "service:platform"}
    return {**entity, **by, "entity_id": entity["id"], "parent": None}
