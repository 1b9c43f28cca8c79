"""A running training in the terminal: its curves and its figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from lawtags_client.loss_chart import ChartCell, draw_text
from lawtags_client.runs.training_monitor import TrainingState, pace_words
from lawtags_client.terminal import escape_controls

_STYLES = ("blue", "dark_orange", "green", "magenta")
_WIDEST = 100
_CHART_LINES = 10
# Below this height, the terminal has no room for a chart beside the bar and the last lines.
_FEWEST_LINES = 20
_FEWEST_CHART_LINES = 4
_BESIDE_A_CHART = 6


class TrainingPanel:
    """Renders the state of a training below its bar.

    Args:
        state: of the training.
        label: of it, where there are several.
    """

    def __init__(self, state: TrainingState, label: str = "") -> None:
        self._state = state
        self._label = label
        self.panels = 1
        """How many share the terminal's height."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the training yet."""
        return not self._state.curves and self._state.overfitting is None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        state, width = self._state, min(options.max_width, _WIDEST)
        # Beside each chart, there are its bar, its label, its legend and two lines of axis.
        lines = min(_CHART_LINES, console.height // self.panels - _BESIDE_A_CHART)
        if self._label and not self.is_empty:
            yield Text(f"  {escape_controls(self._label)}", style="bold")
        if console.height >= _FEWEST_LINES and lines >= _FEWEST_CHART_LINES:
            rows = draw_text(
                state.curves,
                width=width - 2,
                height=lines if self.panels > 1 else _CHART_LINES,
                last_step=_last_step(state),
                ascii_only=options.ascii_only,
            )
            for row in rows:
                yield _line(row)
        legend = self._legend()
        if legend:
            yield legend
        if state.overfitting is not None:
            yield Padding(Text(escape_controls(str(state.overfitting)), style="yellow"), (0, 0, 0, 2))

    def _legend(self) -> Text:
        state, text = self._state, Text()
        for place, (name, curve) in enumerate(state.curves.items()):
            step, value = curve[-1]
            text.append("  ")
            text.append(name.replace("_", " "), style=_STYLES[place % len(_STYLES)])
            text.append(f" {value:.4f}" if value == value else " diverged")
            if name == "val_loss" and state.best is not None and state.best[0] != step:
                text.append(f" (lowest {state.best[1]:.4f} at step {state.best[0]})", style="dim")
        if state.tokens_per_second:
            text.append(f"  {state.tokens_per_second:,.0f} tokens/s", style="dim")
        elif state.steps_per_second:
            text.append(f"  {pace_words(state.steps_per_second)}", style="dim")
        return text


def _line(row: Sequence[ChartCell]) -> Text:
    """A line of the chart, with a style per run of cells: one per cell takes twenty times the bytes."""
    line = Text("  ", no_wrap=True)
    for curve, cells in itertools.groupby(row, key=lambda cell: cell.curve):
        style = "dim" if curve is None else _STYLES[curve % len(_STYLES)]
        line.append("".join(cell.text for cell in cells), style=style)
    return line


def _last_step(state: TrainingState) -> int | None:
    """The right end of the chart: it doubles as the training goes on, so that its beginning can be seen."""
    total = state.total_steps
    if not total:
        return None
    return next((math.ceil(total / part) for part in (16, 8, 4, 2) if total / part >= state.steps), total)
