"""How a run tells what it does; the command line draws it, a script may ignore it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from lawtags_client.runs.training_monitor import TrainingState


class Progress(Protocol):
    """Receives what happens in a run, from whichever thread it happens in."""

    def stage(self, name: str, number: int, total: int) -> None:
        """A stage starts."""

    def skipped(self, name: str, number: int, total: int) -> None:
        """A stage is done already, for these very inputs."""

    def update(self, done: float, total: float | None, text: str) -> None:
        """The running stage has come this far."""

    def training(self, state: TrainingState) -> None:
        """The training of the running stage has come this far."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A first result; the first column holds names, the others figures."""

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        """The running stage is done."""


@runtime_checkable
class ParallelProgress(Protocol):
    """Keeps apart what several things that happen at a time tell."""

    def lane(self, label: str) -> Progress:
        """Where one of them tells what it does, under its label."""
        ...


class LoggedProgress:
    """Progress as log records, for scripts and tests."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("lawtags.run")

    def stage(self, name: str, number: int, total: int) -> None:
        self._logger.info("%d/%d %s", number, total, name)

    def skipped(self, name: str, number: int, total: int) -> None:
        self._logger.info("%d/%d %s: done already", number, total, name)

    def update(self, done: float, total: float | None, text: str) -> None:
        self._logger.debug("%s: %s of %s", escape_controls(text), done, total)

    def training(self, state: TrainingState) -> None:
        self.update(state.steps, state.total_steps, f"training, {state.words()}".rstrip(", "))

    def note(self, text: str) -> None:
        self._logger.info("%s", escape_controls(text))

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._logger.info("%s", escape_controls(title))
        for name, *figures in rows:
            named = zip(headings[1:], figures, strict=True)
            told = ", ".join(f"{heading} {figure}" for heading, figure in named)
            self._logger.info("%s: %s", escape_controls(name), told)

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._logger.info("%s done in %.1f s: %s", name, seconds, summary)
