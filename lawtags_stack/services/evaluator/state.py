"""Evaluation targets, configs, jobs and results, independent of HTTP and of running jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from lawtags_client.errors import ConflictError, NotFoundError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityKind, EntityRecord, EntityTable
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http import Clock, EntityPage, ListQuery, naive, new_id, select, sent_name, utc_now
from lawtags_stack.services.evaluator import platform_jobs
from lawtags_stack.services.evaluator.addresses import AddressPolicy
from lawtags_stack.services.evaluator.creation import (
    EvaluationResolver,
    ResolvedEvaluation,
    build_job,
    validate_request,
)
from lawtags_stack.services.evaluator.evaluation import SUPPORTED
from lawtags_stack.services.evaluator.expansion import expanded_config, expanded_target
from lawtags_stack.services.evaluator.records import (
    JOB,
    JOBS_TABLE,
    EvaluationRecord,
    EvaluationStatusRecord,
    PlatformJob,
)
from lawtags_stack.services.evaluator.spec import check_config
from lawtags_stack.store import Database, Documents, Records

_SIDES = ("config", "target")
_UNSHOWN = ("starts", "platform")


def _kind(label: str, prefix: str) -> EntityKind[EntityRecord]:
    return EntityKind(
        record=EntityRecord,
        label=f"evaluation {label}",
        table=f"evaluator_{label}s",
        id_prefix=prefix,
        nulls=False,
        defaults={"custom_fields": {}, "schema_version": "1.0", "type_prefix": prefix},
        present=masked,
    )


class EvaluatorState:
    """The Evaluator's stored state.

    Args:
        database: stores it.
        addresses: the allowed addresses of models.
        clock: returns the time.
    """

    def __init__(self, database: Database, addresses: AddressPolicy, *, clock: Clock = utc_now) -> None:
        self.targets = EntityTable(database, _kind("target", "eval-target"), clock=clock)
        self.configs = EntityTable(database, _kind("config", "eval-config"), clock=clock)
        self._resolver = EvaluationResolver(self.configs, self.targets, addresses)
        self._jobs = Records(Documents(database, JOBS_TABLE), JOB.read, JOB.write)
        self._results = Documents(database, "evaluator_results")
        self._database = database
        self._clock = clock

    # Configs

    def config_create(self, fields: JsonObject) -> JsonObject:
        """Create a config.

        Raises:
            ConflictError: the name is taken.
            UnprocessableError: its type is supported, and a parameter is invalid.
        """
        _check_offered(fields)
        return self.configs.create(fields)

    def config_patch(self, namespace: str, name: str, changes: JsonObject) -> JsonObject:
        """Update a config. Raises as ``config_create``, and NotFoundError if it does not exist."""
        sent = {field: value for field, value in changes.items() if value is not None}
        _check_offered({**self.configs.document(namespace, name), **sent})
        return self.configs.patch(namespace, name, changes)

    # Jobs

    def job_create(self, fields: JsonObject) -> JsonObject:
        """Create a job; its references are expanded, and its inline parts become entities.

        Raises:
            NotFoundError: its config or target does not exist.
            BadRequestError: it is not supported.
            UnprocessableError: a parameter or name is invalid.
        """
        wish = validate_request(fields)
        resolved = self._with_entities(self._resolver.resolve(wish), fields)
        job = build_job(new_id("eval"), wish, resolved, self._now())
        self._jobs.insert(job.id, job)
        return self.shown(job)

    def platform_job_create(self, fields: JsonObject) -> JsonObject:
        """Create a version 2 job, which creates no entities. Raises as ``job_create``."""
        spec = fields["spec"]
        assert isinstance(spec, dict)  # validated by the route
        wish = validate_request(fields, spec)
        resolved = self._resolver.resolve(wish)
        job_id = new_id("job")
        name = sent_name(fields.get("name"), job_id, what="job name")
        platform = PlatformJob(name, spec, new_id("task"))
        job = build_job(job_id, wish, resolved, self._now(), platform)
        self._jobs.insert(job.id, job)
        return platform_jobs.shown_job(job)

    def described(self, fields: JsonObject) -> ResolvedEvaluation:
        """The full config and target of an evaluation; stores nothing.

        Raises as ``job_create``.
        """
        return self._resolver.resolve(validate_request(fields))

    def job(self, job_id: str) -> EvaluationRecord:
        """Return a version 1 job as it is stored, including secrets.

        Raises:
            NotFoundError: it does not exist, or is a version 2 job.
        """
        job = self.stored(job_id)
        if job.platform is not None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def platform_job(self, job_id: str) -> EvaluationRecord:
        """Return a version 2 job as it is stored.

        Raises:
            NotFoundError: it does not exist.
        """
        job = self.stored(job_id)
        if job.platform is None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def stored(self, job_id: str) -> EvaluationRecord:
        """Return a job of either version as it is stored.

        Raises:
            NotFoundError: it does not exist.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def exists(self, job_id: str) -> bool:
        """Whether a job exists."""
        return self._jobs.get(job_id) is not None

    def job_change(
        self, job_id: str, change: Callable[[EvaluationRecord], EvaluationRecord]
    ) -> EvaluationRecord | None:
        """Update a job unless it has ended; None if it does not exist."""

        def changed(job: EvaluationRecord) -> EvaluationRecord | None:
            return None if job.final else replace(change(job), updated_at=self._now())

        return self._jobs.update(job_id, changed)

    def job_begin(self, job_id: str) -> int | None:
        """Set a job to running, and return its number of starts; None if it has ended or was deleted."""
        begun = self.job_change(job_id, lambda job: replace(job, status="running", starts=job.starts + 1))
        return None if begun is None or begun.final else begun.starts

    def job_interrupted(self, job_id: str) -> None:
        """Undo the count of a job's last start, after an orderly interruption."""
        self.job_change(job_id, lambda job: replace(job, starts=max(0, job.starts - 1)))

    def job_complete(
        self, job_id: str, tasks: JsonObject, groups: JsonObject, details: EvaluationStatusRecord
    ) -> None:
        """Complete a job and store its result, unless it has ended meanwhile."""
        with self._database.transaction():
            job = self._jobs.get(job_id)
            if job is None or job.final:
                return
            result = None
            if job.platform is None:
                about: JsonObject = {"job": job_id, "namespace": job.namespace, "project": job.project}
                result = str(self.result_create({**about, "tasks": tasks, "groups": groups})["id"])
            self.job_change(job_id, lambda job: replace(job.with_status("completed", details), result=result))

    def job_delete(self, job_id: str) -> None:
        """Delete a job and its result.

        Raises:
            NotFoundError: it does not exist.
        """
        job = self.stored(job_id)
        self._jobs.delete(job_id)
        if job.result:
            self._results.delete(job.result)

    def jobs(self, query: ListQuery) -> EntityPage:
        """Return the page of jobs for a list request."""
        found = (_findable(self.shown(job)) for job in self._jobs if job.platform is None)
        page = select(found, _by_name(query))
        return EntityPage([_as_shown(each) for each in page.data], page.total, query)

    def platform_job_list(self, query: ListQuery) -> EntityPage:
        """Return the page of version 2 jobs for a list request."""
        return select((platform_jobs.shown_job(job) for job in self._jobs if job.platform is not None), query)

    def unfinished(self) -> list[str]:
        """Ids of the unfinished jobs, oldest first."""
        return [job.id for job in self._jobs if not job.final]

    def counts(self) -> dict[str, int]:
        """The number of jobs by state."""
        return dict(Counter(job.status for job in self._jobs))

    def shown(self, job: EvaluationRecord) -> JsonObject:
        """Convert a job to a response."""
        stored = JOB.write(job)
        shown = {name: value for name, value in stored.items() if name not in _UNSHOWN}
        shown |= {
            "target": expanded_target(job.target),
            "config": expanded_config(job.config),
            "status_details": job.status_details.as_json(),
        }
        if job.platform is not None:
            shown["platform"] = stored["platform"]
        return masked(shown)

    # Results

    def result_create(self, fields: JsonObject) -> JsonObject:
        """Create a result."""
        result = self.result_draft(fields)
        self._results.insert(str(result["id"]), result)
        return result

    def result_draft(self, fields: JsonObject) -> JsonObject:
        """Create a result with an id and timestamps, without storing it."""
        now = self._now()
        empty: JsonObject = {"namespace": "default", "files_url": None, "groups": {}, "custom_fields": {}}
        return {
            "created_at": now,
            "updated_at": now,
            "id": new_id("evaluation_result"),
            **empty,
            "tasks": {},
            **{key: value for key, value in fields.items() if value is not None},
        }

    def result(self, result_id: str) -> JsonObject:
        """Return a result.

        Raises:
            NotFoundError: it does not exist.
        """
        result = self._results.get(result_id)
        if result is None:
            raise NotFoundError(f"Evaluation result {result_id} not found")
        return result

    def result_change(self, result_id: str, changes: JsonObject) -> JsonObject:
        """Update a result.

        Raises:
            NotFoundError: it does not exist.
        """
        self.result(result_id)
        news = {key: value for key, value in changes.items() if value is not None}
        stamp = {"updated_at": self._now()}
        changed = self._results.update(result_id, lambda result: {**result, **news, **stamp})
        assert changed is not None
        return changed

    def result_delete(self, result_id: str) -> JsonObject:
        """Delete a result, and return the API's receipt.

        Raises:
            NotFoundError: it does not exist.
        """
        self.result(result_id)
        self._results.delete(result_id)
        stamp = self._now()
        return {"message": "Resource deleted successfully.", "id": result_id, "deleted_at": stamp}

    def results(self, query: ListQuery) -> EntityPage:
        """Return the page of results for a list request."""
        page = select(({**each, "job_id": each.get("job")} for each in self._results), query)
        data = [{k: v for k, v in each.items() if k != "job_id"} for each in page.data]
        return EntityPage(data, page.total, query)

    def _with_entities(self, resolved: ResolvedEvaluation, fields: JsonObject) -> ResolvedEvaluation:
        """Store the inline parts of a job as entities."""
        config, target = resolved.config, resolved.target
        if isinstance(fields["config"], dict) and "id" not in config:
            config = self._store_part(self.configs, config)
        if isinstance(fields["target"], dict) and "id" not in target:
            target = self._store_part(self.targets, target)
        return ResolvedEvaluation(config, target)

    def _store_part(self, entities: EntityTable[EntityRecord], given: JsonObject) -> JsonObject:
        """Store an inline part under its name, or under its id if the name is taken.

        Jobs may repeat a name, and must not overwrite an entity of others; the job shows the given name in
        any case.
        """
        try:
            created = entities.add(given)
        except ConflictError:
            created = entities.add({**given, "name": None})
        kept = entities.document(created.namespace, created.name)
        return {**kept, "name": given["name"]} if given.get("name") else kept

    def _now(self) -> str:
        return naive(self._clock())


def _check_offered(config: JsonObject) -> None:
    tasks = config.get("tasks")
    listed = tasks.values() if isinstance(tasks, dict) else ()
    kinds = {task.get("type") for task in listed if isinstance(task, dict)}
    kind = str(config.get("type"))
    if kind in SUPPORTED and kinds <= set(SUPPORTED[kind]):
        check_config(config)


def _findable(job: JsonObject) -> JsonObject:
    return {**job, **{f"{side}_name": _reference(job[side]) for side in _SIDES}}


def _reference(side: JsonValue) -> str | None:
    return f"{side.get('namespace')}/{side.get('name')}" if isinstance(side, dict) else None


def _as_shown(job: JsonObject) -> JsonObject:
    return {name: value for name, value in job.items() if name not in ("config_name", "target_name")}


def _by_name(query: ListQuery) -> ListQuery:
    """``filter[config]=ns/name`` matches the name, ``filter[config][type]=custom`` a field."""
    named = {
        f"{name}_name" if name in _SIDES and isinstance(wanted, list) else name: wanted
        for name, wanted in query.filter.items()
    }
    return replace(query, filter=named)
