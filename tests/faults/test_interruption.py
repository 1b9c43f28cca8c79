"""Ctrl-C in a terminal, and SIGTERM, while a job on the platform is followed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from submitting import CONFIG, DATASET, Wish, submit, waiting_stack

from lawtags_client.cache import CACHE_VARIABLE
from lawtags_client.cli.run import training_of
from lawtags_client.intents import SqliteIntents, new_intent
from lawtags_client.runs.ledger import Ledger
from lawtags_stack.stack import StackThread

LAWTAGS = Path(sys.executable).with_name("lawtags")
CTRL_C = b"\x03"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    with waiting_stack(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def job(stack: StackThread, tmp_path: Path) -> str:
    urls, wish = {"platform_url": stack.platform_url}, Wish(1, tmp_path.name, "k", False)
    return asyncio.run(submit(urls, tmp_path / "i.sqlite", wish))


def status(stack: StackThread, job: str) -> str:
    return str(httpx.get(f"{stack.platform_url}/v1/customization/jobs/{job}").json()["status"])


def environment(stack: StackThread, folder: Path) -> dict[str, str]:
    # The cache stays that of the tests, not the user's.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LAWTAGS_") or name == CACHE_VARIABLE
    }
    return kept | {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_INTENTS_PATH": str(folder / "intents.sqlite"),
        "TERM": "dumb",
        "COLUMNS": "200",
    }


class Terminal:
    """A command in a terminal of its own, whose keys can be pressed."""

    def __init__(self, stack: StackThread, folder: Path, *words: str) -> None:
        self._master, slave = pty.openpty()
        self.shown = ""

        def own() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [LAWTAGS, *words],
            cwd=folder,
            env=environment(stack, folder),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=own,
        )
        os.close(slave)

    def wait_for(self, text: str, seconds: float = 20.0) -> None:
        """Read until something is shown."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"never shown: {text!r}; but {self.shown!r}"
            self._read(0.05)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self, seconds: float = 20.0) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._read(0.05)
        while self._read(0.0):
            pass
        os.close(self._master)
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        try:
            piece = os.read(self._master, 4096) if ready else b""
        except OSError:  # Linux tells the end of a terminal so
            return False
        self.shown += piece.decode("utf-8", "replace")
        return bool(piece)


def test_ctrl_c_once_leaves_the_job_running_and_says_how_to_resume(
    stack: StackThread, job: str, tmp_path: Path
) -> None:
    terminal = Terminal(stack, tmp_path, "jobs", "watch", job)
    terminal.wait_for("created")
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert f"{job} is still running on the platform" in terminal.shown
    assert "Repeat the command" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert status(stack, job) == "created"


@pytest.mark.parametrize(
    ("answer", "state"), [(b"y\n", "cancelled"), (b"n\n", "created"), (CTRL_C, "created")]
)
def test_ctrl_c_twice_asks_whether_to_cancel_the_job(
    stack: StackThread, job: str, tmp_path: Path, answer: bytes, state: str
) -> None:
    terminal = Terminal(stack, tmp_path, "jobs", "watch", job)
    terminal.wait_for("created")
    terminal.press(CTRL_C)
    terminal.wait_for("Press Ctrl-C again")
    terminal.press(CTRL_C)
    terminal.wait_for(f"Cancel {job}?")
    terminal.press(answer)
    assert terminal.end() == 130
    assert status(stack, job) == state
    assert "Traceback" not in terminal.shown


def test_job_is_cancelled_at_once_where_that_was_asked_for(
    stack: StackThread, job: str, tmp_path: Path
) -> None:
    terminal = Terminal(stack, tmp_path, "jobs", "watch", job, "--cancel-on-interrupt")
    terminal.wait_for("created")
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert status(stack, job) == "cancelled"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_terminated_command_leaves_its_job_and_the_same_command_resumes_it(
    stack: StackThread, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    command = [LAWTAGS, "customize", DATASET, "--config", CONFIG, "-m", f"law/{tmp_path.name}"]
    told = []
    for _ in range(2):
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(stack, tmp_path), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            told.append(process.stderr.readline().split()[0].rstrip(":"))
            started = time.monotonic()
            process.send_signal(sent)
            rest = process.stderr.read()
            assert process.wait(timeout=10) == code
        assert time.monotonic() - started < 5
        assert "Repeat the command" in rest
    assert told[0] == told[1]
    assert status(stack, told[0]) == "created"


def test_under_nohup_a_closed_terminal_does_not_end_a_command(
    stack: StackThread, job: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        ["nohup", LAWTAGS, "jobs", "watch", job],
        env=environment(stack, tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


def test_without_a_terminal_ctrl_c_asks_nothing(stack: StackThread, job: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [LAWTAGS, "jobs", "watch", job],
        env=environment(stack, tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert "is still running on the platform" in process.stderr.read()
    assert status(stack, job) == "created"


def test_job_of_a_run_is_the_one_it_waits_for_at_the_moment(tmp_path: Path) -> None:
    assert training_of(tmp_path) is None
    ledger, intents = Ledger(tmp_path / "ledger.sqlite"), SqliteIntents(tmp_path / "ledger.sqlite")
    ledger.begin("upload", "d")
    assert training_of(tmp_path) is None
    ledger.begin("customize", "d")
    assert training_of(tmp_path) is None
    for number in (1, 2):
        intent = intents.begin(new_intent("customization", {"n": number}))
        intents.settle(intent.key, f"cust-{number}")
    intents.begin(new_intent("evaluation", {"n": 3}))
    assert training_of(tmp_path) == "cust-2"
    ledger.finish("customize", {})
    assert training_of(tmp_path) is None
