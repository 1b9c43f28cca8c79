from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import HOSTILE
from rich.console import Console

from lawtags_client.cli.json_log import JsonLogFormatter, JsonProgress
from lawtags_client.cli.progress import ProgressBars, ProgressLines, _Bars, _Elapsed, _TextOrTimeLeft, shown
from lawtags_client.cli.training_panel import TrainingPanel
from lawtags_client.runs.progress import LoggedProgress, Progress
from lawtags_client.runs.sweeping.sweep_progress import trial_progress
from lawtags_client.runs.training_monitor import TrainingState


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
        "train", "15/60 (25%) steps", "30/60 (50%) steps", "45/60 (75%) steps"
    ]  # fmt: skip


def test_no_line_comes_twice_and_silence_is_explained() -> None:
    now = [0.0]
    out = io.StringIO()
    lines = ProgressLines(Console(file=out), every=15.0, quiet=45.0, clock=lambda: now[0])
    lines.stage("predict", 1, 2)
    for second in range(1, 200):
        now[0] = float(second)
        # Something arrives every second for a minute, and nothing after that.
        lines.update(min(second, 60), 134, "answers")
        lines.beat()
    lines.finished("predict", 199.0, {})
    lines.beat()
    told = [line.strip() for line in out.getvalue().splitlines()]
    assert told == [
        "[1/2] predict",
        "15/134 (11%) answers", "30/134 (22%) answers", "45/134 (34%) answers", "60/134 (45%) answers",
        "predict: 1:45 so far, 60/134 (45%) answers",
        "predict: 2:30 so far, 60/134 (45%) answers",
        "predict: 3:15 so far, 60/134 (45%) answers",
        "predict done in 199.0 s:",
    ]  # fmt: skip


def test_a_note_does_not_hold_back_progress() -> None:
    now = [0.0]
    out = io.StringIO()
    lines = ProgressLines(Console(file=out), every=15.0, clock=lambda: now[0])
    lines.stage("train", 1, 1)
    for second in range(1, 21):
        now[0] = float(second)
        lines.note(f"note {second}")
        lines.update(second, 20, "steps")
    assert "15/20 (75%) steps" in out.getvalue()


STATE = TrainingState(
    job="cust-1",
    status="running",
    steps=31,
    total_steps=45,
    seconds_left=18.2,
    steps_per_second=0.7,
    tokens_per_second=1234.5,
    curves={
        "train_loss": [(step, 3.0 / step) for step in range(1, 32)],
        "val_loss": [(15, 1.0), (30, 1.2)],
    },
    lines=("DatasetReady: 218 rows", HOSTILE),
)


@pytest.mark.parametrize("width", [80, 120])
def test_a_training_is_drawn_below_its_bar(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=40, color_system=None)
    with shown(console) as bars:
        bars.stage("customize", 5, 10)
        bars.training(STATE)
    text = out.getvalue()
    assert "31/45" in text and "0:19 left" in text and "1,234 tokens/s" in text
    assert "val loss 1.2000 (lowest 1.0000 at step 15)" in text
    assert any("⠀" < character <= "⣿" for character in text)
    # Before the first step, the last line says what the platform does.
    assert "DatasetReady" not in text
    with shown(console) as bars:
        bars.training(replace(STATE, steps=0, seconds_left=None))
    assert "\\u001b[2J" in out.getvalue() and "\x1b[2J" not in out.getvalue()


TRIALS = ("learning_rate=0.001, adapter_dim=8", "learning_rate=0.0003, adapter_dim=32")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)])
def test_each_of_two_trainings_has_its_bar_its_chart_and_its_name(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    with shown(console) as bars:
        assert isinstance(bars, ProgressBars)
        one, other = (trial_progress(bars, label) for label in TRIALS)
        one.stage("customize", 4, 4)
        one.training(STATE)
        other.stage("customize", 4, 4)
        other.training(
            replace(STATE, steps=12, seconds_left=33.0, curves={"train_loss": [(1, 7.5), (12, 5.25)]})
        )
        frame = drawn(console, bars)
    text = " ".join("".join(frame).split())
    assert len(frame) <= height
    for label in TRIALS:
        assert any(line.strip() == label for line in frame)
    assert "31/45" in text and "12/45" in text and "0:19 left" in text and "0:33 left" in text
    assert "train loss 5.2500" in text and "val loss 1.2000" in text
    assert "…" not in text
    # What ends takes only its own bar and chart with it.
    one.finished("customize", 9.0, {"job": "cust-1"})
    left = "".join(drawn(console, bars))
    assert "12/45" in left and "31/45" not in left and "val loss" not in left


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_id_of_a_job_stays_in_one_line(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, color_system=None)
    with shown(console) as bars:
        assert isinstance(bars, ProgressBars)
        bars.stage("cust-WZBMxeqaoyWFznXyr2KJtE", 1, 1)
        bars.update(0, None, "Training: float32 by oneDNN on the CPU, with many threads")
        frame = drawn(console, bars)
    assert len(frame) == 1
    assert "cust-WZBMxeqaoyWFznXyr2KJtE" in frame[0]


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with shown(console) as lines:
        lines.stage("customize", 5, 10)
        lines.note("running")
        assert out.getvalue().splitlines() == ["[5/10] customize", "    running"]


def drawn(console: Console, bars: ProgressBars) -> list[str]:
    """The lines of the next frame."""
    screen = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=console.width,
        height=console.height,
        color_system=None,
    )
    with screen.capture() as taken:
        screen.print(bars._bars.get_renderable())
    return taken.get().splitlines()


def test_lines_and_events_of_two_trainings_say_of_which_one_they_are() -> None:
    now, out, events = [0.0], io.StringIO(), io.StringIO()
    lines = ProgressLines(Console(file=out, width=200), every=15.0, quiet=45.0, clock=lambda: now[0])
    for progress in (lines, JsonProgress(events)):
        lanes = [trial_progress(progress, label) for label in ("lr=1", "lr=2")]
        for lane in lanes:
            lane.stage("customize", 4, 4)
        now[0] += 20.0
        for lane in lanes:
            lane.training(STATE)
        now[0] += 50.0
        lines.beat()
        lines.beat()
        for lane in lanes:
            lane.finished("customize", 70.0, {})
    told = [line.strip() for line in out.getvalue().splitlines()]
    assert told[:2] == ["[4/4] lr=1: customize", "[4/4] lr=2: customize"]
    assert [line.split(",")[0] for line in told[2:4]] == [
        "lr=1: 31/45 (69%) training",
        "lr=2: 31/45 (69%) training",
    ]
    assert [line.split(" so far")[0] for line in told[4:6]] == [
        "lr=1: customize: 1:10",
        "lr=2: customize: 1:10",
    ]
    assert told[6:] == ["lr=1: customize done in 70.0 s:", "lr=2: customize done in 70.0 s:"]
    seen = [json.loads(line) for line in events.getvalue().splitlines()]
    assert [(each["event"], each["of"], each["stage"]) for each in seen] == [
        (event, of, "customize") for event in ("stage", "training", "finished") for of in ("lr=1", "lr=2")
    ]


def test_a_frame_of_a_training_styles_runs_of_cells_not_each_cell() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=40, color_system="standard")
    console.print(TrainingPanel(STATE))
    frame = out.getvalue()
    assert sum("⠀" < character <= "⣿" for character in frame) > 50
    # A line of axis, gap, curve and gap has a handful of styles, with an escape before and after each.
    assert max(line.count("\x1b[") for line in frame.splitlines()) < 24


def test_the_clock_of_a_stage_runs_on_when_one_of_its_counts_is_full() -> None:
    now = [100.0]
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    bars = _Bars(_Elapsed(), console=console, get_time=lambda: now[0], auto_refresh=False)
    progress = ProgressBars(bars)
    progress.stage("predict", 8, 10)
    progress.update(0, 134, "base model")
    now[0] += 60
    progress.update(134, 134, "base model")
    now[0] += 60
    progress.update(5, 134, "tuned model")
    assert str(_Elapsed().render(bars.tasks[0])) == "2:00"


def test_a_long_text_takes_no_room_from_the_counts() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    with shown(console) as bars:
        bars.stage("predict", 8, 10)
        bars.update(127, 134, "tuned model, answers, 64 rows in flight, no answer for 28 s")
    assert "127/134" in out.getvalue() and "95%" in out.getvalue() and "tuned model" in out.getvalue()


def test_the_time_left_passes_between_two_reports() -> None:
    now = [100.0]
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    bars = _Bars(_TextOrTimeLeft(), console=console, get_time=lambda: now[0], auto_refresh=False)
    progress = ProgressBars(bars)
    progress.stage("customize", 5, 10)
    progress.training(STATE)

    def said() -> str:
        return str(_TextOrTimeLeft().render(bars.tasks[0]))

    assert said() == "0:19 left"
    now[0] += 10
    assert said() == "0:09 left"
    now[0] += 10
    assert said() == "longer than estimated"
    progress.training(replace(STATE, steps=45, seconds_left=0.0))
    assert said() == "finishing"
    progress.update(1, 3, "rows")
    assert said() == "rows"


def test_without_a_terminal_a_training_is_a_line() -> None:
    out = io.StringIO()
    ProgressLines(Console(file=out, width=200), every=0.0).training(STATE)
    assert out.getvalue().strip() == (
        "31/45 (69%) training, train loss 0.0968, val loss 1.2000, 1,234 tokens/s, 0:19 left"
    )


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


def test_json_events_are_one_object_a_line() -> None:
    out = io.StringIO()
    progress = JsonProgress(out)
    tell_everything(progress)
    progress.training(STATE)
    progress.table("t", ["system", "F1"], [["base", "0.1"]])
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["event"] for row in rows] == [
        "stage", "progress", "note", "finished", "skipped", "training", "table"
    ]  # fmt: skip
    assert rows[1]["message"] == HOSTILE and "\x1b" not in out.getvalue()
    assert (rows[5]["steps"], rows[5]["seconds_left"], rows[5]["stage"]) == (31, 18.2, "plan")
    assert rows[6]["rows"] == [{"system": "base", "F1": "0.1"}]


def test_a_log_record_is_one_object_a_line() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("x", logging.WARNING, "f", 1, "said %s", (HOSTILE,), sys.exc_info())
    line = JsonLogFormatter().format(record)
    assert "\n" not in line and "\x1b" not in line
    row = json.loads(line)
    assert (row["event"], row["level"], row["message"]) == ("log", "warning", f"said {HOSTILE}")
    assert "ValueError" in row["traceback"]


def test_a_command_reports_errors_in_the_format_that_was_asked_for(tmp_path: Path) -> None:
    words = [str(Path(sys.executable).with_name("lawtags")), "runs", "show", "none", "--log-format", "json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"] == "ConfigurationError"
