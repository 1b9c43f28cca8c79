"""Claims, so that two runners never carry out one job.

The platform has no exclusive way to take a step, but the name of a result can be registered only once. A
claim is a result ``runner-claim-N`` of the job; the highest number holds. Its holder shows a sign of life in
the details of the step. Another runner takes over, with the next number, once that sign has not changed for a
while by its own clock, so the clocks of two machines need not agree.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping

from lawtags_client.errors import ConflictError
from lawtags_client.helix.running import StepCalls
from lawtags_client.helix.types.jobs import HEARTBEAT, RUNNER, JobResult, QueuedStep
from lawtags_client.json_value import JsonValue

_CLAIM = re.compile(r"runner-claim-([1-9]\d{0,5})")
_MARK = "#runner/"


class Claims:
    """The claims of one runner.

    Args:
        calls: the platform.
        runner: the runner's id.
        stale_seconds: seconds without a sign of life after which a job is taken over.
        monotonic: a clock in seconds.
    """

    def __init__(
        self, calls: StepCalls, runner: str, *, stale_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._calls = calls
        self._runner = runner
        self._stale = stale_seconds
        self._monotonic = monotonic
        self._signs: dict[str, tuple[str, float]] = {}

    async def take(self, step: QueuedStep) -> bool:
        """Claim the job of a step, unless another runner that is alive holds it.

        Args:
            step: as the queue lists it, with the holder's sign of life in its details.

        Returns:
            Whether this runner holds the job.
        """
        job = reference(step)
        number, holder = await self._holder(job)
        if holder == self._runner:
            return True
        if holder is not None and not self._is_stale(step.id, holder, step.status_details):
            return False
        address = f"{step.workspace}/{step.fileset or f'job-fileset-{step.job}'}{_MARK}{self._runner}"
        with contextlib.suppress(ConflictError):
            await self._calls.add_result(job, f"runner-claim-{number + 1}", address)
        # Read back, since a lost reply is repeated, and another runner may have been faster.
        return await self.holds(job)

    async def holds(self, job: str) -> bool:
        """Whether this runner holds a job."""
        return (await self._holder(job))[1] == self._runner

    async def may_settle(self, step: QueuedStep) -> bool:
        """Whether this runner may confirm that a step is cancelled or paused: no living runner holds it."""
        _, holder = await self._holder(reference(step))
        if holder is None or holder == self._runner:
            return True
        return self._is_stale(step.id, holder, step.status_details)

    async def _holder(self, job: str) -> tuple[int, str | None]:
        """The highest number of a claim, and the runner that it names."""
        found = [_read(result) for result in await self._calls.results(job)]
        return max(found, key=lambda claim: claim[0], default=(0, None))

    def _is_stale(self, step: str, holder: str, details: Mapping[str, JsonValue]) -> bool:
        # A holder that has not yet given a sign for this step gets as long as any.
        sign = json.dumps([holder, details.get(RUNNER), details.get(HEARTBEAT)])
        now = self._monotonic()
        seen, since = self._signs.get(step, ("", now))
        if seen != sign:
            self._signs[step] = (sign, now)
            return False
        return now - since >= self._stale


def reference(step: QueuedStep) -> str:
    """The job of a step, as ``workspace/name``."""
    return f"{step.workspace}/{step.job}"


def _read(result: JobResult) -> tuple[int, str | None]:
    found = _CLAIM.fullmatch(result.name)
    if found is None:
        return 0, None
    return int(found[1]), (result.artifact_url or "").rpartition(_MARK)[2]
