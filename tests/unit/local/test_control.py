"""Starting a stack in the background."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lawtags_client.errors import LawtagsError, WaitTimeoutError
from lawtags_stack import control

SLEEPS = ["-c", "import time; time.sleep(600)"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return found


def test_a_start_that_is_interrupted_leaves_no_process(
    started: list[subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lawtags_stack.control.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        control.detach(SLEEPS, tmp_path)
    monkeypatch.undo()
    assert started[0].wait(30) != 0


def test_a_start_that_takes_too_long_leaves_no_process(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with pytest.raises(WaitTimeoutError):
        control.detach(SLEEPS, tmp_path, timeout=0.2)
    assert started[0].poll() is not None


def test_a_start_that_fails_has_the_last_line_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(LawtagsError, match="no room"):
        control.detach(["-c", "import sys; print('no room'); sys.exit(3)"], tmp_path)
