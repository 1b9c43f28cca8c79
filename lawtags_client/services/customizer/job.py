"""A customization job in hand: follow it, wait for it, cancel it, read its series."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from lawtags_client.closing import closing
from lawtags_client.errors import (
    ConfigurationError,
    MissingExtraError,
)
from lawtags_client.html_card import bar, card
from lawtags_client.loss_chart import draw_svg
from lawtags_client.services.base import Owner
from lawtags_client.services.customizer.events import EventLog, JobEvent, MetricRecorded, ProgressMade
from lawtags_client.services.customizer.jobs import Jobs
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.types.common import is_final, reference
from lawtags_client.types.customizer import CustomizationJob, CustomizationStatusDetails

if TYPE_CHECKING:
    import pandas

    from lawtags_client.services.inference import Inference


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One point of a job's metrics, as a tidy row."""

    job_id: str
    metric: str
    step: int | None
    value: float
    at: datetime | None


class _CustomizationJobs(Protocol):
    @property
    def jobs(self) -> Jobs: ...
    async def status(self, job_id: str) -> CustomizationStatusDetails: ...
    async def cancel(self, job_id: str) -> CustomizationJob: ...


class JobOwner(Owner, Protocol):
    """The client, as far as a job in hand needs it."""

    @property
    def customizer(self) -> _CustomizationJobs: ...
    @property
    def inference(self) -> Inference: ...


class Job:
    """A customization job.

    Args:
        record: its last known state.
        owner: the client.
    """

    def __init__(self, record: CustomizationJob, owner: JobOwner) -> None:
        self.record = record
        self._owner = owner

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, status={self.status!r}, output_model={self.output_model!r})"

    def _repr_html_(self) -> str:
        """Its last known state, as a notebook shows it."""
        record, details = self.record, self.record.status_details
        curves, below = {}, ""
        progress = ProgressMade.of(details, record.hyperparameters) if details else None
        if details and details.metrics and details.metrics.metrics:
            series = details.metrics.metrics
            for name, points in (("train_loss", series.train_loss), ("val_loss", series.val_loss)):
                curves[name] = sorted(
                    (point.step + 1, point.value)
                    for point in points
                    if point.step is not None and point.value is not None
                )
        if progress and progress.share is not None:
            below = bar(progress.share / 100)
        drawn = {name: curve for name, curve in curves.items() if curve}
        below += draw_svg(drawn, last_step=progress.total_steps if progress else None)
        values = {
            "status": record.status,
            "config": reference(record.config) if record.config else None,
            "dataset": reference(record.dataset) if record.dataset else None,
            "output model": record.output_model,
            "progress": progress,
        }
        return card(record.id, values, below=below)

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def status(self) -> str | None:
        """Its last known state."""
        return self.record.status

    @property
    def output_model(self) -> str | None:
        """Its output model, ``namespace/name@version``."""
        return self.record.output_model

    async def refresh(self) -> CustomizationJob:
        """Read it again.

        Raises:
            NotFoundError: the service does not know it, or no longer does.
        """
        self.record = await self._read()
        return self.record

    async def details(self) -> CustomizationStatusDetails:
        """Read its progress, metrics and history."""
        details = await self._owner.customizer.status(self.id)
        self.record.status_details = details
        if details.status is not None:
            self.record.status = details.status
        return details

    async def watch(self, *, patience: Patience | None = None) -> AsyncIterator[JobEvent]:
        """Yield every event since the start of the job, each one once, until the job ends.

        It survives lost connections, and treats an unknown state as running.

        Example:
            ``async for event in job.watch(): print(event)``

        Args:
            patience: how often to poll, and how long to tolerate an unresponsive service.

        Raises:
            TransportError: no response for longer than the patience allows.
            NotFoundError: the service does not know the job, or no longer does.
        """
        async with closing(self.looks(patience=patience)) as looks:
            async for events in looks:
                for event in events:
                    yield event

    async def looks(self, *, patience: Patience | None = None) -> AsyncIterator[list[JobEvent]]:
        """As ``watch``, with the events of one poll together.

        Args:
            patience: as for ``watch``.

        Raises:
            TransportError: no response for longer than the patience allows.
            NotFoundError: the service does not know the job, or no longer does.
        """
        poller, log = Poller(self._owner.clock, patience or Patience()), EventLog(self.record.hyperparameters)
        trains = False
        while True:
            details = await poller.look(self.details)
            started = bool(details.steps_completed) and not trains
            trains = trains or started
            # Warnings stand in the job, not in its status; the last of them come when training begins.
            if started or is_final(self.status):
                self.record.warnings = (await poller.look(self._read)).warnings
            events = log.warn(self.record.warnings) + log.update(details, self.status)
            if events:
                yield events
            if is_final(log.state):
                return
            await poller.rest(moved=bool(events))

    async def _read(self) -> CustomizationJob:
        return await self._owner.customizer.jobs.get(self.id)

    async def wait(
        self,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
    ) -> CustomizationJob:
        """Wait until it is complete.

        Args:
            timeout: seconds to wait in all.
            stall: maximum seconds without progress.
            patience: how often to poll, and how long to tolerate an unresponsive service.

        Raises:
            JobFailedError: it failed; ``reason`` is the service's message.
            JobCancelledError: it was cancelled.
            JobStalledError: no progress for ``stall`` seconds; the job is still running.
            WaitTimeoutError: the timeout passed; the job is still running.
        """
        log = EventLog()

        async def look() -> Look:
            events = log.update(await self.details(), self.status)
            return Look(log.state, bool(events), self._last_words())

        advice = "Fix the reported error, and submit the job again with a new intent."
        awaited = Awaited(self.id, "customizer", look, is_final, advice)
        await awaited.end(self._owner.clock, timeout=timeout, stall=stall, patience=patience)
        return await self.refresh()

    def _last_words(self) -> str | None:
        details = self.record.status_details
        lines = details.status_logs if details else []
        told = [line.detail for line in lines if line.detail]
        return told[-1] if told else (lines[-1].message if lines else None)

    async def cancel(self) -> CustomizationJob:
        """Request cancellation; use ``wait`` to wait for it.

        Raises:
            ConflictError: it has already ended.
        """
        self.record = await self._owner.customizer.cancel(self.id)
        return self.record

    async def metrics(self) -> list[MetricRow]:
        """Its metrics so far, one row per point."""
        log = EventLog()
        events = log.update(await self.details(), None)
        return [
            MetricRow(self.id, event.series, event.step, event.value, event.at)
            for event in events
            if isinstance(event, MetricRecorded)
        ]

    async def metrics_frame(self) -> pandas.DataFrame:
        """Its metrics so far, as a pandas data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("pandas", "pandas", "a frame of metrics") from error
        rows = await self.metrics()
        names = ("job_id", "metric", "step", "value", "at")
        return pandas.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=list(names))

    async def served(self, *, timeout: float = 600) -> str:
        """Wait until it is complete and the inference service lists its model.

        Args:
            timeout: seconds to wait for the model after the job's end.

        Returns:
            The id of the model, for requests.

        Raises:
            JobError: the job failed.
            WaitTimeoutError: the model was not listed in time.
        """
        if self.output_model is None:
            raise ConfigurationError(
                f"{self.id} produces no model", hint="Set output_model when you submit the job."
            )
        # Right away where it has ended well.
        await self.wait()
        return await self._owner.inference.served(self.output_model, timeout=timeout)
