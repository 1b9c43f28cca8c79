"""Draw the layers of ``.importlinter`` into ``ARCHITECTURE.md``.

Run it after changing the contracts: ``python scripts/draw_layers.py``.
"""

from __future__ import annotations

from configparser import ConfigParser
from itertools import chain, zip_longest
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).parent.parent
CONTRACTS = ROOT / ".importlinter"
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- layers: scripts/draw_layers.py -->\n", "<!-- end of layers -->\n"
WIDEST = 44  # maximum width of text in a box


def layers(contracts: Path = CONTRACTS) -> dict[str, list[str]]:
    """The layers of each package, top first; independent modules of one layer are separated by ``|``."""
    parser = ConfigParser()
    parser.read(contracts, encoding="utf-8")
    found: dict[str, list[str]] = {}
    for name in parser.sections():
        section = parser[name]
        if section.get("type") == "layers":
            (package,) = section["containers"].split()
            found[package] = [" ".join(line.split()) for line in section["layers"].strip().splitlines()]
    return found


def drawing(found: dict[str, list[str]]) -> str:
    """The packages side by side, one box per layer, as a fenced block."""
    columns = [boxes(package, names) for package, names in found.items()]
    widths = [len(column[0]) for column in columns]
    rows = zip_longest(*columns, fillvalue="")
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "```text\n" + "".join(f"{line.rstrip()}\n" for line in lines) + "```\n"


def boxes(package: str, names: list[str]) -> list[str]:
    """One package as lines of equal length."""
    layers = [wrap(name.replace(" | ", " · "), WIDEST) for name in names]
    width = max(len(line) for line in chain([package], *layers))
    lines = [f" {package.ljust(width)}   ", f"┌{'─' * (width + 2)}┐"]
    for place, layer in enumerate(layers):
        lines += [f"├{'─' * (width + 2)}┤"] if place else []
        lines += [f"│ {line.ljust(width)} │" for line in layer]
    return [*lines, f"└{'─' * (width + 2)}┘"]


def page(text: str) -> str:
    """Insert the drawing of the current contracts into the page."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE.name} has no place for the drawing: add the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}{drawing(layers())}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
