"""Shows what a run does: bars in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from lawtags_client.runs.progress import Progress as Receiver
from lawtags_client.terminal import escape_controls


@contextlib.contextmanager
def shown(console: Console) -> Iterator[Receiver]:
    """The receiver that fits the console; bars are taken down at the end."""
    if not console.is_terminal:
        yield ProgressLines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield ProgressBars(bars)


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=Text(escape_controls(title)), title_justify="left", box=SIMPLE)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    return table


def _words(summary: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in summary.items())


class ProgressBars:
    """One bar for the running stage, one line for each that is done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, number: int, total: int) -> None:
        self._drop()
        self._task = self._bars.add_task(f"{number}/{total} {name}", total=None, text="")

    def skipped(self, name: str, number: int, total: int) -> None:
        self._print(f"✓ {number}/{total} {name}: done before", style="dim")

    def update(self, done: float, total: float | None, text: str) -> None:
        if self._task is None:
            self._task = self._bars.add_task("", total=None, text="")
        self._bars.update(
            self._task, completed=int(done), total=total and int(total), text=escape_controls(text)
        )

    def note(self, text: str) -> None:
        self._print(f"  {text}", style="dim")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._bars.console.print(_table(title, headings, rows))

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._drop()
        self._print(f"✓ {name} {seconds:.1f} s  {_words(summary)}")

    def _print(self, text: str, style: str | None = None) -> None:
        self._bars.console.print(escape_controls(text), style=style, markup=False)

    def _drop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class ProgressLines:
    """A line when something starts or ends, and every few seconds in between.

    Args:
        console: where they go.
        every: minimum number of seconds between two lines of progress.
        clock: seconds.
    """

    def __init__(
        self, console: Console, *, every: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._every = every
        self._clock = clock
        self._last = clock()

    def stage(self, name: str, number: int, total: int) -> None:
        self._last = self._clock()
        self._print(f"[{number}/{total}] {name}")

    def skipped(self, name: str, number: int, total: int) -> None:
        self._print(f"[{number}/{total}] {name}: done before")

    def update(self, done: float, total: float | None, text: str) -> None:
        if self._clock() - self._last < self._every:
            return
        self._last = self._clock()
        reached = f"{done:.0f}/{total:.0f} ({done / total:.0%})" if total else f"{done:.0f}" if done else ""
        self._print(f"    {reached} {text}".rstrip())

    def note(self, text: str) -> None:
        self._print(f"    {text}")

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._console.print(_table(title, headings, rows))

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self._print(f"    {name} done in {seconds:.1f} s: {_words(summary)}")

    def _print(self, text: str) -> None:
        self._console.print(escape_controls(text), markup=False, soft_wrap=True)
