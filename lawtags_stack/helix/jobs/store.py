"""Jobs with their steps and tasks: the platform creates each step once the one before is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.jobs.results import HelixResultStore
from lawtags_stack.helix.jobs.states import FINAL, allowed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.http.ids import new_id
from lawtags_stack.store import Database, Documents, DuplicateKeyError
from lawtags_stack.times import Clock, naive

_LONGEST_NAME = 51
_CLEANED: JsonObject = {"task_cleanup_pending": False}
NO_PRINCIPAL: JsonObject = {
    "principal_id": "",
    "principal_groups": [],
    "principal_authz_aliases": [],
    "principal_on_behalf_of_authz_aliases": [],
}


class JobStore:
    """All jobs.

    Args:
        database: the database.
        clock: returns the time.
        filesets: the filesets; each job has one.
    """

    def __init__(self, database: Database, clock: Clock, filesets: Filesets) -> None:
        self._database = database
        self._clock = clock
        self._filesets = filesets
        self._jobs = Documents(database, "helix_jobs")
        self._steps = Documents(database, "helix_steps")
        self._tasks = Documents(database, "helix_tasks")
        self.results = HelixResultStore(database, clock)
        self.on_delete: Callable[[JsonObject], None] = lambda job: None

    # Jobs

    def create(
        self,
        workspace: str,
        name: str,
        *,
        source: str,
        spec: JsonObject,
        platform_spec: JsonObject,
        sent: JsonObject,
        custom_fields: JsonObject,
        principal: JsonObject = NO_PRINCIPAL,
    ) -> JsonObject:
        """Create a job with its fileset and its first step.

        Args:
            workspace, name: the job.
            source: the service that creates it.
            spec: what the caller asked for, with defaults.
            platform_spec: its steps.
            sent: the envelope: description, project, ownership, output location.
            custom_fields: the caller's fields, and those of the service.
            principal: on whose behalf its steps run.

        Raises:
            HelixError: the name is taken (409), or too long for the name of its fileset (422).
        """
        if len(name) > _LONGEST_NAME and not sent.get("output_location"):
            reason = f"Job name '{name}' is longer than {_LONGEST_NAME} characters, and its fileset"
            raise HelixError(422, f"{reason} 'job-fileset-{name}' would break the rule for names.")
        now = self._now()
        job: JsonObject = {
            "id": new_id("platform-job"),
            "attempt_id": new_id("platform-job-attempt"),
            "name": name,
            "workspace": workspace,
            "project": sent.get("project"),
            "description": sent.get("description"),
            "source": source,
            "spec": spec,
            "platform_spec": platform_spec,
            "fileset": f"job-fileset-{name}",
            "output_location": sent.get("output_location"),
            "status": "created",
            "status_details": {},
            "error_details": None,
            "created_at": now,
            "updated_at": now,
            "ownership": sent.get("ownership"),
            "custom_fields": custom_fields,
            "auth_context": principal,
        }
        with self._database.transaction():
            try:
                self._jobs.insert(_key(workspace, name), job)
            except DuplicateKeyError:
                raise HelixError(
                    409,
                    f"Job '{name}' already exists in workspace '{workspace}'. Choose a different job name or "
                    "delete the existing job before creating a new one.",
                ) from None
            if not self._filesets.exists(f"job-fileset-{name}", workspace):
                self._filesets.create(workspace, f"job-fileset-{name}", {})
            self._begin_step(job, 0)
        return job

    def find(self, workspace: str, name: str) -> JsonObject | None:
        """Return a job by name or id, or None."""
        found = self._jobs.get(_key(workspace, name))
        if found is None and name.startswith("platform-job-"):
            found = next((each for each in self.within(workspace) if each["id"] == name), None)
        return found

    def get(self, workspace: str, name: str) -> JsonObject:
        """Return a job by name or id.

        Raises:
            HelixError: it does not exist (404).
        """
        found = self.find(workspace, name)
        if found is None:
            raise HelixError(404, f"Job '{name}' not found in workspace '{workspace}'.")
        return found

    def within(self, workspace: str) -> Iterator[JsonObject]:
        """The jobs of a workspace, oldest first; ``-`` for all."""
        return iter(self._jobs if workspace == "-" else self._jobs.below(workspace))

    def delete(self, job: JsonObject) -> None:
        """Delete a finished job with its steps, tasks, results and fileset.

        Raises:
            HelixError: it is not finished (409).
        """
        if job["status"] not in FINAL:
            raise HelixError(
                409,
                f"Cannot delete job '{job['name']}' while it is '{job['status']}'. Cancel the job and wait "
                "for it to reach a terminal state before deleting.",
            )
        self.remove(job)

    def remove(self, job: JsonObject) -> None:
        """Delete a job, finished or not."""
        workspace, name = str(job["workspace"]), str(job["name"])
        with self._database.transaction():
            for step in self.steps(job):
                for task in self.tasks(step):
                    self._tasks.delete(f"{step['id']}/{task['name']}")
                self._steps.delete(f"{job['id']}/{step['name']}")
            self.results.remove(job)
            if self._filesets.exists(str(job["fileset"]), workspace):
                self._filesets.delete(workspace, str(job["fileset"]))
            self._jobs.delete(_key(workspace, name))
        self.on_delete(job)

    def merge_details(self, job: JsonObject, details: JsonObject) -> None:
        """Merge details into those of a job."""
        self._change_job(job, lambda found: {"status_details": _merged(found["status_details"], details)})

    def request(self, job: JsonObject, wanted: str) -> JsonObject:
        """Ask a job to be cancelled, paused or resumed, and return it; final jobs are unchanged.

        Args:
            job: the job.
            wanted: ``cancelling``, ``pausing`` or ``resuming``.
        """
        with self._database.transaction():
            job = self.get(str(job["workspace"]), str(job["name"]))
            current = next((step for step in reversed(self.steps(job))), None)
            if current is None or job["status"] in FINAL:
                return job
            before = str(current["status"])
            after = "cancelled" if wanted == "cancelling" and before == "created" else wanted
            if before != after and allowed(before, after):
                self._move(job, current, after, {}, None)
            return self.get(str(job["workspace"]), str(job["name"]))

    # Steps

    def steps(self, job: JsonObject) -> list[JsonObject]:
        """The steps of a job that have begun, oldest first."""
        names = [str(each["name"]) for each in _step_specs(job)]
        found = (self._steps.get(f"{job['id']}/{name}") for name in names)
        return [each for each in found if each is not None]

    def all_steps(self) -> Iterator[JsonObject]:
        """The steps of all jobs, oldest first."""
        return iter(self._steps)

    def step(self, workspace: str, job: str, name: str) -> tuple[JsonObject, JsonObject]:
        """Return a job and one of its steps.

        Raises:
            HelixError: one of them does not exist, or the step has not begun (404).
        """
        owner = self.find(workspace, job)
        found = self._steps.get(f"{owner['id']}/{name}") if owner is not None else None
        if owner is None or found is None:
            raise HelixError(404, f"Step '{name}' for job '{job}' not found in workspace '{workspace}'.")
        return owner, found

    def update_step(self, workspace: str, job: str, name: str, sent: JsonObject) -> JsonObject:
        """Move a step to another state, and its job with it.

        Args:
            workspace, job, name: the step.
            sent: ``status``, and details to merge.

        Raises:
            HelixError: the step does not exist (404), or cannot go to that state (409).
        """
        wanted = str(sent["status"])
        with self._database.transaction():
            owner, step = self.step(workspace, job, name)
            expected = sent.get("expected_step_id")
            if expected not in (None, step["id"]) or not allowed(str(step["status"]), wanted):
                raise HelixError(
                    409,
                    f"Cannot update job step '{name}' to status 'HelixJobStatus.{wanted.upper()}' from its "
                    "current state. Refresh the step status and try again.",
                )
            details, error = sent.get("status_details"), sent.get("error_details")
            if step["status"] == wanted and wanted in FINAL:
                return step
            changed = details if isinstance(details, dict) else {}
            return self._move(owner, step, wanted, changed, error if isinstance(error, dict) else None)

    def _begin_step(self, job: JsonObject, index: int) -> None:
        spec = _step_specs(job)[index]
        now = self._now()
        config = spec.get("config")
        step: JsonObject = {
            "name": spec["name"],
            "workspace": job["workspace"],
            "job": job["name"],
            "attempt_id": job["attempt_id"],
            "config": {**(config if isinstance(config, dict) else {}), "_step_spec_name": spec["name"]},
            "step_spec": spec,
            "source": job["source"],
            "fileset": job["fileset"],
            "auth_context": job["auth_context"],
            "status": "created",
            "status_details": {},
            "error_details": None,
            "id": new_id("platform-job-step"),
            "created_at": now,
            "updated_at": now,
            "db_version": 1,
        }
        self._steps.insert(f"{job['id']}/{spec['name']}", step)

    def _move(
        self, job: JsonObject, step: JsonObject, status: str, details: JsonObject, error: JsonObject | None
    ) -> JsonObject:
        failed = status in ("error", "cancelled")
        version = int(str(step["db_version"])) + (2 if failed else 1)
        merged = _merged(step["status_details"], {**details, **(_CLEANED if failed else {})})
        moved: JsonObject = {
            **step,
            "status": status,
            "status_details": merged,
            "error_details": error if error is not None else step["error_details"],
            "updated_at": self._now(),
            "db_version": version,
        }
        self._steps.put(f"{job['id']}/{step['name']}", moved)
        if failed:
            self._finalize_tasks(moved)
        self._follow(job, moved)
        return moved

    def _follow(self, job: JsonObject, step: JsonObject) -> None:
        """Let a job follow its step: to the next one, to its end, or to the step's state."""
        names = [str(each["name"]) for each in _step_specs(job)]
        index, status = names.index(str(step["name"])), str(step["status"])
        changes: dict[str, JsonValue] = {"status": status}
        if status == "completed" and index + 1 < len(names):
            changes["status"] = "active"
            if self._steps.get(f"{job['id']}/{names[index + 1]}") is None:
                self._begin_step(job, index + 1)
        elif status == "pending" and index > 0:
            changes["status"] = "active"
        if status == "error":
            changes["error_details"] = step["error_details"]
        self._change_job(job, lambda _: changes)

    # Tasks
    def tasks(self, step: JsonObject) -> list[JsonObject]:
        """The tasks of a step, oldest first."""
        return self._tasks.below(str(step["id"]))

    def task(self, step: JsonObject, name: str) -> JsonObject | None:
        """Return a task of a step, or None."""
        return self._tasks.get(f"{step['id']}/{name}")

    def put_task(self, workspace: str, job: str, step_name: str, name: str, sent: JsonObject) -> JsonObject:
        """Create or update a task; its details are merged, and copied to the job's own.

        A state that cannot follow is ignored with everything that came with it, except for details of a task
        in ``error``.

        Raises:
            HelixError: the step does not exist (404).
        """
        with self._database.transaction():
            owner, step = self.step(workspace, job, step_name)
            found = self.task(step, name)
            status = str(sent.get("status") or "pending")
            details = sent.get("status_details")
            details = details if isinstance(details, dict) else {}
            if found is None:
                return self._new_task(owner, step, name, status, details, sent)
            before = str(found["status"])
            if not allowed(before, status):
                if before != "error":
                    return found
                status = before
            changed: JsonObject = {
                **found,
                "status": status,
                "status_details": _merged(found["status_details"], details),
                "error_details": sent.get("error_details") or found["error_details"],
                "error_stack": sent.get("error_stack") or found["error_stack"],
                "updated_at": self._now(),
                "db_version": int(str(found["db_version"])) + 1,
            }
            self._tasks.put(f"{step['id']}/{name}", changed)
            self.merge_details(owner, details)
            return changed

    def _new_task(
        self,
        job: JsonObject,
        step: JsonObject,
        name: str,
        status: str,
        details: JsonObject,
        sent: JsonObject,
    ) -> JsonObject:
        ended = str(step["status"]) in ("error", "cancelled")
        now = self._now()
        task: JsonObject = {
            "name": name,
            "workspace": step["workspace"],
            "step_id": step["id"],
            "status": step["status"] if ended else status,
            "status_details": {**details, **_finalized(step)} if ended else details,
            "error_details": sent.get("error_details") or {},
            "error_stack": sent.get("error_stack"),
            "id": new_id("platform-job-task"),
            "created_at": now,
            "updated_at": now,
            "db_version": 1,
        }
        self._tasks.insert(f"{step['id']}/{name}", task)
        self.merge_details(job, details)
        return task

    def _finalize_tasks(self, step: JsonObject) -> None:
        for task in self.tasks(step):
            if task["status"] not in FINAL:
                ended: JsonObject = {
                    **task,
                    "status": step["status"],
                    "status_details": _merged(task["status_details"], _finalized(step)),
                    "updated_at": self._now(),
                    "db_version": int(str(task["db_version"])) + 1,
                }
                self._tasks.put(f"{step['id']}/{task['name']}", ended)

    def _change_job(self, job: JsonObject, change: Callable[[JsonObject], JsonObject]) -> None:
        key = _key(str(job["workspace"]), str(job["name"]))
        self._jobs.update(key, lambda found: {**found, **change(found)})

    def _now(self) -> str:
        return naive(self._clock())


def _key(workspace: str, name: str) -> str:
    return f"{workspace}/{name}"


def _step_specs(job: JsonObject) -> Sequence[JsonObject]:
    platform = job["platform_spec"]
    steps = platform.get("steps") if isinstance(platform, dict) else None
    return [each for each in steps if isinstance(each, dict)] if isinstance(steps, list) else []


def _merged(before: JsonValue, details: JsonObject) -> JsonObject:
    return {**(before if isinstance(before, dict) else {}), **details}


def _finalized(step: JsonObject) -> JsonObject:
    return {"message": f"Task finalized because job step is {step['status']}"}
