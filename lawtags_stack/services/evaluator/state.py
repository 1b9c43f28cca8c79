"""Evaluation targets, configs, jobs and results, without HTTP and without running anything."""

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
    read_wish,
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
    """What the Evaluator knows.

    Args:
        database: where it is kept.
        addresses: which addresses of models may be called.
        clock: tells the time.
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
        """Add a config.

        Raises:
            ConflictError: there is one of this name.
            UnprocessableError: it is of a type that is offered here, and could not be carried out.
        """
        _check_offered(fields)
        return self.configs.create(fields)

    def config_patch(self, namespace: str, name: str, changes: JsonObject) -> JsonObject:
        """Change a config. Raises as ``config_create``, and NotFoundError where there is none."""
        sent = {field: value for field, value in changes.items() if value is not None}
        _check_offered({**self.configs.document(namespace, name), **sent})
        return self.configs.patch(namespace, name, changes)

    # Jobs

    def job_create(self, fields: JsonObject) -> JsonObject:
        """Add a job; what it refers to is written out, and what it brings along becomes an entity.

        Raises:
            NotFoundError: the config or target it names does not exist.
            BadRequestError: it cannot be done here.
            UnprocessableError: a parameter or name cannot be used.
        """
        wish = read_wish(fields)
        resolved = self._with_entities(self._resolver.resolve(wish), fields)
        job = build_job(new_id("eval"), wish, resolved, self._now())
        self._jobs.insert(job.id, job)
        return self.shown(job)

    def platform_job_create(self, fields: JsonObject) -> JsonObject:
        """Add a job of the second version, which makes no entities. Raises as ``job_create``."""
        spec = fields["spec"]
        assert isinstance(spec, dict)  # its type was checked
        wish = read_wish(fields, spec)
        resolved = self._resolver.resolve(wish)
        job_id = new_id("job")
        name = sent_name(fields.get("name"), job_id, what="job name")
        platform = PlatformJob(name, spec, new_id("task"))
        job = build_job(job_id, wish, resolved, self._now(), platform)
        self._jobs.insert(job.id, job)
        return platform_jobs.shown_job(job)

    def described(self, fields: JsonObject) -> ResolvedEvaluation:
        """The config and target of an evaluation, written out; nothing is stored.

        Raises as ``job_create``.
        """
        return self._resolver.resolve(read_wish(fields))

    def job(self, job_id: str) -> EvaluationRecord:
        """A job as it is kept, secrets and all.

        Raises:
            NotFoundError: there is none of this id, or it is one of the second version.
        """
        job = self.stored(job_id)
        if job.platform is not None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def platform_job(self, job_id: str) -> EvaluationRecord:
        """A job of the second version as it is kept.

        Raises:
            NotFoundError: there is none of this id.
        """
        job = self.stored(job_id)
        if job.platform is None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def stored(self, job_id: str) -> EvaluationRecord:
        """A job of either version as it is kept.

        Raises:
            NotFoundError: there is none of this id.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def exists(self, job_id: str) -> bool:
        """Whether there is a job of this id, or it was deleted meanwhile."""
        return self._jobs.get(job_id) is not None

    def job_change(
        self, job_id: str, change: Callable[[EvaluationRecord], EvaluationRecord]
    ) -> EvaluationRecord | None:
        """Change a job that is not final yet; None if there is none of this id."""

        def changed(job: EvaluationRecord) -> EvaluationRecord | None:
            return None if job.final else replace(change(job), updated_at=self._now())

        return self._jobs.update(job_id, changed)

    def job_begin(self, job_id: str) -> int | None:
        """Set a job to running; how often that happened, or None if it has come to its end or was deleted."""
        begun = self.job_change(job_id, lambda job: replace(job, status="running", starts=job.starts + 1))
        return None if begun is None or begun.final else begun.starts

    def job_set_down(self, job_id: str) -> None:
        """Take the last start of a job back: it was interrupted in order, and not by its own fault."""
        self.job_change(job_id, lambda job: replace(job, starts=max(0, job.starts - 1)))

    def job_complete(
        self, job_id: str, tasks: JsonObject, groups: JsonObject, details: EvaluationStatusRecord
    ) -> None:
        """Bring a job to its end together with its result, unless it has come to another meanwhile."""
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
        """Forget a job and its result.

        Raises:
            NotFoundError: there is none of this id.
        """
        job = self.stored(job_id)
        self._jobs.delete(job_id)
        if job.result:
            self._results.delete(job.result)

    def jobs(self, query: ListQuery) -> EntityPage:
        """The page of jobs that a list request asks for."""
        found = (_findable(self.shown(job)) for job in self._jobs if job.platform is None)
        page = select(found, _by_name(query))
        return EntityPage([_as_shown(each) for each in page.data], page.total, query)

    def platform_job_list(self, query: ListQuery) -> EntityPage:
        """The page of jobs of the second version that a list request asks for."""
        return select((platform_jobs.shown_job(job) for job in self._jobs if job.platform is not None), query)

    def unfinished(self) -> list[str]:
        """Ids of the jobs that have not come to their end, oldest first."""
        return [job.id for job in self._jobs if not job.final]

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return dict(Counter(job.status for job in self._jobs))

    def shown(self, job: EvaluationRecord) -> JsonObject:
        """A job as responses show it."""
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
        """Add a result."""
        result = self.result_draft(fields)
        self._results.insert(str(result["id"]), result)
        return result

    def result_draft(self, fields: JsonObject) -> JsonObject:
        """A result with its id and times, which is kept nowhere."""
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
        """A result.

        Raises:
            NotFoundError: there is none of this id.
        """
        result = self._results.get(result_id)
        if result is None:
            raise NotFoundError(f"Evaluation result {result_id} not found")
        return result

    def result_change(self, result_id: str, changes: JsonObject) -> JsonObject:
        """Lay new values over a result.

        Raises:
            NotFoundError: there is none of this id.
        """
        self.result(result_id)
        news = {key: value for key, value in changes.items() if value is not None}
        stamp = {"updated_at": self._now()}
        changed = self._results.update(result_id, lambda result: {**result, **news, **stamp})
        assert changed is not None
        return changed

    def result_delete(self, result_id: str) -> JsonObject:
        """Remove a result; the receipt.

        Raises:
            NotFoundError: there is none of this id.
        """
        self.result(result_id)
        self._results.delete(result_id)
        stamp = self._now()
        return {"message": "Resource deleted successfully.", "id": result_id, "deleted_at": stamp}

    def results(self, query: ListQuery) -> EntityPage:
        """The page of results that a list request asks for."""
        page = select(({**each, "job_id": each.get("job")} for each in self._results), query)
        data = [{k: v for k, v in each.items() if k != "job_id"} for each in page.data]
        return EntityPage(data, page.total, query)

    def _with_entities(self, resolved: ResolvedEvaluation, fields: JsonObject) -> ResolvedEvaluation:
        """Keep what a job brings along rather than names."""
        config, target = resolved.config, resolved.target
        if isinstance(fields["config"], dict) and "id" not in config:
            config = self._kept(self.configs, config)
        if isinstance(fields["target"], dict) and "id" not in target:
            target = self._kept(self.targets, target)
        return ResolvedEvaluation(config, target)

    def _kept(self, entities: EntityTable[EntityRecord], given: JsonObject) -> JsonObject:
        """What a job brings along, kept under its name, or under its id where that name is taken.

        A name may come again with every job, and what others keep under it stays theirs; the job shows the
        name that was given in any case.
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
    """``filter[config]=ns/name`` asks for the name, ``filter[config][type]=custom`` for a field."""
    named = {
        f"{name}_name" if name in _SIDES and isinstance(wanted, list) else name: wanted
        for name, wanted in query.filter.items()
    }
    return replace(query, filter=named)
