"""Signals to the first process of a container, which is sent none that it does not handle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAWTAGS = Path(sys.executable).with_name("lawtags")
ALONE = ["unshare", "--pid", "--fork", "--kill-child"]
INIT = ["tini", "-s", "--"]


def child_of(pid: int, unshare: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 60
    while not (found := children.read_text().split()):
        assert unshare.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(found[0])


@pytest.mark.skipif(shutil.which("tini") is None, reason="tini is not installed")
@pytest.mark.parametrize(
    "program", [[LAWTAGS, "runs", "metrics", "--listen", "127.0.0.1:0"], ["sleep", "600"]]
)
def test_sigterm_ends_a_container_that_has_just_been_started(tmp_path: Path, program: list[str]) -> None:
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a namespace of processes")
    with subprocess.Popen([*ALONE, *INIT, *program], cwd=tmp_path, stderr=subprocess.DEVNULL) as started:
        try:
            first = child_of(started.pid, started)
            # Until tini has started the program, it is itself a first process that handles nothing.
            child_of(first, started)
            os.kill(first, signal.SIGTERM)
            assert started.wait(120) == 143
        finally:
            started.kill()
