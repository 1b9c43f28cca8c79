"""Tables for people: no id and no date is ever cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import HEAVY_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lawtags_client.terminal import escape_controls

_UNLIMITED = 100_000


def fitting_table(
    console: Console,
    headings: Iterable[str],
    rows: Iterable[Iterable[str | Text | None]],
    *,
    title: str | None = None,
    optional: Sequence[str] = (),
    numbers: Sequence[str] = (),
    box: Box = HEAVY_HEAD,
) -> Table:
    """A table that fits a console: optional columns go until it does, and long cells wrap.

    Args:
        console: where it is printed.
        headings: of the columns.
        rows: the cells, of any origin; None is empty.
        title: above the table.
        optional: headings of columns that may go, the first one first.
        numbers: headings of columns that are aligned to the right.
        box: its lines.
    """

    def table() -> Table:
        made = Table(title=Text(escape_controls(title)) if title else None, title_justify="left", box=box)
        for heading in shown:
            # Rich would end a long word with three dots.
            made.add_column(heading, overflow="fold", justify="right" if heading in numbers else "left")
        for row in cells:
            made.add_row(*row)
        return made

    unlimited = console.options.update_width(_UNLIMITED)
    shown = list(headings)
    cells = [[_cell(cell) for cell in row] for row in rows]
    for name in optional:
        if console.measure(table(), options=unlimited).maximum <= console.width or name not in shown:
            continue
        place = shown.index(name)
        shown = shown[:place] + shown[place + 1 :]
        cells = [row[:place] + row[place + 1 :] for row in cells]
    return table()


def _cell(cell: str | Text | None) -> Text:
    return cell if isinstance(cell, Text) else Text(escape_controls(cell or ""))
