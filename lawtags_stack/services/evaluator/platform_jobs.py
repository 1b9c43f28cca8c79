"""Evaluations as platform jobs, version 2 of the Evaluator's API."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from lawtags_client.errors import BadRequestError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http import read_moment
from lawtags_stack.services.evaluator.records import EvaluationRecord, PlatformJob

STEP = "evaluation"
SCORES = "evaluation-results"
RESULTS = (SCORES, "artifacts")
"""The results of a completed job: its scores, and an archive of everything else."""

SORTS = ("created_at", "updated_at")
_STATES = {"running": "active", "failed": "error"}
_DEFAULT_LINES = 100
_MOST_LINES = 1000


def shown_job(job: EvaluationRecord) -> JsonObject:
    """Convert a stored job to a version 2 response."""
    platform = _platform(job)
    return {
        "id": job.id,
        "name": platform.name,
        "namespace": job.namespace,
        "description": job.description,
        "project": job.project,
        "spec": masked(platform.spec),
        "status": _status(job),
        "status_details": job.status_details.as_json(),
        "error_details": _error(job),
        "custom_fields": job.custom_fields,
        "ownership": job.ownership,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def shown_status(job: EvaluationRecord) -> JsonObject:
    """The status of a job: one step with one task."""
    state: JsonObject = {
        "status": _status(job),
        "status_details": job.status_details.as_json(),
        "error_details": _error(job) or {},
    }
    task: JsonObject = {"id": _platform(job).task, "error_stack": "", **state}
    return {"job_id": job.id, **state, "steps": [{"name": STEP, **state, "tasks": [task]}]}


def listed_results(job: EvaluationRecord, url: str) -> JsonObject:
    """The results of a job.

    Args:
        job: the stored job.
        url: the job's URL.
    """
    names = RESULTS if job.status == "completed" else ()
    return {"object": "list", "data": [_result(job, url, name) for name in names]}


def one_result(job: EvaluationRecord, url: str, name: str) -> JsonObject:
    """One result of a job.

    Raises:
        NotFoundError: there is no result of this name, or the job has not completed.
    """
    check_result(job, name)
    return _result(job, url, name)


def check_result(job: EvaluationRecord, name: str) -> None:
    """Check that a result exists.

    Raises:
        NotFoundError: see ``one_result``.
    """
    if name not in RESULTS:
        raise NotFoundError(f"Job {job.id} has no result {name!r}; available: {', '.join(RESULTS)}")
    if job.status != "completed":
        raise NotFoundError(f"Job {job.id} has no results; its status is {_status(job)}")


def log_page(job: EvaluationRecord, lines: list[str], query: Mapping[str, str]) -> JsonObject:
    """One page of a job's log.

    Args:
        job: the stored job.
        lines: the whole log; each line starts with its timestamp.
        query: ``limit`` and ``page_cursor``.

    Raises:
        BadRequestError: ``limit`` or ``page_cursor`` is invalid.
    """
    limit, start = _limit(query.get("limit")), _read_cursor(query.get("page_cursor"))
    end = min(start + limit, len(lines))
    task = {"job_id": job.id, "job_step": STEP, "job_task": _platform(job).task}
    return {
        "object": "list",
        "data": [{**task, **_entry(line, job.updated_at)} for line in lines[start:end]],
        "next_page": _cursor(end) if end < len(lines) else "",
        "prev_page": _cursor(max(0, start - limit)) if start else "",
        "total": len(lines),
    }


def _entry(line: str, otherwise: str) -> JsonObject:
    moment, _, message = line.partition(" ")
    try:
        read_moment(moment)
    except ValueError:  # truncated by a kill
        moment, message = otherwise, line
    return {"timestamp": moment, "message": message}


def _result(job: EvaluationRecord, url: str, name: str) -> JsonObject:
    return {
        "result_name": name,
        "job_id": job.id,
        "namespace": job.namespace,
        "project": job.project,
        "artifact_url": f"{url}/results/{name}/download",
        "artifact_storage_type": "nds",
        "created_at": job.updated_at,
        "updated_at": job.updated_at,
    }


def _platform(job: EvaluationRecord) -> PlatformJob:
    assert job.platform is not None
    return job.platform


def _status(job: EvaluationRecord) -> str:
    return _STATES.get(job.status, job.status)


def _error(job: EvaluationRecord) -> JsonObject | None:
    return {"message": job.status_details.message} if job.status == "failed" else None


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LINES
    if not text.isascii() or not text.isdigit() or not int(text[:9]):
        raise BadRequestError("limit must be a positive integer")
    return min(int(text[:9]), _MOST_LINES)


def _cursor(line: int) -> str:
    return base64.urlsafe_b64encode(str(line).encode()).decode().rstrip("=")


def _read_cursor(text: str | None) -> int:
    if not text:
        return 0
    try:
        line = base64.urlsafe_b64decode(text.encode() + b"==").decode("ascii")
        return int(line) if line.isdigit() and len(line) < 10 else _no_cursor(text)
    except (ValueError, binascii.Error):
        return _no_cursor(text)


def _no_cursor(text: str) -> int:
    raise BadRequestError(f"page_cursor {text[:80]!r} was not issued by this service")
