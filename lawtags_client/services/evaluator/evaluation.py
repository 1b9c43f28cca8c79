"""An evaluation in hand, and the figures of its result."""

from __future__ import annotations

from typing import Protocol

from lawtags_client.services.base import Owner
from lawtags_client.services.evaluator.jobs import EvaluationJobs
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience
from lawtags_client.types.common import is_final
from lawtags_client.types.evaluator import EvaluationJob, EvaluationResult
from lawtags_client.types.platform_evaluation import PlatformEvaluationResult

ADVICE = (
    "Check that the model is served (`lawtags models ls` lists those that are), "
    "and that the URL of the dataset names a single file."
)


class _EvaluatorJobs(Protocol):
    @property
    def jobs(self) -> EvaluationJobs: ...


class EvaluationOwner(Owner, Protocol):
    """The client, as far as an evaluation in hand needs it."""

    @property
    def evaluator(self) -> _EvaluatorJobs: ...


class Evaluation:
    """A submitted evaluation.

    Args:
        record: its last known state.
        owner: the client.
    """

    def __init__(self, record: EvaluationJob, owner: EvaluationOwner) -> None:
        self.record = record
        self._owner = owner

    def __repr__(self) -> str:
        return f"Evaluation(id={self.id!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def status(self) -> str | None:
        """Its last known state."""
        return self.record.status

    @property
    def progress(self) -> float | None:
        """Its progress, 0 to 100; None if the service does not report it."""
        return self.record.status_details.progress if self.record.status_details else None

    async def refresh(self) -> EvaluationJob:
        """Read it again."""
        self.record = await self._owner.evaluator.jobs.get(self.id)
        return self.record

    async def cancel(self) -> None:
        """Request cancellation."""
        await self._owner.evaluator.jobs.cancel(self.id)

    async def wait(
        self,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
    ) -> EvaluationResult:
        """Wait for the result.

        Args:
            timeout: seconds to wait in all.
            stall: maximum seconds without a change.
            patience: how often to poll, and how long to tolerate an unresponsive service.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: no progress for ``stall`` seconds; it is still running.
            WaitTimeoutError: the timeout passed; it is still running.
        """
        last: str | None = None

        async def look() -> Look:
            nonlocal last
            record = await self.refresh()
            details = record.status_details
            seen = f"{record.status} {details.model_dump_json() if details else ''}"
            moved, last = seen != last, seen
            return Look(record.status, moved, details.message if details else None)

        awaited = Awaited(self.id, "evaluator", look, is_final, ADVICE)
        await awaited.end(self._owner.clock, timeout=timeout, stall=stall, patience=patience)
        return await self._owner.evaluator.jobs.results(self.id)


def scores(result: EvaluationResult | PlatformEvaluationResult) -> dict[str, float]:
    """The figures of a result: ``task.metric``, or ``task.metric.score`` where a metric has several.

    The metric's name is the caller's, the score's is the service's and differs between releases; so the only
    score of a metric goes by the metric's name.

    Example:
        ``scores(await evaluation.wait())["tags.f1"]``
    """
    found: dict[str, float] = {}
    parts = [(name, group.metrics) for name, group in result.groups.items()]
    parts += [(name, task.metrics) for name, task in result.tasks.items()]
    for part, metrics in parts:
        for metric, measured in metrics.items():
            named = {name: score.value for name, score in measured.scores.items() if score.value is not None}
            if len(named) == 1:
                found[f"{part}.{metric}"] = next(iter(named.values()))
            else:
                found |= {f"{part}.{metric}.{name}": value for name, value in named.items()}
    return found


def rows_scored(result: EvaluationResult | PlatformEvaluationResult) -> int | None:
    """The smallest number of rows behind a score; None if the service does not report it.

    A row whose request failed may be left out of a mean without a word, so a count below the number of rows
    that were to be scored means that some are missing.
    """
    counts = [
        score.stats.count
        for task in result.tasks.values()
        for metric in task.metrics.values()
        for score in metric.scores.values()
        if score.stats is not None and score.stats.count is not None
    ]
    return min(counts) if counts else None
