"""Tables of a page that fit a phone: each cell carries the heading of its column.

A narrow screen shows a row as a block of its cells, and has no place for the headings above them.
"""

from __future__ import annotations

import html
import re

_TABLE = re.compile(r"<table(?P<rest>[^>]*)>(?P<body>.*?)</table>", re.DOTALL)
_ROW = re.compile(r"<tr(?P<rest>[^>]*)>(?P<body>.*?)</tr>", re.DOTALL)
_HEADING = re.compile(r"<th[^>]*>(?P<text>.*?)</th>", re.DOTALL)
_CELL = re.compile(r"<td(?P<rest>[^>]*)>")
_SPAN = re.compile(r'colspan="(\d{1,3})"')
# Most characters of a label that is never broken.
_UNBROKEN = 11
_TAG = re.compile(r"<[^>]*>")


def with_labels(page: str) -> str:
    """A page whose tables with headings have the class ``labeled``, and their cells ``data-label``.

    Args:
        page: HTML in which all text of data is escaped, so that each ``<table`` is one of the templates.
    """
    return _TABLE.sub(_labeled, page)


def _labeled(table: re.Match[str]) -> str:
    rows = list(_ROW.finditer(table["body"]))
    if not rows or "<th" not in rows[0]["body"]:
        return table[0]
    labels = [_TAG.sub(" ", each["text"]).strip() for each in _HEADING.finditer(rows[0]["body"])]
    body = table["body"]
    # A head of its own: on paper, it is repeated on each page of the table.
    first = f'<thead><tr class="headings"{rows[0]["rest"]}>{rows[0]["body"]}</tr></thead>'
    rest = _ROW.sub(lambda row: f"<tr{row['rest']}>{_cells(row['body'], labels)}</tr>", body[rows[0].end() :])
    return f'<table class="labeled"{table["rest"]}>{body[: rows[0].start()]}{first}{rest}</table>'


def _cells(row: str, labels: list[str]) -> str:
    place = 0

    def label(cell: re.Match[str]) -> str:
        nonlocal place
        text = labels[place] if place < len(labels) else ""
        span = _SPAN.search(cell["rest"])
        place += int(span[1]) if span else 1
        if len(text) <= _UNBROKEN:
            # A longer label gives way to its figure, and wraps.
            text = text.replace(" ", "\N{NO-BREAK SPACE}")
        # Already escaped; only a quote could end the attribute.
        return f'<td data-label="{html.escape(html.unescape(text))}"{cell["rest"]}>'

    return _CELL.sub(label, row)
