"""Waiting for the end of something that takes long: a training, an evaluation, a deployment, a download."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lawtags_client.errors import JobCancelledError, JobFailedError, JobStalledError, WaitTimeoutError
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.setting_options import check_wait
from lawtags_client.transport.clock import Clock

logger = logging.getLogger(__name__)

# Those that the services document for something on its way; any other is waited through with a warning.
_ON_THE_WAY = frozenset(
    {None, "created", "pending", "running", "cancelling", "ready", "unknown", "downloading", "deploying"}
    | {"active", "paused", "pausing", "resuming", "upgrading"}
)
_FAILED = frozenset({"failed", "error", "delete_failed"})
_CANCELLED = frozenset({"cancelled", "deleting", "deleted"})


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at it showed.

    Args:
        state: the state it is in.
        moved: whether anything is other than at the look before.
        said: the last that it said of itself.
    """

    state: str | None
    moved: bool
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something whose end is waited for.

    Args:
        name: its id or name, for messages.
        service: the service that knows it.
        look: looks at it once.
        ended: whether a state is one that it does not leave.
        advice: what to do where it has failed.
        goes_on: what to do where it takes too long.
    """

    name: str
    service: str
    look: Callable[[], Awaitable[Look]]
    ended: Callable[[str | None], bool]
    advice: str
    goes_on: str = "The job continues. Wait again, or cancel it."

    async def end(
        self,
        clock: Clock,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Wait for its good end.

        Args:
            clock: time, sleep and chance.
            timeout: seconds to wait in all.
            stall: seconds without any change after which to give up.
            patience: how often to poll, and how long to tolerate an unresponsive service.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: nothing moved for ``stall`` seconds; it is still running.
            WaitTimeoutError: the timeout passed; it is still running.
        """
        check_wait("stall", stall)
        poller = Poller(clock, (patience or Patience()).within(timeout))
        begin = moved = clock.monotonic()
        strange: set[str | None] = set()
        while True:
            seen = await poller.look(self.look)
            now = clock.monotonic()
            if self.ended(seen.state):
                self.check(seen.state, seen.said)
                return
            if seen.state not in _ON_THE_WAY | strange:
                strange.add(seen.state)
                logger.warning("%s is in the unknown state %r; treating it as running", self.name, seen.state)
            moved = now if seen.moved else moved
            said = f": {seen.said}" if seen.said else ""
            if stall is not None and now - moved > stall:
                raise JobStalledError(
                    f"{self.name} has made no progress for {now - moved:.0f} s; it is {seen.state}{said}",
                    job_id=self.name,
                    reason=seen.said,
                    hint="The job continues. Check its history; it may be waiting for a free GPU.",
                )
            if timeout is not None and now - begin > timeout:
                raise WaitTimeoutError(
                    f"{self.name} is {seen.state} after {now - begin:.0f} s{said}",
                    hint=self.goes_on,
                    service=self.service,
                )
            await poller.rest(moved=seen.moved)

    def check(self, state: str | None, said: str | None) -> None:
        """Raise unless a final state is a good one.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
        """
        if state in _FAILED:
            raise JobFailedError(
                f"{self.name} failed: {said or 'no reason given'}",
                job_id=self.name,
                reason=said,
                hint=self.advice,
            )
        if state in _CANCELLED:
            raise JobCancelledError(
                f"{self.name} is {state}",
                job_id=self.name,
                reason=said,
                hint="To run it again, submit it with another intent: pass a new name as intent.",
            )
