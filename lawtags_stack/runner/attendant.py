"""Keeps the platform informed while a step is carried out, and hears what it wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias

from lawtags_client.errors import (
    APIError,
    ConflictError,
    LawtagsError,
    NotFoundError,
    ServerError,
    TransportError,
)
from lawtags_client.helix.running import StepCalls
from lawtags_client.helix.types.jobs import HEARTBEAT, RUNNER, LogLine, QueuedStep
from lawtags_stack.runner.claims import Claims, reference
from lawtags_stack.runner.progress import Details

Order: TypeAlias = Literal["cancel", "pause", "leave"]
"""What the platform wants of a step: ``leave`` it if the job is gone, or belongs to another runner."""

ORDERS: dict[str, Order] = {"cancelling": "cancel", "pausing": "pause"}
_FINAL = frozenset({"completed", "error", "cancelled", "paused"})
_LINES = 500
_LOG_SECONDS = 2.0
_log = logging.getLogger(__name__)


class DetailSource(Protocol):
    """Where the details of a task come from."""

    def due(self, now: float, *, last: bool = False) -> Details | None:
        """The details to send now, if any."""
        ...

    def put_back(self, details: Details) -> None:
        """Take back details that could not be sent."""
        ...


class Attendant:
    """Reports, sends logs and signs of life, and looks whether the step is to be cancelled or paused.

    A platform that does not answer holds nothing up: what could not be sent is sent later.

    Args:
        calls: the platform.
        claims: the runner's claims.
        step: the step.
        task: the name of its task.
        runner: the runner's id.
        poll_seconds: seconds between looks.
        heartbeat_seconds: seconds between signs of life.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        calls: StepCalls,
        claims: Claims,
        step: QueuedStep,
        *,
        task: str,
        runner: str,
        poll_seconds: float,
        heartbeat_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._claims = claims
        self._step = step
        self._task = task
        self._runner = runner
        self._poll = poll_seconds
        self._heartbeat = heartbeat_seconds
        self._monotonic = monotonic
        self._lines: list[LogLine] = []
        self._beaten = self._logged = monotonic()
        self.source: DetailSource | None = None
        self.order: Order | None = None
        self.ordered = asyncio.Event()

    @property
    def sign(self) -> Details:
        """A sign of life, for the details of the step."""
        return {RUNNER: self._runner, HEARTBEAT: datetime.now(UTC).isoformat()}

    def log(self, message: str) -> None:
        """Add a line to the job's log."""
        self._lines.append(LogLine(message=message, timestamp=datetime.now(UTC)))

    async def run(self) -> None:
        """Attend to the step until cancelled."""
        while True:
            try:
                await self._look()
                await self._send()
            except LawtagsError as error:
                _log.info("the platform was not informed: %s", error)
            await asyncio.sleep(self._poll)

    async def flush(self) -> None:
        """Send everything that is left."""
        await self._send(last=True)

    async def _look(self) -> None:
        if self.order is None:
            self._give(await self._wanted())

    async def _wanted(self) -> Order | None:
        try:
            found = await self._calls.step(reference(self._step), self._step.name)
            if found.status in ORDERS:
                return ORDERS[found.status]
            if found.id != self._step.id or found.status in _FINAL:
                return "leave"
            holder = found.status_details.get(RUNNER)
            if holder != self._runner and not await self._claims.holds(reference(self._step)):
                return "leave"
            if self._monotonic() - self._beaten >= self._heartbeat or holder != self._runner:
                await self._beat()
        except NotFoundError:
            return "leave"
        return None

    async def _beat(self) -> None:
        try:
            await self._calls.move_step(
                reference(self._step), self._step.name, "active", details=self.sign, expected_id=self._step.id
            )
        except ConflictError:
            return  # its state has changed meanwhile; the next look finds out
        self._beaten = self._monotonic()

    def _give(self, order: Order | None) -> None:
        self.order = order
        if order is not None:
            self.ordered.set()

    async def _send(self, *, last: bool = False) -> None:
        if self.order == "leave":
            return
        await self._send_details(last)
        now = self._monotonic()
        while self._lines and (last or now - self._logged >= _LOG_SECONDS):
            lines, self._lines = self._lines[:_LINES], self._lines[_LINES:]
            try:
                await self._calls.send_logs(self._step, self._task, lines)
            except (TransportError, ServerError):
                self._lines = lines + self._lines
                raise
            except APIError:
                # The job's log is not worth the job; the task has what matters.
                self._lines.clear()
        if not self._lines:
            self._logged = now

    async def _send_details(self, last: bool) -> None:
        details = self.source.due(self._monotonic(), last=last) if self.source else None
        if self.source is None or details is None:
            return
        try:
            await self._calls.report(
                reference(self._step), self._step.name, self._task, "active", details=details
            )
        except (TransportError, ServerError):
            self.source.put_back(details)
            raise
