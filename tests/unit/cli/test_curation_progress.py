from __future__ import annotations

import io

from rich.console import Console

from lawtags_client.cli.curation_progress import show_curation_progress
from lawtags_client.curation import CurationProgress


def _told(*steps: tuple[float, CurationProgress], terminal: bool = False) -> str:
    now = [0.0]
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, color_system=None)
    with show_curation_progress(console, clock=lambda: now[0]) as told:
        for second, progress in steps:
            now[0] = second
            told(progress)
    return out.getvalue()


def test_lines_tell_rows_speed_and_what_is_left_now_and_then_and_at_the_end() -> None:
    lines = _told(
        (0, CurationProgress("reading", 500, None)),
        (1, CurationProgress("cleaning", 0, 8000)),
        (6, CurationProgress("cleaning", 500, 8000)),
        (21, CurationProgress("cleaning", 2000, 8000)),
        (101, CurationProgress("cleaning", 8000, 8000)),
        (102, CurationProgress("duplicates and split", 0, None)),
    ).splitlines()
    assert lines == [
        "reading: 500 rows",
        "cleaning: 0 of 8,000 rows",
        "cleaning: 2,000 of 8,000 rows, 100 rows/s, 1:00 left",
        "cleaning: 8,000 of 8,000 rows, 80 rows/s",
        "duplicates and split",
    ]


def test_rows_of_an_interrupted_call_are_named_and_do_not_flatter_the_speed() -> None:
    lines = _told(
        (0, CurationProgress("cleaning", 900, 1000, before=900)),
        (20, CurationProgress("cleaning", 950, 1000, before=900)),
    ).splitlines()
    assert lines == [
        "cleaning: 900 of 1,000 rows, 900 of them already done",
        "cleaning: 950 of 1,000 rows, 2.5 rows/s, 0:20 left",
    ]


def test_a_terminal_shows_a_bar() -> None:
    shown = _told(
        (0, CurationProgress("cleaning", 10, 100, before=10)),
        (10, CurationProgress("cleaning", 60, 100, before=10)),
        terminal=True,
    )
    assert "cleaning: 10 rows were already done" in shown
    assert "60/100" in shown
    assert "5.0 rows/s, 0:08 left" in shown
