"""Shows what a run does: bars in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

from lawtags_client.cli.training_panel import TrainingPanel
from lawtags_client.runs.progress import Progress as Receiver
from lawtags_client.runs.training_monitor import TrainingState, duration_words
from lawtags_client.terminal import escape_controls

# What changes in a line as long as nothing happens.
_SECONDS = re.compile(r"(no answer for [\d.]+ s|[\d:]+ left)")
# Seconds between two looks whether anything was said.
_BEAT = 5.0
# Frames per second: each costs CPU time that a training on this machine needs, too.
_FRAMES = 4


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Receiver]:
    """The receiver that fits the console; bars are taken down at the end."""
    # On a dumb terminal, bars would be shown only once they are complete.
    if not console.is_terminal or console.is_dumb_terminal:
        lines = ProgressLines(console)
        with _beating(lines):
            yield lines
        return
    columns = (
        SpinnerColumn(),
        _Title(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        _Elapsed(),
        _TextOrTimeLeft(),
    )
    with _Bars(*columns, console=console, transient=True, refresh_per_second=_FRAMES) as bars:
        yield ProgressBars(bars)


@contextlib.contextmanager
def _beating(lines: ProgressLines) -> Iterator[None]:
    """Let lines say from time to time that the work goes on, whatever the work's own thread does."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT):
            lines.beat()

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class _Title(TextColumn):
    """The name of a task. A long one, as of a trial, wraps rather than to take the place of the figures."""

    _LONGEST_LINE = 30

    def __init__(self) -> None:
        self._column = Column(overflow="fold")
        super().__init__("{task.description}", style="bold", markup=False, table_column=self._column)

    def fit(self, tasks: Iterable[Task]) -> None:
        """Decide whether the names of the next frame wrap."""
        self._column.no_wrap = all(len(task.description) <= self._LONGEST_LINE for task in tasks)


class _Elapsed(ProgressColumn):
    """The time since a stage began. Rich's own column stands still once a count reached its total."""

    def render(self, task: Task) -> Text:
        return Text(duration_words(task.elapsed or 0.0), style="progress.elapsed")


class _TextOrTimeLeft(ProgressColumn):
    """The text of a task, or the time left until its end, which passes between two reports, too."""

    def __init__(self) -> None:
        # A column that may not wrap takes its share of a narrow terminal from the counts beside it.
        super().__init__(table_column=Column(no_wrap=False))

    def render(self, task: Task) -> Text:
        return Text(self._words(task), style="dim", no_wrap=True, overflow="ellipsis")

    @staticmethod
    def _words(task: Task) -> str:
        end: float | None = task.fields.get("end")
        if end is None:
            return str(task.fields["text"])
        if task.total is not None and task.completed >= task.total:
            # The last validation, and the writing of the model.
            return "finishing"
        left = end - task.get_time()
        return f"{duration_words(left)} left" if left > 0 else "longer than estimated"


class _Bars(Progress):
    """Bars, and the trainings below them, by label."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for column in self.columns:
            if isinstance(column, _Title):
                column.fit(self.tasks)
        yield from super().get_renderables()
        panels = [panel for panel in self.panels.values() if not panel.is_empty]
        for panel in panels:
            panel.panels = len(panels)
            yield panel

    @functools.cached_property
    def panels(self) -> dict[str, TrainingPanel]:
        """The trainings that are shown."""
        return {}


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=Text(escape_controls(title)), title_justify="left", box=SIMPLE)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    return table


def _is_news(told: str, now: str) -> bool:
    """Whether a line says more than that time has passed."""
    return _SECONDS.sub("", told) != _SECONDS.sub("", now)


def _words(summary: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in summary.items())


class ProgressBars:
    """One bar for the running stage, one line for each that is done.

    Args:
        bars: where they are.
        label: of what happens here, if something else happens at the same time.
    """

    def __init__(self, bars: _Bars, label: str = "") -> None:
        self._bars = bars
        self._label = label
        self._of = f"{label}: " if label else ""
        self._task: TaskID | None = None

    def lane(self, label: str) -> ProgressBars:
        """A bar of its own for one of several things that happen at the same time."""
        return ProgressBars(self._bars, label)

    def stage(self, name: str, number: int, total: int) -> None:
        self._drop()
        counted = f"{number}/{total} " if total > 1 and not self._label else ""
        self._task = self._bars.add_task(escape_controls(f"{self._of}{counted}{name}"), total=None, text="")

    def skipped(self, name: str, number: int, total: int) -> None:
        self._print(f"✓ {number}/{total} {self._of}{name}: done before", style="dim")

    def update(self, done: float, total: float | None, text: str) -> None:
        if self._task is None:
            self._task = self._bars.add_task(escape_controls(self._label), total=None, text="")
        self._bars.update(
            self._task, completed=int(done), total=total and int(total), text=escape_controls(text), end=None
        )

    def training(self, state: TrainingState) -> None:
        # Before the first step, the platform's own words say what it does.
        said = state.lines[-1] if state.lines and not state.steps else ""
        self.update(state.steps, state.total_steps, said)
        if state.seconds_left is not None and self._task is not None:
            self._bars.update(self._task, end=self._bars.get_time() + state.seconds_left)
        self._bars.panels[self._label] = TrainingPanel(state, self._label)

    def note(self, text: str) -> None:
        self._print(f"  {self._of}{text}", style="dim")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._bars.console.print(_table(f"{self._of}{title}", headings, rows))

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._drop()
        self._print(f"✓ {self._of}{name} {seconds:.1f} s  {_words(summary)}")

    def _print(self, text: str, style: str | None = None) -> None:
        self._bars.console.print(escape_controls(text), style=style, markup=False)

    def _drop(self) -> None:
        self._bars.panels.pop(self._label, None)
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class ProgressLines:
    """A line when something starts or ends, and every few seconds in between if something is new.

    While nothing is new, a line says now and then that the work goes on, and for how long.

    Args:
        console: where they go.
        every: minimum number of seconds between two lines of progress.
        quiet: seconds without a line after which one says that the work goes on.
        clock: seconds.
        label: of what happens here, if something else happens at the same time.
    """

    def __init__(
        self,
        console: Console,
        *,
        every: float = 15.0,
        quiet: float = 45.0,
        clock: Callable[[], float] = time.monotonic,
        label: str = "",
    ) -> None:
        self._console = console
        self._of = f"{label}: " if label else ""
        self._lanes: list[ProgressLines] = []
        self._every = every
        self._quiet = quiet
        self._clock = clock
        self._last = self._updated = self._begun = clock()
        self._stage: str | None = None
        self._now = self._told = ""
        # The heart beats in a thread of its own.
        self._lock = threading.RLock()

    def lane(self, label: str) -> ProgressLines:
        """Lines of one of several things that happen at the same time, each with its label."""
        lane = ProgressLines(
            self._console, every=self._every, quiet=self._quiet, clock=self._clock, label=label
        )
        with self._lock:
            lane._lock = self._lock
            self._lanes.append(lane)
        return lane

    def stage(self, name: str, number: int, total: int) -> None:
        with self._lock:
            self._stage, self._now, self._told = name, "", ""
            self._begun = self._updated = self._clock()
            self._print(f"[{number}/{total}] {self._of}{name}" if total > 1 else f"{self._of}{name}")

    def skipped(self, name: str, number: int, total: int) -> None:
        self._print(f"[{number}/{total}] {self._of}{name}: done before")

    def update(self, done: float, total: float | None, text: str) -> None:
        reached = f"{done:.0f}/{total:.0f} ({done / total:.0%})" if total else f"{done:.0f}" if done else ""
        with self._lock:
            self._now = f"{reached} {text}".strip()
            if _is_news(self._told, self._now) and self._clock() - self._updated >= self._every:
                self._told, self._updated = self._now, self._clock()
                self._print(f"    {self._of}{self._now}")

    def training(self, state: TrainingState) -> None:
        words = state.words()
        self.update(state.steps, state.total_steps, f"training, {words}" if words else "training")

    def beat(self) -> None:
        """Say that the work goes on, if nothing was said for long."""
        with self._lock:
            for lane in self._lanes:
                lane.beat()
            if self._stage is None or self._clock() - self._last < self._quiet:
                return
            self._told, self._updated = self._now, self._clock()
            reached = f", {self._now}" if self._now else ""
            self._print(
                f"    {self._of}{self._stage}: {duration_words(self._clock() - self._begun)} so far{reached}"
            )

    def note(self, text: str) -> None:
        self._print(f"    {self._of}{text}")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        with self._lock:
            self._last = self._clock()
            self._console.print(_table(f"{self._of}{title}", headings, rows))

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        with self._lock:
            self._stage = None
            self._print(f"    {self._of}{name} done in {seconds:.1f} s: {_words(summary)}")

    def _print(self, text: str) -> None:
        with self._lock:
            self._last = self._clock()
            self._console.print(escape_controls(text), markup=False, soft_wrap=True)
