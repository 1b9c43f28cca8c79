"""The charts of a report, as SVG that stands inside the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lawtags_client.runs.metrics import SystemFigures
    from lawtags_client.runs.series import SeriesPoint

# What matplotlib would write into each picture about itself.
_METADATA = ("Date", "Creator", "Format", "Type")

INK, GRID, FIRST, SECOND, QUIET = "#1f2933", "#e4e7eb", "#2563eb", "#ea580c", "#9aa5b1"


def loss_curves(metrics: Mapping[str, Sequence[SeriesPoint]]) -> str:
    """Training and validation loss over the steps."""
    figure, axes = _figure(7.2, 3.2)
    for name, colour, mark in (("train_loss", FIRST, None), ("val_loss", SECOND, "o")):
        points = [(p.step + 1, p.value) for p in metrics.get(name, ()) if p.value is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                marker=mark,
                markersize=4,
                label=name.replace("_", " "),
            )
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss on the answer")
    if axes.lines:
        # A service need not tell any series.
        axes.legend(frameon=False)
    return _svg(figure)


def systems(found: Mapping[str, SystemFigures]) -> str:
    """Micro F1 of every system with its interval, best on top."""
    ranked = sorted(found.items(), key=lambda item: item[1].micro_f1)
    figure, axes = _figure(7.2, 0.45 * len(ranked) + 0.9)
    for place, (name, values) in enumerate(ranked):
        low, high = values.intervals["micro_f1"]
        colour = FIRST if name in ("tagger", "tuned") else QUIET
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45)
        axes.plot([values.micro_f1], [place], marker="o", color=colour, markersize=7)
        _label(axes, f"{values.micro_f1:.3f}", (values.micro_f1, place))
    axes.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel("micro F1, 95 % interval")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "the report's charts") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _label(axes: Axes, text: str, at: tuple[float, float]) -> None:
    axes.annotate(text, at, xytext=(0, 7), textcoords="offset points", fontsize=8, color=INK, ha="center")


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # A fixed salt and no date make the same report the same bytes; text stays text.
    with mpl.rc_context({"svg.hashsalt": "lawtags", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(_METADATA), transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
