"""Runs on a volume that can only be read, while another process writes there, or was killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lawtags_client.runs.ledger import Ledger

METRICS = [Path(sys.executable).with_name("lawtags"), "runs", "metrics", "--runs"]
# Takes the run, and keeps a connection open, so that what it wrote is still in the log beside the database.
WRITER = """
import sqlite3, sys
from pathlib import Path
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
run = Path(sys.argv[1])
held = run_lock(run)
ledger = Ledger(run / "ledger.sqlite")
open_connection = sqlite3.connect(ledger.path)
open_connection.execute("SELECT * FROM stages").fetchall()
ledger.begin("customize", "b")
print("held", flush=True)
sys.stdin.read()
"""


def seen(runs: Path, tmp_path: Path) -> list[str]:
    """The metrics of a process that has the folder of runs mounted for reading."""
    there = tmp_path / "mounted"
    there.mkdir(exist_ok=True)
    script = 'mount --bind "$0" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, runs, there]
    done = subprocess.run([*command, *METRICS, there], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def writer(run: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "a run?#%" / "one" / "ledger.sqlite")
    ledger.begin("curate", "a")
    ledger.finish("curate", {"rows": {"training": 218}, "digest": "d"})
    return ledger.path.parent


def test_a_run_that_nobody_uses_is_shown(run: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in run.iterdir())
    shown = seen(run.parent, tmp_path)
    assert 'lawtags_run_held{run="one"} 0' in shown and "lawtags_runs_unreadable 0" in shown
    assert 'lawtags_stage_state{run="one",stage="curate",state="done"} 1' in shown
    assert before == sorted(path.name for path in run.iterdir())


def test_what_a_writer_has_just_written_is_shown_and_that_it_is_at_work(run: Path, tmp_path: Path) -> None:
    running = 'lawtags_stage_state{run="one",stage="customize",state="running"} 1'
    with writer(run) as process:
        shown = seen(run.parent, tmp_path)
        assert 'lawtags_run_held{run="one"} 1' in shown and running in shown
        process.kill()
        process.wait()
        shown = seen(run.parent, tmp_path)
        assert 'lawtags_run_held{run="one"} 0' in shown and running in shown
