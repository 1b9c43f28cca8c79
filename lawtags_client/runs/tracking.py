"""What a run reports to a server that keeps track of experiments; such a server never costs the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lawtags_client.errors import LawtagsError
from lawtags_client.platform import JobReference
from lawtags_client.runs.language_model import language_model_in_words
from lawtags_client.runs.metrics import Metrics, find_metrics
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.progress import Progress
from lawtags_client.tracking.dataset import TrackedDataset

_FILES = ("report.html", "model-card.md", "metrics.json", "plan.json", "hparams.yaml")


class Tracker(Protocol):
    """A server that keeps track of experiments."""

    async def started(
        self, parameters: Mapping[str, object], tags: Mapping[str, str], dataset: TrackedDataset | None = None
    ) -> None:
        """A training starts."""
        ...

    async def points(self, points: Iterable[tuple[str, int, float]]) -> None:
        """The training has come this far: ``(metric, step, value)``."""
        ...

    async def failed(self) -> None:
        """The run has ended with an error; it may be resumed."""
        ...

    async def finished(self, figures: Mapping[str, float], files: Sequence[Path], note: str = "") -> None:
        """The run has come to its end; the note is Markdown."""
        ...


class RunTracking:
    """Reports a run to a tracker, if there is one, until that fails.

    Args:
        tracker: the server; None for none.
        progress: told once if the server fails.
    """

    def __init__(self, tracker: Tracker | None, progress: Progress) -> None:
        self._tracker = tracker
        self._progress = progress

    async def started(
        self,
        job: JobReference,
        plan: JobPlan,
        hyperparameters: Mapping[str, object],
        dataset: TrackedDataset | None,
    ) -> None:
        """Report the start of a training."""
        tags = {
            "lawtags.job": job.id,
            "lawtags.config": plan.config,
            "lawtags.base_model": plan.base_model,
            "lawtags.model": job.output_model,
        }
        await self._report(lambda tracker: tracker.started(hyperparameters, tags, dataset))

    async def points(self, points: Sequence[tuple[str, int, float]]) -> None:
        """Report ``(metric, step, value)`` points."""
        if points:
            named = [
                (f"loss/{name}" if name.endswith("_loss") else name, step, value)
                for name, step, value in points
            ]
            await self._report(lambda tracker: tracker.points(named))

    async def failed(self) -> None:
        """Report that the run has ended with an error."""
        await self._report(lambda tracker: tracker.failed())

    async def finished(self, folder: Path) -> None:
        """Report the verdict, and attach the files that people read.

        Args:
            folder: of the run.
        """
        metrics = find_metrics(folder)
        if metrics is None:
            return
        # The figure first: systems are compared by it, and MLflow groups charts by what precedes the slash.
        figures = {
            f"test_{name}/{system}": getattr(found, name)
            for name in ("micro_f1", "macro_f1", "samples_f1")
            for system, found in metrics.systems.items()
        }
        files = [folder / name for name in _FILES if (folder / name).is_file()]
        await self._report(lambda tracker: tracker.finished(figures, files, _in_markdown(metrics)))

    async def _report(self, call: Callable[[Tracker], Awaitable[None]]) -> None:
        if self._tracker is None:
            return
        try:
            await call(self._tracker)
        except (LawtagsError, OSError) as problem:
            self._tracker = None
            words = problem.message if isinstance(problem, LawtagsError) else str(problem)
            note = f"the run continues, but is no longer reported to the tracking server: {words}"
            self._progress.note(note)


def _in_markdown(metrics: Metrics) -> str:
    """The verdict for a page that shows a run: one sentence, and the systems, best first."""
    rows = [
        f"| {system} | {found.micro_f1:.3f} | {found.intervals['micro_f1'][0]:.3f} to "
        f"{found.intervals['micro_f1'][1]:.3f} | {found.macro_f1:.3f} |"
        for system, found in metrics.ranked
    ]
    head = ["| system | micro F1 | 95 % | macro F1 |", "| --- | --- | --- | --- |"]
    table = "\n".join([*head, *rows])
    counted = f"On {metrics.test_rows:,} test rows; report.html is among the artifacts."
    return "\n\n".join([*language_model_in_words(metrics), table, counted])
