"""Model entities and their adapters."""

from __future__ import annotations

from collections.abc import Callable

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.helix.workspaces import Workspaces
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_MODELS = ListKind(
    fields=(
        "base_model", "adapters", "finetuning_type", "prompt", "lora_enabled", "description", "fileset",
        "family", "model_providers",
    ),
    sort="created_at",
    echo=("sort",),
)  # fmt: skip
_ADAPTERS = ListKind(
    fields=("model", "description", "fileset", "finetuning_type", "enabled"), sort="created_at", most=1000
)
_EMPTY: dict[str, JsonValue] = {
    "project": None,
    "description": None,
    "spec": None,
    "finetuning_type": None,
    "fileset": None,
    "trust_remote_code": False,
    "base_model": None,
    "api_endpoint": None,
    "backend_format": None,
    "prompt": None,
    "custom_fields": {},
    "ownership": None,
    "model_providers": [],
}
_SHOWN = ("name", "workspace", "description", "fileset", "finetuning_type", "enabled", "lora_config", "model")


class Models:
    """The models and adapters of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
        workspaces: the workspaces.
        filesets: the filesets with their weights.
    """

    def __init__(self, database: Database, clock: Clock, workspaces: Workspaces, filesets: Filesets) -> None:
        self._workspaces = workspaces
        self._filesets = filesets
        self.on_linked: Callable[[str, str], None] = lambda workspace, name: None
        self._models = Table(
            database,
            "models",
            "model",
            clock,
            exists=lambda workspace, name: (
                f"Model with workspace '{workspace}' and name '{name}' already exists"
            ),
            missing=lambda workspace, name: f"Model with workspace '{workspace}' and name '{name}' not found",
        )
        self._adapters = Table(
            database,
            "adapters",
            "adapter",
            clock,
            exists=lambda workspace, name: f"Model adapter already exists: {workspace}/{name}",
            missing=lambda workspace, name: f"Adapter '{name}' not found in workspace '{workspace}'",
        )
        filesets.references = self._references

    def find(self, reference: str, workspace: str) -> JsonObject | None:
        """Return the model ``name`` or ``workspace/name``, or None."""
        return self._models.find(*split_reference(reference, workspace))

    def adapter(self, workspace: str, name: str) -> JsonObject | None:
        """Return an adapter, or None."""
        return self._adapters.find(workspace, name)

    def all(self) -> list[JsonObject]:
        """All models, oldest first."""
        return [*self._models.within("-")]

    def adapters(self) -> list[JsonObject]:
        """All adapters, oldest first."""
        return [*self._adapters.within("-")]

    def create(self, workspace: str, name: str, fields: JsonObject) -> JsonObject:
        """Create a model.

        Raises:
            HelixError: the name is taken (409), or the fileset does not exist (400).
        """
        self._check_fileset(workspace, fields.get("fileset"))
        known = {each: fields[each] for each in _EMPTY if fields.get(each) is not None}
        found = self._models.insert(workspace, name, {**_EMPTY, **known})
        if found["fileset"] is not None:
            self.on_linked(workspace, name)
        return found

    def change(self, workspace: str, name: str, fields: JsonObject) -> JsonObject:
        """Replace fields of a model.

        Raises:
            HelixError: it does not exist (404), or the fileset does not (400).
        """
        self._check_fileset(workspace, fields.get("fileset"))
        found = self._models.change(workspace, name, fields)
        # Its specification is read until there is one, whatever else changes.
        if found["fileset"] is not None and found["spec"] is None:
            self.on_linked(workspace, name)
        return found

    def link(self, workspace: str, name: str, fields: JsonObject) -> None:
        """Set which providers serve a model."""
        self._models.change(workspace, name, fields)

    def delete(self, workspace: str, name: str) -> None:
        """Delete a model with its adapters.

        Raises:
            HelixError: it does not exist (404).
        """
        with self._models.database.transaction():
            self._models.delete(workspace, name)
            for each in self._adapters_of(workspace, name):
                self._adapters.delete(str(each["workspace"]), str(each["name"]))

    def purge(self, workspace: str) -> None:
        """Delete all models and adapters of a workspace."""
        for table in (self._models, self._adapters):
            for each in [*table.within(workspace)]:
                table.delete(workspace, str(each["name"]))

    def shown(self, model: JsonObject) -> JsonObject:
        """A model in the API's format, with its adapters."""
        adapters = self._adapters_of(str(model["workspace"]), str(model["name"]))
        return {**model, "adapters": [_adapter(each) for each in reversed(adapters)]}

    def routes(self) -> list[ApiRoute]:
        """The routes of models and adapters."""
        root = f"/apis/models{WORKSPACE}"
        one, flat = f"{root}/models/{{name}}", f"{root}/adapters"
        under = f"{root}/models/{{model_name}}/adapters"
        return [
            helix_route("GET", f"{root}/models", self._list),
            helix_route(
                "POST", f"{root}/models", self._create, schema="CreateModelEntityRequest", status=201
            ),
            helix_route("GET", one, self._read),
            helix_route("PATCH", one, self._update, schema="UpdateModelEntityRequest"),
            helix_route("DELETE", one, self._delete, status=204),
            helix_route("POST", under, self._add, schema="CreateModelAdapterRequest", status=201),
            helix_route("PATCH", f"{under}/{{name}}", self._update_adapter, schema="UpdateAdapterRequest"),
            helix_route("DELETE", f"{under}/{{name}}", self._delete_adapter, status=204),
            helix_route("GET", flat, self._list_adapters),
            helix_route("POST", flat, self._add, schema="CreateAdapterRequest", status=201),
            helix_route("GET", f"{flat}/{{name}}", self._read_adapter),
            helix_route("PATCH", f"{flat}/{{name}}", self._update_adapter, schema="UpdateAdapterRequest"),
            helix_route("DELETE", f"{flat}/{{name}}", self._delete_adapter, status=204),
        ]

    def _list(self, call: HelixCall) -> JsonObject:
        """List models."""
        models = map(self.shown, self._models.within(call.workspace))
        return listed(models, call.query, _MODELS, seen=_seen)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a model."""
        if not self._workspaces.exists(call.workspace):
            raise HelixError(422, "Referenced resource does not exist.")
        return self.shown(self.create(call.workspace, str(call.body["name"]), call.body))

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a model."""
        return self.shown(self._models.get(call.workspace, call.path["name"]))

    def _update(self, call: HelixCall) -> JsonObject:
        """Replace fields of a model."""
        return self.shown(self.change(call.workspace, call.path["name"], call.sent))

    def _delete(self, call: HelixCall) -> object:
        """Delete a model and its adapters; their filesets stay."""
        self.delete(call.workspace, call.path["name"])
        return empty()

    def _list_adapters(self, call: HelixCall) -> JsonObject:
        """List adapters."""
        return listed(map(_adapter, self._adapters.within(call.workspace)), call.query, _ADAPTERS)

    def _add(self, call: HelixCall) -> JsonObject:
        """Create an adapter; its name is unique in the workspace."""
        workspace, name = call.workspace, str(call.body["name"])
        reference = call.path.get("model_name") or str(call.body.get("model"))
        base_workspace, base = split_reference(reference, workspace)
        self._models.get(base_workspace, base)
        self._check_fileset(workspace, call.body.get("fileset"))
        if self._adapters.find(workspace, name) is not None:
            raise HelixError(409, f"Model adapter already exists: {base_workspace}/{base}/{name}")
        fields = {each: call.body.get(each) for each in _SHOWN if each in call.body}
        made: JsonObject = {**fields, "model": f"{base_workspace}/{base}"}
        return _adapter(self._adapters.insert(workspace, name, made))

    def _read_adapter(self, call: HelixCall) -> JsonObject:
        """Get an adapter."""
        return _adapter(self._adapters.get(call.workspace, call.path["name"]))

    def _update_adapter(self, call: HelixCall) -> JsonObject:
        """Replace fields of an adapter."""
        self._check_base(call)
        self._check_fileset(call.workspace, call.sent.get("fileset"))
        return _adapter(self._adapters.change(call.workspace, call.path["name"], call.sent))

    def _delete_adapter(self, call: HelixCall) -> object:
        """Delete an adapter; its fileset stays."""
        self._check_base(call)
        self._adapters.delete(call.workspace, call.path["name"])
        return empty()

    def _check_base(self, call: HelixCall) -> None:
        """Check that an adapter belongs to the model in the path, if there is one."""
        base = call.path.get("model_name")
        if base is None:
            return
        workspace, name = split_reference(base, call.workspace)
        if self._models.find(workspace, name) is None:
            message = f"Model with workspace '{workspace}' and model name '{name}' not found"
            raise HelixError(404, message)
        found = self._adapters.get(call.workspace, call.path["name"])
        if found["model"] != f"{workspace}/{name}":
            raise self._adapters.missing(call.workspace, call.path["name"])

    def _check_fileset(self, workspace: str, reference: JsonValue) -> None:
        if isinstance(reference, str) and not self._filesets.exists(reference, workspace):
            raise HelixError(400, f"Fileset '{reference}' not found in workspace '{workspace}'")

    def _adapters_of(self, workspace: str, name: str) -> list[JsonObject]:
        return [each for each in self._adapters.within("-") if each["model"] == f"{workspace}/{name}"]

    def _references(self, workspace: str, fileset: str) -> tuple[int, int]:
        """How many models and adapters refer to a fileset."""

        def refers(entity: JsonObject) -> bool:
            reference = entity.get("fileset")
            if not isinstance(reference, str):
                return False
            return split_reference(reference, str(entity["workspace"])) == (workspace, fileset)

        models = sum(map(refers, self._models.within("-")))
        return models, sum(map(refers, self._adapters.within("-")))


def _seen(model: JsonObject) -> JsonObject:
    spec, adapters = model.get("spec"), model.get("adapters")
    family = spec.get("family") if isinstance(spec, dict) else None
    return {**model, "family": family, "lora_enabled": bool(adapters)}


def _adapter(entity: JsonObject) -> JsonObject:
    return {name: entity.get(name) for name in (*_SHOWN, "created_at", "updated_at")}
