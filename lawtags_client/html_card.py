"""Small HTML views of objects, as notebooks show them; every value is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_STYLE = "font:13px system-ui,sans-serif;border:1px solid #8884;border-radius:6px;padding:8px 12px;"
_CELL = "padding:1px 14px 1px 0;text-align:left;vertical-align:top"


def card(title: str, values: Mapping[str, object], *, below: str = "") -> str:
    """A title with names and values; those that are None are left out.

    Args:
        title: text.
        values: text by name.
        below: HTML that follows.
    """
    rows = "".join(
        f'<tr><td style="{_CELL};opacity:.65">{escape(name)}</td>'
        f'<td style="{_CELL};overflow-wrap:anywhere">{escape(str(value))}</td></tr>'
        for name, value in values.items()
        if value is not None
    )
    return (
        f'<div style="{_STYLE}display:inline-block;max-width:100%"><strong>{escape(title)}</strong>'
        f'<table style="border:0;margin:4px 0 0">{rows}</table>{below}</div>'
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column holds names and the others figures."""
    head = "".join(f'<th style="{_CELL}">{escape(heading)}</th>' for heading in headings)
    cells = ("".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<table style="border:0"><tr>{head}</tr>{body}</table>'


def bar(share: float) -> str:
    """A bar of progress.

    Args:
        share: from 0 to 1.
    """
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<div style="background:#8883;border-radius:4px;height:8px;margin:6px 0">'
        f'<div style="background:#2563eb;border-radius:4px;height:8px;width:{width:.1f}%"></div></div>'
    )
