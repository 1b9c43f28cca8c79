"""The charts of a report, as SVG that stands inside the page.

They are drawn small, so that their text stays readable on a phone, and take their colors from the page's
variables, so that they follow its dark mode.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lawtags_client.runs.comparison import PairedRuns
    from lawtags_client.runs.learning_curve import LearningCurve
    from lawtags_client.runs.metrics import SystemFigures
    from lawtags_client.runs.series import SeriesPoint
    from lawtags_client.runs.threshold_curve import ThresholdPoint
    from lawtags_client.tagging.abstention import CoveragePoint
    from lawtags_client.tagging.calibration import Calibration

# What matplotlib would write into each picture about itself.
_METADATA = ("Date", "Creator", "Format", "Type")

INK, GRID, FIRST, SECOND, QUIET = "#1f2933", "#e4e7eb", "#2563eb", "#ea580c", "#9aa5b1"
THIRD, FOURTH = "#15803d", "#9333ea"
# The page's variable for each color, with the color itself where there is no page.
_VARIABLES = {
    INK: "--ink",
    GRID: "--line",
    FIRST: "--first",
    SECOND: "--second",
    THIRD: "--third",
    FOURTH: "--fourth",
    QUIET: "--quiet",
}
_STYLES: Mapping[str, tuple[str, str]] = {
    "tagger": (FIRST, "-"),
    "blend": (SECOND, "-"),
    "encoder": (THIRD, "-"),
    "retriever": (FOURTH, "-"),
    "retriever_words": (FOURTH, ":"),
    "tfidf": (QUIET, "-"),
}


def loss_curves(metrics: Mapping[str, Sequence[SeriesPoint]]) -> str:
    """Training and validation loss over the steps."""
    figure, axes = _figure(3.6, 2.2)
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
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("optimizer step", fontsize=8)
    axes.set_ylabel("loss on the answer", fontsize=8)
    if axes.lines:
        # A service need not tell any series.
        axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def systems(found: Mapping[str, SystemFigures]) -> str:
    """Micro F1 of every system with its interval, best on top."""
    ranked = sorted(found.items(), key=lambda item: item[1].micro_f1)
    figure, axes = _figure(3.6, 0.33 * len(ranked) + 0.6)
    for place, (name, values) in enumerate(ranked):
        low, high = values.intervals["micro_f1"]
        colour = FIRST if name in ("tagger", "tuned") else QUIET
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45)
        axes.plot([values.micro_f1], [place], marker="o", color=colour, markersize=6)
        _label(axes, f"{values.micro_f1:.3f}", (values.micro_f1, place))
    axes.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.3)
    axes.set_xlim(left=0)
    axes.set_xlabel("micro F1, 95 % interval", fontsize=8)
    return _svg(figure)


def differences(found: Sequence[PairedRuns], letters: Mapping[str, str]) -> str:
    """The paired difference of every system with its interval: one color per run, the first system on top.

    Args:
        found: the differences.
        letters: what each run is called.
    """
    names, runs = (list(dict.fromkeys(getattr(row, of) for row in found)) for of in ("system", "run"))
    lines = [(row.system, row.run) for row in found]
    lines.sort(key=lambda line: (names.index(line[0]), runs.index(line[1])))
    figure, axes = _figure(3.8, 0.26 * len(lines) + 0.7)
    axes.axvline(0, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for row in found:
        place = -lines.index((row.system, row.run))
        color = (FIRST, SECOND, THIRD, FOURTH)[runs.index(row.run) % 4]
        axes.plot(
            [row.low, row.high], [place] * 2, color=color, linewidth=3, solid_capstyle="round", alpha=0.4
        )
        axes.plot([row.difference], [place], marker="o", color=color, markersize=5)
    axes.set_yticks(
        [-place for place in range(len(lines))], [f"{letters[run]} {name}" for name, run in lines]
    )
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    # Signed figures of three decimals are wide: more of them would overlap.
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("micro F1 minus that of A, 95 % interval", fontsize=8)
    return _svg(figure)


def reliability(found: Calibration) -> str:
    """Predicted against observed, one point per bin, with the interval of the observed share."""
    figure, axes = _figure(2.7, 2.5)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for each in found.bins:
        axes.plot([each.predicted] * 2, each.interval, color=FIRST, linewidth=2.4, alpha=0.4)
    predicted, observed = ([getattr(each, side) for each in found.bins] for side in ("predicted", "observed"))
    axes.plot(predicted, observed, color=FIRST, linewidth=1, marker="o", markersize=4.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_xlabel("probability", fontsize=8)
    axes.set_ylabel("share that is true", fontsize=8)
    return _svg(figure)


def coverage(curves: Mapping[str, Sequence[CoveragePoint]]) -> str:
    """Micro F1 of the answered rows against their share; the first system with its interval."""
    figure, axes = _figure(3.4, 2.8)
    for place, (system, points) in enumerate(curves.items()):
        color, line = _STYLES.get(system, (QUIET, "--"))
        shares = [point.coverage for point in points]
        axes.plot(
            shares,
            [point.micro_f1 for point in points],
            color=color,
            linestyle=line,
            linewidth=2.2 if place == 0 else 1.3,
            label=system,
            zorder=3 if place == 0 else 2,
        )
        if place == 0:
            low, high = ([point.micro_f1_interval[end] for point in points] for end in (0, 1))
            axes.fill_between(shares, low, high, color=color, alpha=0.14, linewidth=0)
    axes.set_xlim(1, 0)
    axes.set_xticks([1, 0.8, 0.6, 0.4, 0.2, 0], ["100 %", "80 %", "60 %", "40 %", "20 %", "0 %"])
    axes.set_xlabel("rows answered", fontsize=8)
    axes.set_ylabel("micro F1 of the answered rows", fontsize=8)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return _svg(figure)


def thresholds(points: Sequence[ThresholdPoint], chosen: float | None) -> str:
    """Precision, recall and micro F1 against the threshold.

    Args:
        points: in ascending order.
        chosen: the threshold that the system uses; None if it has several.
    """
    figure, axes = _figure(3.4, 2.5)
    at = [point.threshold for point in points]
    for name, color, width in (("f1", FIRST, 2.2), ("precision", SECOND, 1.3), ("recall", THIRD, 1.3)):
        label = "micro F1" if name == "f1" else name
        axes.plot(at, [getattr(point, name) for point in points], color=color, linewidth=width, label=label)
    if chosen is not None:
        axes.axvline(chosen, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("threshold", fontsize=8)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return _svg(figure)


def learning_curve(found: LearningCurve) -> str:
    """Micro F1 against the training rows, and what the curve gives for twice as many."""
    figure, axes = _figure(3.4, 2.4)
    rows = [point.rows for point in found.points]
    for point in found.points:
        axes.plot([point.rows] * 2, [point.low, point.high], color=FIRST, linewidth=3, alpha=0.4)
    axes.plot(rows, [point.micro_f1 for point in found.points], color=FIRST, marker="o", markersize=5)
    last = found.points[-1]
    ends = [last.micro_f1 + change for change in (found.gain, found.low, found.high)]
    axes.plot([last.rows, found.doubled], [last.micro_f1, ends[0]], color=SECOND, linestyle=(0, (4, 3)))
    axes.plot([found.doubled] * 2, ends[1:], color=SECOND, linewidth=3, alpha=0.4)
    axes.plot([found.doubled], [ends[0]], color=SECOND, marker="o", markersize=5)
    axes.set_xscale("log", base=2)
    places = [*rows, found.doubled]
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.set_xlabel("training rows", fontsize=8)
    axes.set_ylabel("micro F1, 95 % interval", fontsize=8)
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
    text = text[text.index("<svg") :]
    for color, variable in _VARIABLES.items():
        text = text.replace(f": {color}", f": var({variable}, {color})")
    return text
