from __future__ import annotations

import io
import logging
import re

import pytest
from made_run import HOSTILE
from rich.console import Console

from lawtags_client.cli.progress import ProgressLines, shown
from lawtags_client.runs.progress import LoggedProgress, Progress


def tell_everything(progress: Progress) -> None:
    progress.stage("curate", 1, 2)
    progress.update(3, 10, HOSTILE)
    progress.note(HOSTILE)
    progress.finished("curate", 1.5, {"rows": HOSTILE})
    progress.skipped("plan", 2, 2)


def test_lines_are_one_each_whatever_the_text_holds() -> None:
    out = io.StringIO()
    tell_everything(ProgressLines(Console(file=out), every=0.0))
    lines = out.getvalue().splitlines()
    assert len(lines) == 5
    assert "\x1b" not in out.getvalue()
    assert lines[0] == "[1/2] curate"
    assert all("<script>" in line and "\\u001b[2J[/]" in line for line in lines[1:4])
    assert lines[4] == "[2/2] plan: done before"


def test_lines_tell_progress_now_and_then_only() -> None:
    now = [0.0]
    out = io.StringIO()
    lines = ProgressLines(Console(file=out), every=15.0, clock=lambda: now[0])
    lines.stage("train", 1, 1)
    for second in range(60):
        now[0] = float(second)
        lines.update(second, 60, "steps")
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "[1/1] train", "15/60 (25%) steps", "30/60 (50%) steps", "45/60 (75%) steps"
    ]  # fmt: skip


def test_bars_show_markup_and_escapes_as_text() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160, color_system=None)
    with shown(console) as bars:
        tell_everything(bars)
        bars.update(1, None, "between stages")
    text = out.getvalue()
    # Rich moves the cursor by sequences of its own; the data's stand there written out.
    assert "\x1b[2J" not in text
    assert "\\u001b[2J[/]" in text
    assert re.search(r"✓ curate 1\.5 s", text)
    assert not re.search(r"^fake line", text, re.MULTILINE)


def test_without_a_terminal_there_are_lines() -> None:
    with shown(Console(file=io.StringIO())) as progress:
        assert isinstance(progress, ProgressLines)


def test_a_log_gets_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="lawtags.run"):
        tell_everything(LoggedProgress())
    assert len(caplog.records) == 5
    assert all(record.getMessage().isprintable() for record in caplog.records)
