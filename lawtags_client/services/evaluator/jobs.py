"""Evaluations on the wire, v1: bare calls."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Listing
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.parsing import parse
from lawtags_client.transport.body import ARCHIVE_LIMIT
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.paths import join
from lawtags_client.types.evaluator import (
    EvaluationJob,
    EvaluationJobFilter,
    EvaluationJobRequest,
    EvaluationResult,
    EvaluationStatusDetails,
)

JOBS = "/v1/evaluation/jobs"


class EvaluationJobs(Listing[EvaluationJob, EvaluationJobFilter]):
    """Evaluations."""

    async def get(self, job_id: str) -> EvaluationJob:
        """Read an evaluation; the only place where its state stands.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return await parse(EvaluationJob, await self._http.json(Call("GET", JOBS + join(job_id))), self._http)

    async def create(
        self,
        request: EvaluationJobRequest,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> EvaluationJob:
        """Submit an evaluation, without an intent; ``Evaluator.evaluate`` is idempotent.

        Args:
            request: the job.
            extra_headers: sent with this request only.
            extra_body: fields of the API that ``request`` does not have.

        Raises:
            DoubtfulOutcomeError: the response was lost; look for the job before you submit again.
        """
        body, headers = extended_request(request, extra_body), checked_headers(extra_headers)
        data = await self._http.json(Call("POST", JOBS, json=body, headers=headers))
        return await parse(EvaluationJob, data, self._http)

    async def status(self, job_id: str) -> EvaluationStatusDetails:
        """How far an evaluation is."""
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/status"))
        return await parse(EvaluationStatusDetails, data, self._http)

    async def results(self, job_id: str) -> EvaluationResult:
        """What an evaluation found.

        Raises:
            NotFoundError: there is no result yet.
        """
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/results"))
        return await parse(EvaluationResult, data, self._http)

    async def download_results(self, job_id: str) -> bytes:
        """Everything about an evaluation, as a ZIP file."""
        path = f"{JOBS}{join(job_id)}/download-results"
        call = Call("GET", path, headers={"accept": "application/zip"}, max_bytes=ARCHIVE_LIMIT)
        return (await self._http.send(call)).body

    async def logs(self, job_id: str) -> bytes:
        """An evaluation's logs, as the service gives them."""
        call = Call("GET", f"{JOBS}{join(job_id)}/logs", max_bytes=ARCHIVE_LIMIT)
        return (await self._http.send(call)).body

    async def cancel(self, job_id: str) -> None:
        """Ask for an evaluation's end."""
        await self._http.send(Call("POST", f"{JOBS}{join(job_id)}/cancel", repeatable=True))

    async def delete(self, job_id: str) -> None:
        """Drop an evaluation."""
        await self._http.send(Call("DELETE", JOBS + join(job_id)))
