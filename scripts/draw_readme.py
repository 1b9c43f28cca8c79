"""Draws the pictures of the README from a finished demo: python scripts/draw_readme.py runs/demo demo.log

The log is what ``make demo`` printed to a file. ``docs/images`` receives the pictures.
"""

from __future__ import annotations

import io
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lawtags_client.cli.verdict import print_examples, print_verdict
from lawtags_client.runs import charts
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.metrics import Metrics, read_metrics
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.series import TrainingRecord

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDTH = 118
# Rich's frame without its fonts, which a reader's browser would have to load.
_FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" \
height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""
_STAGE = re.compile(r"\[\d+/\d+\] ")
_DONE = re.compile(r"    \w+ done in ")


def main() -> None:
    """Draw both pictures."""
    folder, log = map(Path, sys.argv[1:])
    metrics = read_metrics(folder)
    (IMAGES / "terminal.svg").write_text(_terminal(folder, metrics, log.read_text("utf-8")), "utf-8")
    (IMAGES / "report.svg").write_text(_report(folder, metrics), "utf-8")


def _terminal(folder: Path, metrics: Metrics, log: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor")
    console.print(Text("$ ", "green") + Text("make demo", "bold"))
    for line in log.splitlines():
        # A log with times has them first.
        line = re.sub(r"^\d\d:\d\d:\d\d ", "", line)
        if _STAGE.match(line):
            console.print(Text(line, "bold"))
        elif _DONE.match(line):
            for part in textwrap.wrap(line.strip(), WIDTH - 4):
                console.print(Text(f"    {part}", "green"))
    for text in _verdict(folder, metrics):
        console.print(text)
    return console.export_svg(title="make demo", code_format=_FRAME, unique_id="t")


def _verdict(folder: Path, metrics: Metrics) -> Iterator[Text]:
    """The lines of the verdict; the command leaves the wrapping to the terminal."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, color_system=None)
    print_verdict(console, metrics)
    print_examples(console, folder)
    for line in buffer.getvalue().splitlines():
        style = "yellow" if "  tagger  " in line else ""
        parts = textwrap.wrap(line, WIDTH, subsequent_indent="    ", drop_whitespace=False)
        yield from (Text(part.rstrip(), style) for part in parts or [""])


def _report(folder: Path, metrics: Metrics) -> str:
    training = read_document(TrainingRecord, folder, "customization.json")
    plan = read_document(JobPlan, folder, "plan.json")
    systems, losses = charts.systems(metrics.systems), charts.loss_curves(training.metrics)
    tall = 420 * _ratio(systems)
    height = tall + 170
    about = f"{training.output_model}, tuned from {plan.base_model}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 880 {height:.0f}" font-family="system-ui, -apple-system, Segoe UI, sans-serif">',
            f'<rect width="880" height="{height:.0f}" fill="#f5f7fa"/>',
            _text(24, 44, 24, "demo"),
            f'<text x="24" y="70" font-size="12" fill="#52606d">{about}</text>',
            _card(20, 460, tall + 60, f"Verdict on {metrics.test_rows} test rows"),
            _placed(systems, "a", 36, 420, tall),
            _card(500, 360, tall + 60, "Training"),
            _placed(losses, "b", 516, 330, 330 * _ratio(losses)),
            "</svg>\n",
        ]
    )


def _card(left: int, width: int, height: float, title: str) -> str:
    size = f'x="{left}" y="90" width="{width}" height="{height:.0f}"'
    return f'<rect {size} rx="10" fill="#fff" stroke="#e4e7eb"/>' + _text(left + 24, 124, 18, title)


def _text(x: int, y: int, size: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="bold" fill="#1f2933">{text}</text>'


def _ratio(chart: str) -> float:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart)
    assert found
    return float(found[2]) / float(found[1])


def _placed(chart: str, prefix: str, left: int, width: int, height: float) -> str:
    """A chart at its place; its names must differ from those of the other one."""
    chart = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}", chart)
    head, rest = chart.split(">", 1)
    head = re.sub(r' (width|height)="[\d.]+pt"', "", head)
    place = f'<svg x="{left}" y="136" width="{width}" height="{height:.0f}"'
    return f"{head.replace('<svg', place, 1)}>{rest}"


if __name__ == "__main__":
    main()
