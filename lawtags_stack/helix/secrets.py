"""Secrets; their values are returned by one route alone."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table
from lawtags_stack.helix.workspaces import Workspaces
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_LIST = ListKind(size=10, echo=())


class Secrets:
    """The secrets of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
        workspaces: the workspaces.
    """

    def __init__(self, database: Database, clock: Clock, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._table = Table(
            database,
            "secrets",
            "secret",
            clock,
            exists=lambda workspace, name: f"Secret '{workspace}/{name}' already exists",
            missing=lambda workspace, name: f"Secret {workspace}/{name} not found",
        )

    def value(self, workspace: str, name: str) -> str | None:
        """The value of a secret; None if there is none."""
        found = self._table.find(workspace, name)
        return None if found is None else str(found["value"])

    def purge(self, workspace: str) -> None:
        """Delete all secrets of a workspace."""
        for each in [*self._table.within(workspace)]:
            self._table.delete(workspace, str(each["name"]))

    def routes(self) -> list[ApiRoute]:
        """The routes of secrets."""
        root = f"/apis/secrets{WORKSPACE}/secrets"
        one = f"{root}/{{name}}"
        return [
            helix_route("GET", root, self._list),
            helix_route("POST", root, self._create, schema="HelixSecretCreateRequest", status=201),
            helix_route("GET", one, self._read),
            helix_route("GET", f"{one}/access", self._access),
            helix_route("PATCH", one, self._update, schema="HelixSecretUpdateRequest"),
            helix_route("DELETE", one, self._delete, status=204),
        ]

    def _list(self, call: HelixCall) -> JsonObject:
        """List secrets, without their values."""
        return listed(map(_shown, self._table.within(call.workspace)), call.query, _LIST)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a secret."""
        if not self._workspaces.exists(call.workspace):
            raise HelixError(422, "Referenced resource does not exist.")
        fields = {name: call.body.get(name) for name in ("description", "value")}
        return _shown(self._table.insert(call.workspace, str(call.body["name"]), fields))

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a secret, without its value."""
        return _shown(self._table.get(call.workspace, call.path["name"]))

    def _access(self, call: HelixCall) -> JsonObject:
        """Get the value of a secret."""
        found = self._table.get(call.workspace, call.path["name"])
        return {name: found[name] for name in ("name", "workspace", "value")}

    def _update(self, call: HelixCall) -> JsonObject:
        """Change the value or the description of a secret."""
        return _shown(self._table.change(call.workspace, call.path["name"], call.sent))

    def _delete(self, call: HelixCall) -> object:
        """Delete a secret."""
        self._table.delete(call.workspace, call.path["name"])
        return empty()


def _shown(secret: JsonObject) -> JsonObject:
    order = ("name", "workspace", "description", "created_at", "updated_at")
    return {name: secret.get(name) for name in order}
