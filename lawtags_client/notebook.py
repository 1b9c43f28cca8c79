"""A running job or a run in a notebook: a bar, the loss curves, and what happened last.

from lawtags_client.notebook import show_job

show_job(job)                # a job of the blocking client
await show_job_async(job)    # a job of the async client
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Protocol

from lawtags_client.errors import ConfigurationError
from lawtags_client.html_card import bar, card, table
from lawtags_client.loss_chart import draw_svg
from lawtags_client.platform.v1_updates import UpdateReader
from lawtags_client.runs.overfitting import OverfittingRule
from lawtags_client.runs.training_monitor import TrainingMonitor, TrainingState
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from lawtags_client.services.customizer.events import JobEvent
    from lawtags_client.services.customizer.job import Job
    from lawtags_client.types.customizer import CustomizationJob

__all__ = ["show_job", "show_job_async"]

_LINES = 8


class BlockingJob(Protocol):
    """A job of the blocking client, as far as it is shown."""

    @property
    def record(self) -> CustomizationJob: ...
    def looks(self) -> Iterable[list[JobEvent]]: ...
    def wait(self) -> CustomizationJob: ...


class _Display(Protocol):
    def update(self, shown: object) -> None: ...


def show_job(job: BlockingJob) -> None:
    """Show a job of the blocking client in the cell's output until it ends.

    Raises:
        ConfigurationError: this is no notebook.
        JobError: it failed, or was cancelled.
    """
    view = _JobView(job.record)
    for events in job.looks():
        view.update(events)
    job.wait()


async def show_job_async(job: Job) -> None:
    """Show a job of the async client in the cell's output until it ends.

    Raises:
        ConfigurationError: this is no notebook.
        JobError: it failed, or was cancelled.
    """
    view = _JobView(job.record)
    async for events in job.looks():
        view.update(events)
    await job.wait()


def training_html(state: TrainingState) -> str:
    """The state of a training as HTML."""
    share = state.steps / state.total_steps if state.total_steps else 0.0
    parts = [bar(share), draw_svg(state.curves, last_step=state.total_steps)]
    if state.overfitting is not None:
        parts.append(f'<p style="color:#b45309;margin:4px 0">{escape(str(state.overfitting))}</p>')
    parts += [f'<div style="opacity:.65">{escape(escape_controls(line))}</div>' for line in state.lines]
    steps = f"{state.steps}" + (f" of {state.total_steps}" if state.total_steps else "")
    values = {"status": state.status, "steps": steps, "now": state.words() or None}
    return card(state.job, values, below="".join(parts))


class NotebookProgress:
    """The progress of a run in the output of a cell.

    Pass it as ``progress`` to ``lawtags_client.runs.run.execute``.

    Raises:
        ConfigurationError: this is no notebook.
    """

    def __init__(self) -> None:
        self._display = _new_display()
        self._lines: list[str] = []
        self._title, self._bar, self._training = "run", "", ""

    def stage(self, name: str, number: int, total: int) -> None:
        self._title, self._bar, self._training = f"{number}/{total} {name}", "", ""
        self._show()

    def skipped(self, name: str, number: int, total: int) -> None:
        self._add(f"{number}/{total} {name}: done before")

    def update(self, done: float, total: float | None, text: str) -> None:
        reached = f"{done:.0f}/{total:.0f} " if total else ""
        self._bar = f"{bar(done / total) if total else ''}{escape(escape_controls(reached + text))}"
        self._show()

    def training(self, state: TrainingState) -> None:
        self._bar, self._training = "", training_html(state)
        self._show()

    def note(self, text: str) -> None:
        self._add(text)

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from IPython.display import HTML, display

        display(HTML(card(title, {}, below=table(headings, rows))))  # type: ignore[no-untyped-call]

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        words = ", ".join(f"{key} {value}" for key, value in summary.items())
        self._bar = self._training = ""
        self._add(f"{name} done in {seconds:.1f} s: {words}")

    def _add(self, text: str) -> None:
        self._lines.append(escape_controls(text))
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        lines = "".join(f'<div style="opacity:.65">{escape(line)}</div>' for line in self._lines[-_LINES:])
        shown = card(self._title, {}, below=f"{self._bar}{self._training}{lines}")
        self._display.update(HTML(shown))  # type: ignore[no-untyped-call]


class _JobView:
    """Shows a job from its events.

    Args:
        record: the job.
    """

    def __init__(self, record: CustomizationJob) -> None:
        self._reader = UpdateReader(record)
        self._monitor = TrainingMonitor(record.id, rule=OverfittingRule())
        self._display = _new_display()

    def update(self, events: list[JobEvent]) -> None:
        """Show what has happened."""
        from IPython.display import HTML

        self._monitor.update(self._reader.read(events))
        self._display.update(HTML(training_html(self._monitor.state())))  # type: ignore[no-untyped-call]


def _new_display() -> _Display:
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if shell is None:
        raise ConfigurationError(
            "this is no notebook", hint="Elsewhere, use job.watch(), or the command lawtags jobs watch."
        )
    made: _Display | None = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]
    if made is None:
        raise ConfigurationError("the notebook shows no output", hint="Run the cell in a notebook.")
    return made
