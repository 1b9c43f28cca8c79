"""Deployment configurations and deployments."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.http.responses import JsonResponse
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, zulu

_CONFIGS = ListKind(
    fields=("model_entity_id", "description"),
    sorts=("name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"),
    sort="created_at",
    echo=("sort",),
)
_DEPLOYMENTS = ListKind(
    fields=("status", "config", "model_provider_id", "status_message"), sort="created_at", echo=("sort",)
)
ANYONE: JsonObject = {
    "principal_id": "",
    "principal_account_id": None,
    "principal_email": None,
    "principal_groups": [],
    "principal_authz_aliases": [],
    "principal_on_behalf_of": None,
    "principal_on_behalf_of_groups": None,
    "principal_on_behalf_of_email": None,
    "principal_on_behalf_of_account_id": None,
    "principal_on_behalf_of_authz_aliases": [],
}
_ROOT = f"/apis/models{WORKSPACE}"


class DeploymentTables:
    """The deployments of all workspaces.

    Args:
        database: the database.
        clock: returns the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._configs = Table(
            database,
            "deployment_configs",
            "model-deployment-config",
            clock,
            exists=lambda workspace, name: (
                f"Deployment config with workspace '{workspace}' and name '{name}' already exists"
            ),
            missing=lambda workspace, name: f"Deployment config not found: {workspace}/{name}",
        )
        self._table = Table(
            database,
            "deployments",
            "model-deployment",
            clock,
            exists=lambda workspace, name: (
                f"Deployment with workspace '{workspace}' and name '{name}' already exists"
            ),
            missing=lambda workspace, name: f"Deployment not found: {workspace}/{name}",
        )

    def config(self, workspace: str, name: str) -> JsonObject | None:
        """Return a configuration, or None."""
        return self._configs.find(workspace, name)

    def all(self) -> list[JsonObject]:
        """All deployments, oldest first."""
        return [*self._table.within("-")]

    def model_of(self, reference: str, workspace: str) -> str | None:
        """The model of a deployment: ``workspace/name``; None if there is none.

        Args:
            reference: the deployment, ``name`` or ``workspace/name``.
            workspace: the workspace of a bare name.
        """
        found = self._table.find(*split_reference(reference, workspace))
        if found is None:
            return None
        owner = str(found["workspace"])
        config = self.config(*split_reference(str(found["config"]), owner))
        model = config.get("model_entity_id") if config is not None else None
        return None if model is None else "/".join(split_reference(str(model), owner))

    def set_status(
        self, deployment: JsonObject, status: str, message: str, provider: str | None = None
    ) -> JsonObject:
        """Put a deployment to a state, and record it in the history."""
        now = zulu(self._clock())
        history = deployment["status_history"]
        steps: list[JsonValue] = [*history] if isinstance(history, list) else []
        if not steps:
            steps.append(_step(now, deployment["status"], deployment["status_message"]))
        steps.append(_step(now, status, message))
        fields: JsonObject = {
            "status": status,
            "status_message": message,
            "status_history": steps,
            "model_provider_id": provider or deployment["model_provider_id"],
        }
        return self._table.change(str(deployment["workspace"]), str(deployment["name"]), fields)

    def forget(self, deployment: JsonObject) -> None:
        """Remove a deleted deployment."""
        self._table.delete(str(deployment["workspace"]), str(deployment["name"]))

    def purge(self, workspace: str) -> None:
        """Delete all configurations and deployments of a workspace."""
        for table in (self._configs, self._table):
            for each in [*table.within(workspace)]:
                table.delete(workspace, str(each["name"]))

    def routes(self) -> list[ApiRoute]:
        """The routes of configurations and deployments."""
        configs, root = f"{_ROOT}/deployment-configs", f"{_ROOT}/deployments"
        config, one = f"{configs}/{{name}}", f"{root}/{{name}}"
        create, update = "CreateModelDeploymentConfigRequest", "UpdateModelDeploymentConfigRequest"
        status = "UpdateModelDeploymentStatusRequest"
        return [
            helix_route("GET", configs, self._list_configs),
            helix_route("POST", configs, self._create_config, schema=create, status=201),
            helix_route("GET", config, self._read_config),
            helix_route("POST", config, self._update_config, schema=update, status=201),
            helix_route("DELETE", config, self._delete_config, status=204),
            helix_route("GET", f"{config}/versions", self._versions),
            helix_route("GET", root, self._list),
            helix_route("POST", root, self._create, schema="CreateModelDeploymentRequest", status=201),
            helix_route("GET", one, self._read),
            helix_route("POST", one, self._update, schema="UpdateModelDeploymentRequest", status=201),
            helix_route("DELETE", one, self._delete, status=202),
            helix_route("GET", f"{one}/models", self._models),
            helix_route("POST", f"{one}/status", self._put_status, schema=status),
        ]

    def _list_configs(self, call: HelixCall) -> JsonObject:
        """List deployment configurations."""
        return listed(map(_shown_config, self._configs.within(call.workspace)), call.query, _CONFIGS)

    def _create_config(self, call: HelixCall) -> JsonObject:
        """Create a deployment configuration."""
        fields: JsonObject = {**_config_fields(call.body), "entity_version": 1, "versions": []}
        return _shown_config(self._configs.insert(call.workspace, str(call.body["name"]), fields))

    def _read_config(self, call: HelixCall) -> JsonObject:
        """Get the latest version of a deployment configuration."""
        return _shown_config(self._configs.get(call.workspace, call.path["name"]))

    def _update_config(self, call: HelixCall) -> JsonObject:
        """Create a new version of a deployment configuration."""
        with self._configs.database.transaction():
            found = self._configs.get(call.workspace, call.path["name"])
            versions = found["versions"]
            before: list[JsonValue] = [*versions] if isinstance(versions, list) else []
            fields: JsonObject = {
                **_config_fields({**call.body, "project": found["project"]}),
                "entity_version": int(str(found["entity_version"])) + 1,
                "versions": [*before, _shown_config(found)],
            }
            return _shown_config(self._configs.change(call.workspace, call.path["name"], fields))

    def _delete_config(self, call: HelixCall) -> object:
        """Delete a deployment configuration."""
        self._configs.delete(call.workspace, call.path["name"])
        return empty()

    def _versions(self, call: HelixCall) -> JsonResponse:
        """List the versions of a deployment configuration, latest first."""
        found = self._configs.get(call.workspace, call.path["name"])
        versions = found["versions"]
        before = [*versions][::-1] if isinstance(versions, list) else []
        return JsonResponse([_shown_config(found), *before])

    def _list(self, call: HelixCall) -> JsonObject:
        """List deployments."""
        return listed(self._table.within(call.workspace), call.query, _DEPLOYMENTS)

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a deployment."""
        workspace = call.workspace
        config = self._config_named(call)
        fields: JsonObject = {
            "project": call.body.get("project"),
            "entity_version": 1,
            "config": call.body["config"],
            "config_version": config["entity_version"],
            "status": "CREATED",
            "status_message": "Deployment created",
            "status_history": [],
            "model_provider_id": None,
            "auth_context": ANYONE,
        }
        return self._table.insert(workspace, str(call.body["name"]), fields)

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a deployment."""
        return self._table.get(call.workspace, call.path["name"])

    def _update(self, call: HelixCall) -> JsonObject:
        """Give a deployment another configuration."""
        with self._table.database.transaction():
            found = self._table.get(call.workspace, call.path["name"])
            config = self._config_named(call)
            fields: JsonObject = {
                "config": call.body["config"],
                "config_version": call.body.get("config_version") or config["entity_version"],
                "entity_version": int(str(found["entity_version"])) + 1,
            }
            self._table.change(call.workspace, call.path["name"], fields)
            return self.set_status({**found, **fields}, "CREATED", "Deployment updated")

    def _delete(self, call: HelixCall) -> JsonResponse:
        """Mark a deployment for deletion."""
        with self._table.database.transaction():
            found = self._table.get(call.workspace, call.path["name"])
            if found["status"] not in ("DELETING", "DELETED"):
                self.set_status(found, "DELETING", "Deployment deletion requested")
        return JsonResponse(None, 202)

    def _models(self, call: HelixCall) -> JsonObject:
        """List the models that a deployment serves."""
        found = self._table.get(call.workspace, call.path["name"])
        model = self.model_of(str(found["name"]), call.workspace)
        ready = found["status"] == "READY" and model is not None
        return {"workspace": call.workspace, "name": found["name"], "models": [model] if ready else []}

    def _put_status(self, call: HelixCall) -> JsonObject:
        """Put a deployment to a state."""
        with self._table.database.transaction():
            found = self._table.get(call.workspace, call.path["name"])
            provider = call.body.get("model_provider_id")
            return self.set_status(
                found,
                str(call.body["status"]),
                str(call.body.get("status_message") or ""),
                None if provider is None else str(provider),
            )

    def _config_named(self, call: HelixCall) -> JsonObject:
        owner, name = split_reference(str(call.body["config"]), call.workspace)
        found = self.config(owner, name)
        if found is None:
            raise HelixError(400, f"Deployment config '{owner}/{name}' does not exist")
        return found


def _config_fields(body: JsonObject) -> JsonObject:
    spec = body["model_spec"]
    model = body.get("model_entity_id")
    if model is None and isinstance(spec, dict) and spec.get("model_name"):
        owner = spec.get("model_namespace")
        model = f"{owner}/{spec['model_name']}" if owner else spec["model_name"]
    names = ("project", "description", "engine", "model_spec", "executor_config")
    return {**{name: body.get(name) for name in names}, "model_entity_id": model}


def _shown_config(config: JsonObject) -> JsonObject:
    return {name: each for name, each in config.items() if name != "versions"}


def _step(moment: str, status: JsonValue, message: JsonValue) -> JsonObject:
    return {"timestamp": moment, "status": status, "status_message": message}
