"""The metrics of runs for Prometheus."""

from __future__ import annotations

import socket
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.exposition import Gauge, RunMetrics, exposition, job_gauges
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.metrics_server import MetricsServer, listen_address


def made_runs(folder: Path) -> Path:
    ledger = Ledger(folder / "runs" / "one" / "ledger.sqlite")
    ledger.begin("curate", "a")
    ledger.finish("curate", {"rows": {"training": 218, "testing": 134}, "digest": "d"})
    ledger.begin("customize", "b")
    damaged = folder / "runs" / "two" / "ledger.sqlite"
    damaged.parent.mkdir()
    damaged.write_text("this is no database, and longer than the header of one would be")
    return folder / "runs"


def test_stages_rows_and_damaged_runs_are_counted(tmp_path: Path) -> None:
    lines = exposition(RunMetrics(made_runs(tmp_path)).gauges()).splitlines()
    assert 'lawtags_rows{run="one",part="training"} 218' in lines
    assert 'lawtags_stage_state{run="one",stage="customize",state="running"} 1' in lines
    assert 'lawtags_stage_state{run="one",stage="customize",state="done"} 0' in lines
    assert 'lawtags_stage_state{run="one",stage="curate",state="done"} 1' in lines
    assert "lawtags_runs_unreadable 1" in lines
    # Without a value, there is no heading either.
    assert not any("micro_f1" in line for line in lines)


def test_a_run_that_a_stopped_process_has_locked_hides_nothing_else(tmp_path: Path) -> None:
    runs = made_runs(tmp_path)
    Ledger(runs / "three" / "ledger.sqlite").begin("curate", "c")
    # As SQLite has it while the last connection to the file closes.
    with closing(sqlite3.connect(runs / "one" / "ledger.sqlite", isolation_level=None)) as stopped:
        stopped.execute("PRAGMA locking_mode=EXCLUSIVE")
        stopped.execute("BEGIN EXCLUSIVE")
        lines = exposition(RunMetrics(runs).gauges()).splitlines()
    assert 'lawtags_stage_state{run="three",stage="curate",state="running"} 1' in lines
    assert "lawtags_runs_unreadable 2" in lines


def test_a_run_says_whether_a_process_is_at_work_on_it(tmp_path: Path) -> None:
    runs = made_runs(tmp_path)
    with run_lock(runs / "one"):
        assert 'lawtags_run_held{run="one"} 1' in exposition(RunMetrics(runs).gauges()).splitlines()
    assert 'lawtags_run_held{run="one"} 0' in exposition(RunMetrics(runs).gauges()).splitlines()


def test_jobs_are_counted_unless_the_platform_is_silent() -> None:
    assert 'lawtags_platform_jobs{state="running"} 2' in exposition(job_gauges({"running": 2}))
    silent = exposition(job_gauges(None))
    assert "lawtags_platform_up 0" in silent
    assert "platform_jobs" not in silent


@given(st.text())
def test_no_name_of_a_run_breaks_the_format(name: str) -> None:
    (line,) = [
        line
        for line in exposition([Gauge("rows", "x", [({"run": name}, 1.0)])]).split("\n")
        if line[:1] == "l"
    ]
    quoted = line.removeprefix('lawtags_rows{run="').removesuffix('"} 1')
    unescaped = quoted.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\")
    assert unescaped == name or "\0" in name


def test_they_are_served(tmp_path: Path) -> None:
    runs = made_runs(tmp_path)
    with MetricsServer(("127.0.0.1", 0), lambda: exposition(RunMetrics(runs).gauges())) as server:
        base = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"lawtags_rows{" in answer.read()
        with urllib.request.urlopen(f"{base}/healthz", timeout=60) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/../etc/passwd", timeout=60)
        with pytest.raises(ConfigurationError, match="cannot listen"):
            MetricsServer(("127.0.0.1", server.port), str)


@pytest.mark.parametrize("text", ["9109", ":9109", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "a:²"])
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        listen_address(text)


def test_an_address_may_be_of_version_six() -> None:
    assert listen_address("[::1]:9109") == ("::1", 9109)


@given(st.integers(0, 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_values_keep_all_their_digits(value: float) -> None:
    (_, _, line) = exposition([Gauge("x", "Help.", [({}, value)])]).splitlines()
    assert float(line.removeprefix("lawtags_x ")) == value


def test_metrics_are_served_over_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with MetricsServer(listen_address("[::1]:0"), lambda: "lawtags_x 1\n") as server:
        answer = urllib.request.urlopen(f"http://[::1]:{server.port}/metrics", timeout=30)
        assert answer.read() == b"lawtags_x 1\n"
