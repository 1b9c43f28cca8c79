"""Jobs, steps and tasks in the formats of the API."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.jobs.store import JobStore

_GENERIC = (
    "id", "attempt_id", "name", "workspace", "project", "description", "source", "spec", "platform_spec",
    "fileset", "output_location", "status", "status_details", "error_details", "created_at", "updated_at",
    "ownership", "custom_fields",
)  # fmt: skip
_OF_SERVICE = (
    "id", "name", "description", "project", "workspace", "created_at", "updated_at", "spec", "status",
    "status_details", "error_details", "ownership", "custom_fields",
)  # fmt: skip
_PLATFORM = "service:platform"


def generic_job(job: JsonObject) -> JsonObject:
    """A job of the jobs API."""
    return {name: job[name] for name in _GENERIC}


def service_job(job: JsonObject) -> JsonObject:
    """A job of the service that created it."""
    return {name: job[name] for name in _OF_SERVICE}


def job_status(store: JobStore, job: JsonObject) -> JsonObject:
    """The state of a job, with those of its steps and tasks."""
    names = ("id", "name", "status", "status_details", "error_details")
    return {
        **{name: job[name] for name in names},
        "steps": [_step_status(store, step) for step in store.steps(job)],
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
    }


def shown_step(step: JsonObject) -> JsonObject:
    """A step with its configuration."""
    names = ("name", "workspace", "attempt_id", "config", "status", "status_details", "error_details", "id")
    return {
        **{name: step[name] for name in names},
        "project": None,
        **_entity(step, str(step["attempt_id"])),
    }


def queued_step(step: JsonObject) -> JsonObject:
    """A step in lists, with what a runner needs."""
    names = (
        "id", "job", "attempt_id", "fileset", "workspace", "name", "step_spec", "status", "status_details",
        "error_details", "auth_context", "created_at", "updated_at",
    )  # fmt: skip
    return {name: step[name] for name in names}


def shown_task(task: JsonObject) -> JsonObject:
    """A task of a step."""
    names = (
        "name", "workspace", "step_id", "status", "status_details", "error_details", "error_stack", "id"
    )  # fmt: skip
    return {
        **{name: task[name] for name in names},
        "project": None,
        **_entity(task, str(task["step_id"])),
    }


def _entity(entity: JsonObject, parent: str) -> JsonObject:
    return {
        "created_at": entity["created_at"],
        "created_by": _PLATFORM,
        "updated_at": entity["updated_at"],
        "updated_by": _PLATFORM,
        "entity_id": entity["id"],
        "parent": parent,
        "db_version": entity["db_version"],
    }


def _step_status(store: JobStore, step: JsonObject) -> JsonObject:
    names = ("id", "name", "status", "status_details", "created_at", "updated_at")
    task_names = (
        "id", "name", "status", "status_details", "error_details", "error_stack", "created_at", "updated_at"
    )  # fmt: skip
    tasks = [{name: task[name] for name in task_names} for task in reversed(store.tasks(step))]
    return {
        **{name: step[name] for name in names},
        "error_details": step["error_details"] or {},
        "tasks": tasks,
    }
