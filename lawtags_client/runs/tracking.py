"""What a run reports to a server that keeps track of experiments; such a server never costs the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lawtags_client.errors import LawtagsError
from lawtags_client.runs.metrics import find_metrics
from lawtags_client.runs.progress import Progress

_FILES = ("report.html", "model-card.md", "metrics.json", "plan.json", "hparams.yaml")


class Tracker(Protocol):
    """A server that keeps track of experiments."""

    async def started(self, parameters: Mapping[str, object], tags: Mapping[str, str]) -> None:
        """A training starts."""
        ...

    async def points(self, points: Iterable[tuple[str, int, float]]) -> None:
        """The training has come this far: ``(metric, step, value)``."""
        ...

    async def finished(self, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """The run has come to its end."""
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

    async def started(self, job: str, config: str, hyperparameters: Mapping[str, object]) -> None:
        """Report the start of a training."""
        tags = {"lawtags.job": job, "lawtags.config": config}
        await self._report(lambda tracker: tracker.started(hyperparameters, tags))

    async def points(self, points: Sequence[tuple[str, int, float]]) -> None:
        """Report ``(metric, step, value)`` points."""
        if points:
            await self._report(lambda tracker: tracker.points(points))

    async def finished(self, folder: Path) -> None:
        """Report the verdict, and attach the files that people read.

        Args:
            folder: of the run.
        """
        metrics = find_metrics(folder)
        if metrics is None:
            return
        figures = {
            f"{system}.{name}": getattr(found, name)
            for system, found in metrics.systems.items()
            for name in ("micro_f1", "macro_f1", "samples_f1")
        }
        files = [folder / name for name in _FILES if (folder / name).is_file()]
        await self._report(lambda tracker: tracker.finished(figures, files))

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
