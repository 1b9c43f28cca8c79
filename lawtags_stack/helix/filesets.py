"""Filesets: named folders of files in a workspace."""

from __future__ import annotations

from collections.abc import Callable

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.files import FilesetFiles
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, helix_route
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.helix.workspaces import Workspaces
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_LIST = ListKind(fields=("description", "purpose", "storage_type"), size=10, most=100, echo=("sort",))
_CHUNK_SIZES: dict[str, JsonValue] = {"read_chunk_size": 1048576, "write_buffer_size": 16777216}
_MARK = "service_source"
References = Callable[[str, str], tuple[int, int]]


class Filesets:
    """The filesets of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
        workspaces: the workspaces.
        files: their files.
    """

    def __init__(self, database: Database, clock: Clock, workspaces: Workspaces, files: FilesetFiles) -> None:
        self.files = files
        self.references: References = lambda workspace, name: (0, 0)
        self._workspaces = workspaces
        self._table = Table(
            database,
            "filesets",
            "fileset",
            clock,
            exists=lambda workspace, name: f"Fileset '{workspace}/{name}' already exists",
            missing=lambda workspace, name: f"Fileset '{name}' not found in workspace '{workspace}'",
        )

    def get(self, workspace: str, name: str) -> JsonObject:
        """Return a fileset.

        Raises:
            HelixError: it does not exist (404).
        """
        return self._table.get(workspace, name)

    def exists(self, reference: str, workspace: str) -> bool:
        """Whether ``name`` or ``workspace/name`` is a fileset.

        Args:
            reference: the reference.
            workspace: the workspace of a bare name.
        """
        return self._table.find(*split_reference(reference, workspace)) is not None

    def create(self, workspace: str, name: str, fields: JsonObject) -> JsonObject:
        """Create a fileset on the stack's own storage.

        Args:
            workspace, name: the fileset.
            fields: purpose, description, project, metadata, custom fields.

        Raises:
            HelixError: the name is taken (409).
        """
        storage: JsonObject = {
            **_CHUNK_SIZES,
            "type": "local",
            "path": self.files.storage_path(workspace, name),
        }
        empty: JsonObject = {"dataset": None, "model": None, "environment": None}
        fileset: JsonObject = {
            "description": fields.get("description") or "",
            "purpose": fields.get("purpose") or "generic",
            "storage": storage,
            "metadata": fields.get("metadata") or empty,
            "custom_fields": fields.get("custom_fields") or {},
            "project": fields.get("project") or "",
        }
        return self._table.insert(workspace, name, fileset)

    def delete(self, workspace: str, name: str) -> JsonObject:
        """Delete a fileset with its files, used or not, and return it.

        Raises:
            HelixError: it does not exist (404).
        """
        with self._table.database.transaction():
            found = self._table.delete(workspace, name)
            self.files.delete_all(workspace, name)
        return found

    def purge(self, workspace: str) -> None:
        """Delete all filesets of a workspace."""
        for each in [*self._table.within(workspace)]:
            self.delete(workspace, str(each["name"]))

    def check_mutable(self, workspace: str, name: str, *, service: bool) -> None:
        """Check that a caller may change the files of a fileset.

        Raises:
            HelixError: it does not exist (404), or belongs to a service (403).
        """
        found = self.get(workspace, name)
        if not service and _mark_of(found):
            raise HelixError(403, "Access denied: This fileset's files are immutable")

    def routes(self) -> list[ApiRoute]:
        """The routes of filesets."""
        root = f"/apis/files{WORKSPACE}/filesets"
        one = f"{root}/{{name}}"
        return [
            helix_route("GET", root, self._list),
            helix_route("POST", root, self._create, schema="CreateFilesetRequest"),
            helix_route("GET", one, self._read),
            helix_route("PATCH", one, self._update, schema="UpdateFilesetRequest"),
            helix_route("DELETE", one, self._delete),
            helix_route("POST", f"{one}/refresh", self._refresh),
        ]

    def require_workspace(self, workspace: str) -> None:
        """See that filesets, such as a job's own, can be created in a workspace; raises HelixError if not."""
        if not self._workspaces.exists(workspace):
            message = f"Workspace '{workspace}' does not exist. Please create the workspace first."
            raise HelixError(422, message)

    def _list(self, call: HelixCall) -> JsonObject:
        """List filesets."""
        return listed(self._table.within(call.workspace), call.query, _LIST, seen=_seen)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a fileset."""
        workspace, storage = call.workspace, call.body.get("storage")
        self.require_workspace(workspace)
        if isinstance(storage, dict):
            if storage.get("type") == "local":
                raise HelixError(
                    400,
                    "Creating filesets with local storage is not allowed. Use NGC, HuggingFace, or omit "
                    "storage to use the default backend.",
                )
            reason = f"this stack has no {storage.get('type')} backend; upload the files instead"
            raise HelixError(502, f"Storage backend unavailable: {reason}")
        sent = {**call.body, "custom_fields": _allowed(call.body.get("custom_fields"), call.is_service)}
        return self.create(workspace, str(call.body["name"]), sent)

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a fileset."""
        return self.get(call.workspace, call.path["name"])

    def _update(self, call: HelixCall) -> JsonObject:
        """Replace fields of a fileset."""
        workspace, name = call.workspace, call.path["name"]
        with self._table.database.transaction():
            found = self.get(workspace, name)
            fields: dict[str, JsonValue] = {each: call.body[each] for each in call.sent}
            if isinstance(fields.get("custom_fields"), dict):
                sent = _allowed(fields["custom_fields"], call.is_service)
                # An ordinary caller cannot change the mark, but sending no fields at all removes it.
                if sent and not call.is_service and _mark_of(found):
                    sent = {**sent, _MARK: _mark_of(found)}
                fields["custom_fields"] = sent
            return self._table.change(workspace, name, fields)

    def _delete(self, call: HelixCall) -> JsonObject:
        """Delete a fileset that no model or adapter refers to."""
        workspace, name = call.workspace, call.path["name"]
        self.get(workspace, name)
        models, adapters = self.references(workspace, name)
        if models or adapters:
            raise HelixError(
                409,
                f"Cannot delete fileset '{workspace}/{name}' because {models} model entity reference(s) and "
                f"{adapters} adapter entity reference(s) still use it. Relink or delete the dependent "
                "entities first.",
            )
        return self.delete(workspace, name)

    def _refresh(self, call: HelixCall) -> JsonObject:
        """Refuse to refresh: filesets on the stack's storage track no revision."""
        workspace, name = call.workspace, call.path["name"]
        self.get(workspace, name)
        message = f"Fileset '{workspace}/{name}' does not track a revision that can be refreshed"
        raise HelixError(409, message)


def _seen(fileset: JsonObject) -> JsonObject:
    storage = fileset["storage"]
    return {**fileset, "storage_type": storage["type"] if isinstance(storage, dict) else None}


def _mark_of(fileset: JsonObject) -> JsonValue:
    fields = fileset.get("custom_fields")
    return fields.get(_MARK) if isinstance(fields, dict) else None


def _allowed(fields: JsonValue, service: bool) -> JsonObject:
    """Custom fields without the mark that only services may set."""
    sent = fields if isinstance(fields, dict) else {}
    return sent if service else {name: each for name, each in sent.items() if name != _MARK}
