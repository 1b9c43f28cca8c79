"""Evaluations as platform jobs: the calls of the API, and a handle to one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Listing, Owner
from lawtags_client.services.evaluator.evaluation import ADVICE
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.parsing import parse
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience
from lawtags_client.transport.body import ARCHIVE_LIMIT
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.paths import join
from lawtags_client.types.platform_evaluation import (
    FINAL_PLATFORM_STATES,
    PlatformEvaluationJob,
    PlatformEvaluationJobFilter,
    PlatformEvaluationJobRequest,
    PlatformEvaluationResult,
    PlatformJobListResultResponse,
    PlatformJobLog,
    PlatformJobLogPage,
    PlatformJobResult,
    PlatformJobStatusResponse,
)

JOBS = "/v2/evaluation/jobs"
_LINES = 200


class PlatformEvaluationJobs(Listing[PlatformEvaluationJob, PlatformEvaluationJobFilter]):
    """Evaluations as platform jobs."""

    async def get(self, job_id: str) -> PlatformEvaluationJob:
        """Read an evaluation.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return await parse(
            PlatformEvaluationJob, await self._http.json(Call("GET", JOBS + join(job_id))), self._http
        )

    async def create(
        self,
        request: PlatformEvaluationJobRequest,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> PlatformEvaluationJob:
        """Submit an evaluation, without an intent; ``Evaluator.evaluate_as_platform_job`` is idempotent.

        Args:
            request: the job.
            extra_headers: sent with this request only.
            extra_body: fields of the API that ``request`` does not have.

        Raises:
            DoubtfulOutcomeError: the response was lost; look for the job before you submit again.
        """
        body, headers = extended_request(request, extra_body), checked_headers(extra_headers)
        data = await self._http.json(Call("POST", JOBS, json=body, headers=headers))
        return await parse(PlatformEvaluationJob, data, self._http)

    async def status(self, job_id: str) -> PlatformJobStatusResponse:
        """How far an evaluation is, step by step."""
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/status"))
        return await parse(PlatformJobStatusResponse, data, self._http)

    async def cancel(self, job_id: str) -> PlatformEvaluationJob:
        """Ask for an evaluation's end."""
        call = Call("POST", f"{JOBS}{join(job_id)}/cancel", repeatable=True)
        return await parse(PlatformEvaluationJob, await self._http.json(call), self._http)

    async def delete(self, job_id: str) -> None:
        """Drop an evaluation."""
        await self._http.send(Call("DELETE", JOBS + join(job_id)))

    async def log_page(
        self, job_id: str, *, limit: int = _LINES, page_cursor: str | None = None
    ) -> PlatformJobLogPage:
        """A part of what an evaluation wrote.

        Args:
            job_id: the evaluation.
            limit: lines a page.
            page_cursor: where the page begins, as the page before names it.
        """
        query = [("limit", str(limit)), *([("page_cursor", page_cursor)] if page_cursor else [])]
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/logs", query=query))
        return await parse(PlatformJobLogPage, data, self._http)

    async def logs(self, job_id: str, *, limit: int = _LINES) -> AsyncIterator[PlatformJobLog]:
        """Every line that an evaluation wrote, page after page.

        Args:
            job_id: the evaluation.
            limit: lines a page.
        """
        cursor: str | None = None
        followed: set[str] = set()
        while True:
            page = await self.log_page(job_id, limit=limit, page_cursor=cursor)
            for line in page.data:
                yield line
            cursor = page.next_page
            # A server that names the same page again would be read for ever.
            if not cursor or not page.data or cursor in followed:
                return
            followed.add(cursor)

    async def results(self, job_id: str) -> list[PlatformJobResult]:
        """The files that an evaluation left."""
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/results"))
        return (await parse(PlatformJobListResultResponse, data, self._http)).data

    async def result(self, job_id: str, name: str) -> PlatformJobResult:
        """One file that an evaluation left.

        Raises:
            NotFoundError: there is none of that name.
        """
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/results{join(name)}"))
        return await parse(PlatformJobResult, data, self._http)

    async def download_result(self, job_id: str, name: str) -> bytes:
        """The content of a file that an evaluation left.

        Raises:
            NotFoundError: there is none of that name.
        """
        path = f"{JOBS}{join(job_id)}/results{join(name)}/download"
        call = Call("GET", path, headers={"accept": "*/*"}, max_bytes=ARCHIVE_LIMIT)
        return (await self._http.send(call)).body

    async def artifacts(self, job_id: str) -> bytes:
        """Everything that an evaluation left, as one archive."""
        path = f"{JOBS}{join(job_id)}/results/artifacts/download"
        call = Call("GET", path, headers={"accept": "*/*"}, max_bytes=ARCHIVE_LIMIT)
        return (await self._http.send(call)).body

    async def evaluation_results(self, job_id: str) -> PlatformEvaluationResult:
        """What an evaluation found.

        Raises:
            NotFoundError: there is no result yet.
        """
        path = f"{JOBS}{join(job_id)}/results/evaluation-results/download"
        return await parse(PlatformEvaluationResult, await self._http.json(Call("GET", path)), self._http)


class _EvaluatorJobsV2(Protocol):
    @property
    def platform_jobs(self) -> PlatformEvaluationJobs: ...


class PlatformEvaluationOwner(Owner, Protocol):
    """The client, as far as an evaluation in hand needs it."""

    @property
    def evaluator(self) -> _EvaluatorJobsV2: ...


class PlatformEvaluation:
    """An evaluation in hand, as a platform job.

    Args:
        record: what the service said of it last.
        owner: the client.
    """

    def __init__(self, record: PlatformEvaluationJob, owner: PlatformEvaluationOwner) -> None:
        self.record = record
        self._owner = owner

    def __repr__(self) -> str:
        return f"PlatformEvaluation(id={self.id!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """The service's id for it."""
        return self.record.id

    @property
    def status(self) -> str | None:
        """The state it was in when last looked at."""
        return self.record.status

    async def refresh(self) -> PlatformEvaluationJob:
        """Read it again."""
        self.record = await self._owner.evaluator.platform_jobs.get(self.id)
        return self.record

    async def cancel(self) -> PlatformEvaluationJob:
        """Ask for its end."""
        self.record = await self._owner.evaluator.platform_jobs.cancel(self.id)
        return self.record

    async def wait(
        self,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
    ) -> PlatformEvaluationResult:
        """Wait for the result; arguments and errors as for ``Evaluation.wait``."""
        last: str | None = None

        async def look() -> Look:
            nonlocal last
            status = await self._owner.evaluator.platform_jobs.status(self.id)
            self.record.status = status.status
            seen = status.model_dump_json()
            moved, last = seen != last, seen
            return Look(status.status, moved, _last_words(status))

        awaited = Awaited(self.id, "evaluator", look, FINAL_PLATFORM_STATES.__contains__, ADVICE)
        await awaited.end(self._owner.clock, timeout=timeout, stall=stall, patience=patience)
        return await self._owner.evaluator.platform_jobs.evaluation_results(self.id)


def _last_words(status: PlatformJobStatusResponse) -> str | None:
    """The reason that a job, or else one of its steps or tasks, gives."""
    tasks = [task for step in status.steps for task in step.tasks]
    errors = [status.error_details, *(step.error_details for step in status.steps)]
    errors += [task.error_details for task in tasks]
    details = [status.status_details, *(step.status_details for step in status.steps)]
    details += [task.status_details for task in tasks]
    told = [each.get("message") for each in (*errors, *details)]
    return next((str(words) for words in told if words), None)
