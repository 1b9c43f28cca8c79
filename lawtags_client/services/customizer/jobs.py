"""Training jobs on the wire: bare calls."""

from __future__ import annotations

from lawtags_client.services.base import Listing, parse
from lawtags_client.transport.http import Call
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
        return parse(CustomizationJob, await self._http.json(Call("GET", JOBS + join(job_id))), self._http)

    async def create(
        self, request: CustomizationJobRequest, *, wandb_api_key: str | None = None
    ) -> CustomizationJob:
        """Submit a job, bare; ``fine_tune`` is the call that does it once only.

        Raises:
            ConflictError: the output model exists.
            DoubtfulOutcomeError: the response was lost; look for the job before you submit again.
        """
        headers = {"wandb-api-key": wandb_api_key} if wandb_api_key and request.integrations else {}
        call = Call("POST", JOBS, json=request.to_wire(), headers=headers)
        return parse(CustomizationJob, await self._http.json(call), self._http)
