"""Routes of the customization service: jobs of each backend, and job templates."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.customization.compile import Compiler
from lawtags_stack.helix.jobs.routes import HelixJobRoutes
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.jobs.views import service_job
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import Table
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.store import Database
from lawtags_stack.times import Clock

_SCHEMAS = {
    "automodel": "AutomodelJobsJobRequest",
    "rl": "RlJobsJobRequest",
    "unsloth": "UnslothJobsJobRequest",
}
_TELEMETRY: JsonObject = {"_nemo_telemetry": {"plugins": ["customization"]}}
_ROOT = f"/apis/customization{WORKSPACE}"
_TEMPLATES = ListKind(fields=("backend", "description"), size=20, most=100, keep_nulls=True)


class HelixCustomization:
    """The customization service.

    Args:
        database: the database.
        clock: returns the time.
        compiler: compiles training jobs.
        jobs: all jobs.
        routes: the routes that every service has for its jobs.
    """

    def __init__(
        self, database: Database, clock: Clock, compiler: Compiler, jobs: JobStore, routes: HelixJobRoutes
    ) -> None:
        self._database = database
        self._compiler = compiler
        self._jobs = jobs
        self._job_routes = routes
        self._templates = Table(
            database,
            "templates",
            "customization-job-template",
            clock,
            exists=lambda workspace, name: (
                f"Job template '{name}' already exists in workspace '{workspace}'."
            ),
            missing=lambda workspace, name: f"Job template '{name}' not found in workspace '{workspace}'.",
        )

    def purge(self, workspace: str) -> None:
        """Delete all templates of a workspace."""
        for each in [*self._templates.within(workspace)]:
            self._templates.delete(workspace, str(each["name"]))

    def routes(self) -> list[ApiRoute]:
        """The routes of all backends, and of templates."""
        root = f"{_ROOT}/job-templates"
        one = f"{root}/{{name}}"
        create, update = "CreateCustomizationJobTemplateRequest", "UpdateCustomizationJobTemplateRequest"
        routes = [
            helix_route("GET", "/apis/customization/v2/healthz", _healthy),
            helix_route("GET", root, self._list_templates),
            helix_route("POST", root, self._create_template, schema=create, status=201),
            helix_route("GET", one, self._read_template),
            helix_route("PATCH", one, self._update_template, schema=update),
            helix_route("DELETE", one, self._delete_template, status=204),
        ]
        for backend, schema in _SCHEMAS.items():
            jobs = f"{_ROOT}/{backend}/jobs"
            routes.append(helix_route("POST", jobs, self._submitter(backend), schema=schema, status=201))
            routes += self._job_routes.of_backend(jobs, backend)
        return routes

    def _submitter(self, backend: str) -> Callable[[HelixCall], JsonObject]:
        def submit(call: HelixCall) -> JsonObject:
            """Submit a training job; it waits for a runner."""
            spec, fields = call.body["spec"], call.body.get("custom_fields")
            assert isinstance(spec, dict)
            # One transaction, so that of equal jobs submitted at once a single one is accepted.
            with self._database.transaction():
                compiled = self._compiler.compile(backend, call.workspace, spec)
                job = self._jobs.create(
                    call.workspace,
                    str(call.body.get("name") or f"{backend}-{uuid.uuid4().hex[:12]}"),
                    source="customization",
                    spec=compiled.spec,
                    platform_spec=compiled.platform_spec,
                    sent=call.body,
                    custom_fields={**(fields if isinstance(fields, dict) else {}), **_TELEMETRY},
                )
            return service_job(job)

        return submit

    def _list_templates(self, call: HelixCall) -> JsonObject:
        """List job templates."""
        return listed(map(_shown, self._templates.within(call.workspace)), call.query, _TEMPLATES)

    def _create_template(self, call: HelixCall) -> JsonObject:
        """Create a job template; its contents are not checked."""
        fields: JsonObject = {
            "backend": call.body["backend"],
            "config": call.body["config"],
            "description": call.body.get("description") or "",
            "project": None,
            "db_version": 1,
        }
        return _shown(self._templates.insert(call.workspace, str(call.body["name"]), fields))

    def _read_template(self, call: HelixCall) -> JsonObject:
        """Get a job template."""
        return _shown(self._templates.get(call.workspace, call.path["name"]))

    def _update_template(self, call: HelixCall) -> JsonObject:
        """Replace fields of a job template."""
        with self._database.transaction():
            found = self._templates.get(call.workspace, call.path["name"])
            fields: JsonObject = {**call.sent, "db_version": int(str(found["db_version"])) + 1}
            return _shown(self._templates.change(call.workspace, call.path["name"], fields))

    def _delete_template(self, call: HelixCall) -> object:
        """Delete a job template."""
        self._templates.delete(call.workspace, call.path["name"])
        return empty()


def _healthy(call: HelixCall) -> JsonObject:
    """List the backends."""
    return {"plugin": "customization", "status": "ok", "contributors": [*_SCHEMAS]}


def _shown(template: JsonObject) -> JsonObject:
    names = (
        "name", "workspace", "project", "backend", "config", "description", "id", "created_at", "updated_at",
        "db_version",
    )  # fmt: skip
    by = {"created_by": "service:platform", "updated_by": "service:platform"}
    return {
        **{name: template[name] for name in names}, **by, "entity_id": template["id"], "parent": None,
    }  # fmt: skip
