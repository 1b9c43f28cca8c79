"""Training jobs on the wire: bare calls."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Listing
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.paths import join
from lawtags_client.types.customizer import (
    CustomizationJob,
    CustomizationJobFilter,
    CustomizationJobRequest,
)

JOBS = "/v1/customization/jobs"


class Jobs(Listing[CustomizationJob, CustomizationJobFilter]):
    """Training jobs."""

    async def get(self, job_id: str) -> CustomizationJob:
        """Read a job.

        Raises:
            NotFoundError: the job does not exist.
        """
        return await parse(
            CustomizationJob, await self._http.json(Call("GET", JOBS + join(job_id))), self._http
        )

    async def create(
        self,
        request: CustomizationJobRequest,
        *,
        wandb_api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> CustomizationJob:
        """Submit a job, without an intent; ``fine_tune`` and ``submit`` are idempotent.

        Args:
            request: the job.
            wandb_api_key: sent only if the job reports to Weights & Biases.
            extra_headers: sent with this request only.
            extra_body: fields of the API that ``request`` does not have.

        Raises:
            ConflictError: the output model exists.
            DoubtfulOutcomeError: the response was lost; look for the job before you submit again.
        """
        headers = {"wandb-api-key": wandb_api_key} if wandb_api_key and request.integrations else {}
        headers |= checked_headers(extra_headers)
        call = Call("POST", JOBS, json=extended_request(request, extra_body), headers=headers)
        return await parse(CustomizationJob, await self._http.json(call), self._http)
