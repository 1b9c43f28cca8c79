"""Evaluation targets, configs, jobs and results, without HTTP and without running anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lawtags_client.errors import ConflictError, NotFoundError
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.entities import Entities, EntityKind
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http import (
    Clock,
    ListQuery,
    Page,
    check_name,
    naive,
    new_id,
    select,
    split_reference,
    utc_now,
)
from lawtags_stack.services.evaluator import platform_jobs
from lawtags_stack.services.evaluator.addresses import AddressPolicy, addresses_in
from lawtags_stack.services.evaluator.evaluation import check_supported
from lawtags_stack.services.evaluator.expansion import expanded_config, expanded_target, identified
from lawtags_stack.services.evaluator.params import check_params
from lawtags_stack.store import Database, Documents

Document = dict[str, Any]
_SIDES = ("config", "target")
_STARTS = "starts"
_CONTENT = ("tasks", "groups", "model", "cached_outputs", "retriever", "rag", "rows", "dataset")


def _kind(label: str, prefix: str) -> EntityKind:
    return EntityKind(
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
        self.targets = Entities(database, _kind("target", "eval-target"), clock=clock)
        self.configs = Entities(database, _kind("config", "eval-config"), clock=clock)
        self._jobs = Documents(database, "evaluator_jobs")
        self._results = Documents(database, "evaluator_results")
        self._database = database
        self._addresses = addresses
        self._clock = clock

    # Jobs

    def job_create(self, fields: Mapping[str, Any]) -> Document:
        """Add a job; what it refers to is written out, and what it brings along becomes an entity.

        Raises:
            NotFoundError: the config or target it names does not exist.
            BadRequestError: it cannot be done here.
        """
        config, target = self.described(fields)
        if isinstance(fields["config"], Mapping) and "id" not in config:
            config = self._kept(self.configs, config)
        if isinstance(fields["target"], Mapping) and "id" not in target:
            target = self._kept(self.targets, target)
        return self.shown(self._added(new_id("eval"), fields, config, target))

    def platform_job_create(self, fields: Mapping[str, Any]) -> Document:
        """Add a job of the second version, which makes no entities. Raises as ``job_create``."""
        config, target = self.described(fields["spec"])
        job_id = new_id("job")
        name = check_name(fields.get("name") or job_id, what="job name")
        platform = {"name": name, "spec": fields["spec"], "task": new_id("task")}
        return platform_jobs.shown_job(self._added(job_id, fields, config, target, platform=platform))

    def _added(
        self, job_id: str, fields: Mapping[str, Any], config: Document, target: Document, **more: Any
    ) -> Document:
        now = naive(self._clock())
        namespace = fields.get("namespace") or "default"
        job: Document = {
            "created_at": now,
            "updated_at": now,
            "id": job_id,
            "namespace": check_name(namespace, what="namespace", versioned=False),
            "description": fields.get("description"),
            "target": identified(target, now=now),
            "config": identified(config, now=now),
            "result": None,
            "output_files_url": fields.get("output_files_url"),
            "status_details": {"message": None, "task_status": {}, "progress": None},
            "status": "created",
            "project": fields.get("project"),
            "custom_fields": fields.get("custom_fields") or {},
            "ownership": fields.get("ownership"),
            **more,
        }
        self._jobs.insert(job_id, job)
        return job

    def described(self, fields: Mapping[str, Any]) -> tuple[Document, Document]:
        """The config and target of an evaluation, written out; nothing is stored.

        Raises:
            NotFoundError: one of them is a name of nothing.
            BadRequestError: they cannot be done here.
        """
        config = self._found(self.configs, fields["config"])
        target = self._found(self.targets, fields["target"])
        check_supported(config, target)
        check_params(config, target)
        for address in addresses_in(config, target):
            self._addresses.check(address)
        return config, target

    def job(self, job_id: str) -> Document:
        """A job as it is kept, secrets and all.

        Raises:
            NotFoundError: there is none of this id, or it is one of the second version.
        """
        job = self.stored(job_id)
        if "platform" in job:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def platform_job(self, job_id: str) -> Document:
        """A job of the second version as it is kept.

        Raises:
            NotFoundError: there is none of this id.
        """
        job = self.stored(job_id)
        if "platform" not in job:
            raise NotFoundError(f"Evaluation job {job_id} not found")
        return job

    def stored(self, job_id: str) -> Document:
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

    def job_change(self, job_id: str, **changes: Any) -> Document | None:
        """Lay new values over a job that is not final yet; None if there is none of this id."""

        def changed(job: Document) -> Document | None:
            if job["status"] in FINAL_JOB_STATES:
                return None
            return {**job, **changes, "updated_at": naive(self._clock())}

        return self._jobs.update(job_id, changed)

    def job_begin(self, job_id: str) -> int | None:
        """Set a job to running; how often that happened, or None if it has come to its end or was deleted."""
        starts = int((self._jobs.get(job_id) or {}).get(_STARTS, 0)) + 1
        begun = self.job_change(job_id, status="running", **{_STARTS: starts})
        return None if begun is None or begun["status"] in FINAL_JOB_STATES else starts

    def job_set_down(self, job_id: str) -> None:
        """Take the last start of a job back: it was interrupted in order, and not by its own fault."""
        job = self._jobs.get(job_id)
        if job is not None:
            self.job_change(job_id, **{_STARTS: max(0, job.get(_STARTS, 0) - 1)})

    def job_complete(self, job_id: str, tasks: Document, groups: Document, details: Document) -> None:
        """Bring a job to its end together with its result, unless it has come to another meanwhile."""
        with self._database.transaction():
            job = self._jobs.get(job_id)
            if job is None or job["status"] in FINAL_JOB_STATES:
                return
            changes = {"status": "completed", "status_details": details}
            if "platform" not in job:
                about = {"job": job_id, "namespace": job["namespace"], "project": job["project"]}
                changes["result"] = self.result_create({**about, "tasks": tasks, "groups": groups})["id"]
            self.job_change(job_id, **changes)

    def job_delete(self, job_id: str) -> None:
        """Forget a job and its result.

        Raises:
            NotFoundError: there is none of this id.
        """
        job = self.stored(job_id)
        self._jobs.delete(job_id)
        if job["result"]:
            self._results.delete(job["result"])

    def jobs(self, query: ListQuery) -> Page:
        """The page of jobs that a list request asks for."""
        found = (_findable(self.shown(job)) for job in self._jobs if "platform" not in job)
        page = select(found, _by_name(query))
        return Page([_as_shown(each) for each in page.data], page.total, query)

    def platform_job_list(self, query: ListQuery) -> Page:
        """The page of jobs of the second version that a list request asks for."""
        return select((platform_jobs.shown_job(job) for job in self._jobs if "platform" in job), query)

    def unfinished(self) -> list[str]:
        """Ids of the jobs that have not come to their end, oldest first."""
        return [job["id"] for job in self._jobs if job["status"] not in FINAL_JOB_STATES]

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return dict(Counter(job["status"] for job in self._jobs))

    def shown(self, job: Document) -> Document:
        """A job as responses show it."""
        sides = {"target": expanded_target(job["target"]), "config": expanded_config(job["config"])}
        kept = {name: value for name, value in job.items() if name != _STARTS}
        shown: Document = masked({**kept, **sides})
        return shown

    # Results

    def result_create(self, fields: Mapping[str, Any]) -> Document:
        """Add a result."""
        result = self.result_draft(fields)
        self._results.insert(result["id"], result)
        return result

    def result_draft(self, fields: Mapping[str, Any]) -> Document:
        """A result with its id and times, which is kept nowhere."""
        now = naive(self._clock())
        empty: Document = {"namespace": "default", "files_url": None, "groups": {}, "custom_fields": {}}
        return {
            "created_at": now,
            "updated_at": now,
            "id": new_id("evaluation_result"),
            **empty,
            "tasks": {},
            **{key: value for key, value in fields.items() if value is not None},
        }

    def result(self, result_id: str) -> Document:
        """A result.

        Raises:
            NotFoundError: there is none of this id.
        """
        result = self._results.get(result_id)
        if result is None:
            raise NotFoundError(f"Evaluation result {result_id} not found")
        return result

    def result_change(self, result_id: str, changes: Mapping[str, Any]) -> Document:
        """Lay new values over a result.

        Raises:
            NotFoundError: there is none of this id.
        """
        self.result(result_id)
        news = {key: value for key, value in changes.items() if value is not None}
        stamp = {"updated_at": naive(self._clock())}
        changed = self._results.update(result_id, lambda result: {**result, **news, **stamp})
        assert changed is not None
        return changed

    def result_delete(self, result_id: str) -> Document:
        """Remove a result; the receipt.

        Raises:
            NotFoundError: there is none of this id.
        """
        self.result(result_id)
        self._results.delete(result_id)
        stamp = naive(self._clock())
        return {"message": "Resource deleted successfully.", "id": result_id, "deleted_at": stamp}

    def results(self, query: ListQuery) -> Page:
        """The page of results that a list request asks for."""
        page = select(({**each, "job_id": each.get("job")} for each in self._results), query)
        data = [{k: v for k, v in each.items() if k != "job_id"} for each in page.data]
        return Page(data, page.total, query)

    def _found(self, entities: Entities, given: str | Mapping[str, Any]) -> Document:
        if isinstance(given, str):
            return entities.stored(*split_reference(given, what=entities.kind.label))
        # An object with nothing but a name stands for the entity of this name.
        if given.get("name") and not any(given.get(field) for field in _CONTENT):
            return entities.stored(given.get("namespace") or "default", given["name"])
        return dict(given)

    def _kept(self, entities: Entities, given: Document) -> Document:
        """What a job brings along, kept under its name, or under its id where that name is taken.

        A name may come again with every job, and what others keep under it stays theirs; the job shows the
        name that was given in any case.
        """
        try:
            created = entities.create(given)
        except ConflictError:
            created = entities.create({**given, "name": None})
        named = {"name": given["name"]} if given.get("name") else {}
        return entities.stored(created["namespace"], created["name"]) | named


def _findable(job: Document) -> Document:
    names = {f"{side}_name": f"{job[side].get('namespace')}/{job[side].get('name')}" for side in _SIDES}
    return {**job, **names}


def _as_shown(job: Document) -> Document:
    return {name: value for name, value in job.items() if name not in ("config_name", "target_name")}


def _by_name(query: ListQuery) -> ListQuery:
    """``filter[config]=ns/name`` asks for the name, ``filter[config][type]=custom`` for a field."""
    named = {
        f"{name}_name" if name in _SIDES and isinstance(wanted, list) else name: wanted
        for name, wanted in query.filter.items()
    }
    return replace(query, filter=named)
