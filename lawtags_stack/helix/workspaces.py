"""Workspaces and projects."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import HelixCall, helix_route
from lawtags_stack.helix.tables import Table
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_ROOT = "/apis/entities/v2"
_WORKSPACES = ListKind(fields=("description",), most=1000, keep_nulls=True, unknown=500)
_PROJECTS = ListKind(fields=("description",), most=1000, keep_nulls=True)
_BUILT_IN = {
    "default": "General-purpose workspace (all users have write access)",
    "system": "Platform-provided resources (read-only for users)",
}


class Workspaces:
    """The workspaces and their projects.

    A deleted workspace is gone at once, but keeps its contents and its name until ``purge`` has removed them.

    Args:
        database: the database.
        clock: returns the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._table = Table(
            database,
            "workspaces",
            "workspace",
            clock,
            exists=lambda _, name: f"Workspace '{name}' already exists",
            missing=lambda _, name: f"Workspace '{name}' not found",
        )
        self._projects = Table(
            database,
            "projects",
            "project",
            clock,
            exists=lambda workspace, name: f"Project '{name}' already exists in workspace '{workspace}'.",
            missing=lambda workspace, name: f"Project '{name}' not found in workspace '{workspace}'.",
        )
        self._deletions = Table(
            database,
            "workspace_deletions",
            "workspace-deletion",
            clock,
            exists=lambda _, name: f"Workspace '{name}' is still being deleted",
            missing=lambda _, name: f"Workspace deletion '{name}' not found",
        )

    def prepare(self) -> None:
        """Create the built-in workspaces in a new folder."""
        if next(self._table.within("-"), None) or next(self._deletions.within("-"), None):
            return
        for name, description in _BUILT_IN.items():
            self._table.insert("", name, {"description": description, "created_by": None, "updated_by": None})

    def exists(self, name: str) -> bool:
        """Whether a workspace exists."""
        return self._table.find("", name) is not None

    def names(self) -> list[str]:
        """The names of all workspaces."""
        return [str(each["name"]) for each in self._table.within("-")]

    def deleted(self) -> list[str]:
        """Workspaces whose contents are still to be removed."""
        return [str(each["name"]) for each in self._deletions.within("-")]

    def deleting(self, name: str) -> None:
        """Record that the removal of a workspace's contents has begun."""
        self._deletions.change("", name, {"deletion_stage": "deleting"})

    def purged(self, name: str) -> None:
        """Free the name of a workspace whose contents have been removed."""
        for project in [*self._projects.within(name)]:
            self._projects.delete(name, str(project["name"]))
        self._deletions.delete("", name)

    def routes(self) -> list[ApiRoute]:
        """The routes of workspaces, their deletions, and projects."""
        one, projects = f"{_ROOT}/workspaces/{{name}}", f"{_ROOT}/workspaces/{{workspace}}/projects"
        return [
            helix_route("GET", f"{_ROOT}/workspaces", self._list),
            helix_route("POST", f"{_ROOT}/workspaces", self._create, schema="WorkspaceInput", status=201),
            helix_route("GET", one, self._read),
            helix_route("PUT", one, self._update, schema="WorkspaceUpdate"),
            helix_route("DELETE", one, self._delete),
            helix_route("GET", f"{_ROOT}/workspace-deletions/{{name}}", self._deletion),
            helix_route("GET", projects, self._list_projects),
            helix_route("POST", projects, self._create_project, schema="ProjectInput", status=201),
            helix_route("GET", f"{projects}/{{name}}", self._read_project),
            helix_route("PUT", f"{projects}/{{name}}", self._update_project, schema="ProjectUpdate"),
            helix_route("DELETE", f"{projects}/{{name}}", self._delete_project),
        ]

    def _list(self, call: HelixCall) -> JsonObject:
        """List the workspaces."""
        return listed(map(_shown, self._table.within("-")), call.query, _WORKSPACES)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a workspace."""
        name = str(call.body["name"])
        if self._deletions.find("", name) is not None:
            raise HelixError(409, f"Workspace '{name}' is still being deleted")
        fields: JsonObject = {"description": call.body.get("description"), "created_by": "", "updated_by": ""}
        return _shown(self._table.insert("", name, fields))

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a workspace."""
        return _shown(self._table.get("", call.path["name"]))

    def _update(self, call: HelixCall) -> JsonObject:
        """Change the description of a workspace."""
        return _shown(self._table.change("", call.path["name"], call.sent))

    def _delete(self, call: HelixCall) -> JsonObject:
        """Delete a workspace; its contents are removed in the background."""
        name = call.path["name"]
        with self._table.database.transaction():
            self._table.delete("", name)
            self._deletions.insert("", name, {"deletion_stage": "pending", "deletion_error": None})
        return {"message": "Workspace marked for deletion", "id": name}

    def _deletion(self, call: HelixCall) -> JsonObject:
        """Get the progress of a workspace's deletion."""
        found = self._deletions.get("", call.path["name"])
        return {name: found[name] for name in ("name", "deletion_stage", "deletion_error", "updated_at")}

    def _list_projects(self, call: HelixCall) -> JsonObject:
        """List the projects of a workspace."""
        return listed(self._projects.within(call.workspace), call.query, _PROJECTS)

    def _create_project(self, call: HelixCall) -> JsonObject:
        """Create a project."""
        if not self.exists(call.workspace):
            raise HelixError(422, "Referenced resource does not exist.")
        fields = {"description": call.body.get("description")}
        return self._projects.insert(call.workspace, str(call.body["name"]), fields)

    def _read_project(self, call: HelixCall) -> JsonObject:
        """Get a project."""
        return self._projects.get(call.workspace, call.path["name"])

    def _update_project(self, call: HelixCall) -> JsonObject:
        """Change the description of a project."""
        return self._projects.change(call.workspace, call.path["name"], call.sent)

    def _delete_project(self, call: HelixCall) -> JsonObject:
        """Delete a project."""
        workspace, name = call.workspace, call.path["name"]
        self._projects.delete(workspace, name)
        return {"message": "Project deleted successfully", "id": f"{workspace}/{name}"}


def _shown(entity: JsonObject) -> JsonObject:
    order = ("id", "name", "description", "created_at", "created_by", "updated_at", "updated_by")
    return {name: entity.get(name) for name in order}
