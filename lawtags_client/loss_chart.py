"""Curves of a training as text for a terminal, and as SVG for a page or a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

Curve: TypeAlias = Sequence[tuple[int, float]]
"""Points of a curve by rising step, counted from one; a value may be NaN or infinite, which is not drawn."""

# A braille character is two dots wide and four high; the bit of each, by column and row from the top.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800
_MARKS = "*o+x"
_COLORS = ("#2563eb", "#ea580c", "#15803d", "#9333ea")
_MOST_POINTS = 2000


@dataclass(frozen=True, slots=True)
class ChartCell:
    """One character of a chart.

    Attributes:
        text: the character.
        curve: the place of the curve that it belongs to; None for axes and gaps.
    """

    text: str
    curve: int | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """The ranges of both axes."""

    first: int
    last: int
    low: float
    high: float

    @classmethod
    def of(cls, curves: Sequence[Curve], last: int | None) -> _Frame | None:
        points = [point for curve in curves for point in curve]
        if not points:
            return None
        low, high = min(value for _, value in points), max(value for _, value in points)
        steps = [step for step, _ in points]
        return cls(min(*steps, 1), max(*steps, last or 0, 2), low, high)

    def across(self, step: int) -> float:
        """The place of a step, from 0 on the left to 1 on the right."""
        return (step - self.first) / (self.last - self.first)

    def down(self, value: float) -> float:
        """The place of a value, from 0 at the top to 1 at the bottom."""
        # Halves first: the difference of two large values would overflow.
        span = self.high / 2 - self.low / 2
        return (self.high / 2 - value / 2) / span if span > 0 else 0.5


def draw_text(
    curves: Mapping[str, Curve],
    *,
    width: int,
    height: int,
    last_step: int | None = None,
    ascii_only: bool = False,
) -> list[list[ChartCell]]:
    """Draw curves with characters, axes included.

    Args:
        curves: by name, drawn in this order.
        width: columns.
        height: lines, with the two of the horizontal axis.
        last_step: the step at the right end; by default the last one of the curves.
        ascii_only: whether to do without braille and box-drawing characters.

    Returns:
        The cells of each line; no lines if there are no points, or no room for them.
    """
    drawn = [_drawable(curve) for curve in curves.values()]
    frame = _Frame.of(drawn, last_step)
    if frame is None:
        return []
    labels = (_figure(frame.high), _figure(frame.low))
    margin = max(map(len, labels))
    columns, lines = width - margin - 2, height - 2
    if columns < 8 or lines < 2:
        return []
    field = (_as_marks if ascii_only else _as_braille)(drawn, frame, columns, lines)
    side, corner, floor = "|+-" if ascii_only else "┤└─"
    rows = []
    # A single value stands in the middle.
    named = {0: labels[0], lines - 1: labels[1]} if frame.high > frame.low else {lines // 2: labels[0]}
    for number, cells in enumerate(field):
        label = named.get(number, "")
        rows.append([ChartCell(f"{label:>{margin}} {side}"), *cells])
    rows.append([ChartCell(f"{'':>{margin}} {corner}{floor * columns}")])
    first, last = str(frame.first), str(frame.last)
    between = max(columns - len(first) - len(last), 1)
    rows.append([ChartCell(f"{'':>{margin}}  {first}{'':>{between}}{last}")])
    return rows


def draw_svg(
    curves: Mapping[str, Curve], *, last_step: int | None = None, width: int = 480, height: int = 200
) -> str:
    """Draw curves as an SVG element with its legend; an empty text if there are no points.

    Args:
        curves: by name.
        last_step: the step at the right end; by default the last one of the curves.
        width: pixels.
        height: pixels.
    """
    drawn = [_drawable(curve) for curve in curves.values()]
    frame = _Frame.of(drawn, last_step)
    if frame is None:
        return ""
    left, right, top, bottom = 52, 12, 22, 24
    wide, high = width - left - right, height - top - bottom
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(", ".join(curves))}" '
        'style="max-width:100%;font:11px system-ui,sans-serif" fill="currentColor">'
    ]
    for share in (0.0, 0.5, 1.0):
        y = top + share * high
        value = _figure(frame.high - share * (frame.high - frame.low))
        parts.append(
            f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" stroke="currentColor" '
            f'stroke-opacity=".15"/><text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
        )
    for step, anchor in ((frame.first, "start"), (frame.last, "end")):
        x = left + frame.across(step) * wide
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{step}</text>')
    parts.append(f'<text x="{left + wide / 2:.0f}" y="{height - 8}" text-anchor="middle">step</text>')
    legend = left
    for place, (name, curve) in enumerate(zip(curves, drawn, strict=True)):
        color = _COLORS[place % len(_COLORS)]
        points = " ".join(
            f"{left + frame.across(step) * wide:.1f},{top + frame.down(value) * high:.1f}"
            for step, value in _thinned(curve)
        )
        shape = f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
        if len(curve) == 1:
            across, down = points.split(",")
            shape = f'<circle cx="{across}" cy="{down}" r="3" fill="{color}"/>'
        named = f"{name} {_figure(curve[-1][1])}" if curve else name
        parts.append(
            f'{shape if curve else ""}<rect x="{legend}" y="6" width="12" height="3" fill="{color}"/>'
            f'<text x="{legend + 16}" y="12">{escape(named)}</text>'
        )
        legend += 30 + 7 * len(named)
    return "".join([*parts, "</svg>"])


def _drawable(curve: Curve) -> list[tuple[int, float]]:
    return [(step, value) for step, value in curve if math.isfinite(value)]


def _figure(value: float) -> str:
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.1e}"


def _thinned(curve: Curve) -> Curve:
    every = max(1, math.ceil(len(curve) / _MOST_POINTS))
    return [*curve[::every], *([curve[-1]] if curve and (len(curve) - 1) % every else [])]


def _dots(curve: Curve, frame: _Frame, columns: int, lines: int) -> Iterator[tuple[int, int]]:
    """The dots of a curve in a field: its points, and the straight lines between them."""
    before: tuple[int, int] | None = None
    for step, value in curve:
        here = (
            min(round(frame.across(step) * (columns - 1)), columns - 1),
            min(round(frame.down(value) * (lines - 1)), lines - 1),
        )
        if before is not None and before != here:
            length = max(abs(here[0] - before[0]), abs(here[1] - before[1]))
            for part in range(1, length):
                share = part / length
                yield (
                    round(before[0] + share * (here[0] - before[0])),
                    round(before[1] + share * (here[1] - before[1])),
                )
        if before != here:
            yield here
        before = here


def _as_braille(curves: Sequence[Curve], frame: _Frame, columns: int, lines: int) -> list[list[ChartCell]]:
    bits = [[0] * columns for _ in range(lines)]
    owner: list[list[int | None]] = [[None] * columns for _ in range(lines)]
    for place, curve in enumerate(curves):
        for x, y in _dots(curve, frame, columns * 2, lines * 4):
            bits[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
            owner[y // 4][x // 2] = place
    return [
        [
            ChartCell(chr(_BRAILLE + bit) if bit else " ", curve)
            for bit, curve in zip(line, owners, strict=True)
        ]
        for line, owners in zip(bits, owner, strict=True)
    ]


def _as_marks(curves: Sequence[Curve], frame: _Frame, columns: int, lines: int) -> list[list[ChartCell]]:
    cells = [[ChartCell(" ")] * columns for _ in range(lines)]
    for place, curve in enumerate(curves):
        for x, y in _dots(curve, frame, columns, lines):
            cells[y][x] = ChartCell(_MARKS[place % len(_MARKS)], place)
    return cells
