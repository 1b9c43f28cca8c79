"""Shows the progress of a curation: a bar with its speed in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lawtags_client.cli.progress import shown
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from rich.console import Console

    from lawtags_client.curation import CurationProgress
    from lawtags_client.runs.progress import Progress

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_TO_JUDGE = 0.1


@contextlib.contextmanager
def show_curation_progress(
    console: Console, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[CurationProgress], None]]:
    """A receiver of the progress of a curation, in the form that fits the console.

    Args:
        console: where it goes.
        clock: seconds.
    """
    if not console.is_terminal:
        yield _CurationLines(console, clock).update
        return
    with shown(console) as bars:
        yield _CurationBars(bars, clock).update


class _Throughput:
    """Rows per second of the step at hand."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = clock()
        self.step = ""

    def begins(self, progress: CurationProgress) -> bool:
        """Whether this is the first report of a step."""
        if progress.step == self.step:
            return False
        self.step, self._begun = progress.step, self._clock()
        return True

    def words(self, progress: CurationProgress) -> str:
        """The speed of the step, and its remaining time."""
        seconds = self._clock() - self._begun
        rows = progress.done - progress.before
        if not rows or seconds < _SECONDS_TO_JUDGE:
            return ""
        speed = rows / seconds
        told = f"{speed:,.0f} rows/s" if speed >= 10 else f"{speed:.1f} rows/s"
        if progress.total and progress.done < progress.total:
            told += f", {_duration((progress.total - progress.done) / speed)} left"
        return told


class _CurationBars:
    """A bar, which starts over with each step."""

    def __init__(self, bars: Progress, clock: Callable[[], float]) -> None:
        self._bars = bars
        self._speed = _Throughput(clock)

    def update(self, progress: CurationProgress) -> None:
        if self._speed.begins(progress) and progress.before:
            self._bars.note(f"{progress.step}: {progress.before} rows were already done")
        told = [progress.step, self._speed.words(progress)]
        self._bars.update(progress.done, progress.total, "  ".join(filter(None, told)))


class _CurationLines:
    """A line when a step starts and ends, and every few seconds in between."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._speed = _Throughput(clock)
        self._last = clock()

    def update(self, progress: CurationProgress) -> None:
        begins = self._speed.begins(progress)
        ends = progress.total is not None and progress.done == progress.total and not begins
        if not begins and not ends and self._clock() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = self._clock()
        rows = f"{progress.done:,} of {progress.total:,} rows" if progress.total else ""
        if progress.done and not progress.total:
            rows = f"{progress.done:,} rows"
        if begins and progress.before:
            rows += f", {progress.before:,} of them already done"
        told = ", ".join(filter(None, [rows, self._speed.words(progress)]))
        line = f"{progress.step}: {told}" if told else progress.step
        self._console.print(escape_controls(line), markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
