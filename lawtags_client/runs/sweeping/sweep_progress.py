"""What a sweep tells of its trials: each line says of which one it is, and nothing is told twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lawtags_client.runs.progress import ParallelProgress, Progress
from lawtags_client.runs.training_monitor import TrainingState


@dataclass(slots=True)
class CuratingProgress:
    """Of the rows that trials share: each remark once, however many combinations it holds for.

    Args:
        progress: where it goes.
        told: the remarks so far.
    """

    progress: Progress
    told: set[str] = field(default_factory=set)

    def stage(self, name: str, number: int, total: int) -> None:
        self.progress.stage(name, number, total)

    def skipped(self, name: str, number: int, total: int) -> None:
        self.progress.skipped(name, number, total)

    def update(self, done: float, total: float | None, text: str) -> None:
        self.progress.update(done, total, text)

    def training(self, state: TrainingState) -> None:
        self.progress.training(state)

    def note(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.progress.note(text)

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.progress.table(title, headings, rows)

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self.progress.finished(name, seconds, summary)


class PlanningProgress(CuratingProgress):
    """Of the plans of trials, which take over the rows of the sweep: only their remarks are worth a line."""

    def stage(self, name: str, number: int, total: int) -> None:
        """Takes no time worth a line."""

    def skipped(self, name: str, number: int, total: int) -> None:
        """Was told when the rows were curated."""

    def update(self, done: float, total: float | None, text: str) -> None:
        """Takes no time worth a bar."""

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        """What it found is told with the trial."""


def trial_progress(progress: Progress, label: str) -> Progress:
    """Of one trial, which may not be the only one at a time.

    Args:
        progress: where it goes.
        label: of the trial.
    """
    if isinstance(progress, ParallelProgress):
        return TrialProgress(progress.lane(label))
    return LabeledTrialProgress(progress, label)


class TrialProgress(CuratingProgress):
    """Of one trial, in a place of its own."""

    def skipped(self, name: str, number: int, total: int) -> None:
        """The result of the trial says enough."""

    def note(self, text: str) -> None:
        self.progress.note(text)


@dataclass(slots=True)
class LabeledTrialProgress:
    """Of one trial, among the lines of others.

    Args:
        progress: where it goes.
        label: of the trial.
    """

    progress: Progress
    label: str

    def stage(self, name: str, number: int, total: int) -> None:
        self.progress.stage(f"{self.label}: {name}", number, total)

    def skipped(self, name: str, number: int, total: int) -> None:
        """The result of the trial says enough."""

    def update(self, done: float, total: float | None, text: str) -> None:
        self.progress.update(done, total, f"{self.label}: {text}" if text else self.label)

    def training(self, state: TrainingState) -> None:
        self.progress.training(state)

    def note(self, text: str) -> None:
        self.progress.note(f"{self.label}: {text}")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.progress.table(f"{self.label}: {title}", headings, rows)

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self.progress.finished(f"{self.label}: {name}", seconds, summary)
