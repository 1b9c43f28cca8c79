"""An MkDocs hook that inserts the table of endpoints into the documentation."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

LIST = Path(__file__).parent.parent / "docs" / "endpoints.csv"
PLACE = "<!-- endpoints -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the marker with the table."""
    return markdown.replace(PLACE, table()) if PLACE in markdown else markdown


def table() -> str:
    """Every endpoint with its client method and test, by service."""
    with LIST.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    parts = [f"{len(rows)} rows, {len({(row['method'], row['path']) for row in rows})} endpoints."]
    for service, found in groupby(rows, key=lambda row: row["service"]):
        parts.append(f"## {service}\n\n| endpoint | method of `NeMo` | test |\n| --- | --- | --- |")
        parts[-1] += "".join(
            f"\n| `{row['method']} {row['path']}` | `{row['call']}` | `{row['test'].rpartition('::')[2]}` |"
            for row in found
        )
    return "\n\n".join(parts)
