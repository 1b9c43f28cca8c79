"""Worker processes: what they share, what they leave behind, and what happens when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import cloudpickle
import pool_calls
import pytest

from lawtags_client.curation.worker_pool import WorkerPool, _work
from lawtags_client.errors import LawtagsError, MissingExtraError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by signal")

NUMBERS = range(6)


def test_workers_share_what_was_loaded_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    done: list[int] = []
    with WorkerPool(2) as pool:
        pool.load(pool_calls.remember, ("a model",))
        pool.load(pool_calls.lack, (0,))  # its error waits for the first rows
        pool.run(pool_calls.write, dict.fromkeys(NUMBERS, (str(tmp_path),)), done.append)
        texts = [(tmp_path / str(number)).read_text(encoding="utf-8") for number in NUMBERS]
        assert {text.rpartition(" ")[0] for text in texts} == {"a model"}
        assert str(os.getpid()) not in {text.split()[-1] for text in texts}

        again: list[int] = []
        pool.run(pool_calls.die_once, dict.fromkeys(NUMBERS, (str(tmp_path),)), again.append)
        assert (tmp_path / "killed").exists()
        texts = [(tmp_path / str(number)).read_text(encoding="utf-8") for number in NUMBERS]
        assert {text.rpartition(" ")[0] for text in texts} == {"a model"}
    assert sorted(done) == sorted(again) == list(NUMBERS)


class Eager:
    """A connection to a caller that sends its next calls as soon as it knows of the last one."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.taken: list[str] = []

    def send(self, told: tuple[int, BaseException | None]) -> None:
        assert told[1] is None
        self.left -= 1

    def poll(self) -> bool:
        return self.left == 0

    def recv(self) -> str:
        self.taken.append("the next calls")
        return self.taken[-1]


class Threads:
    """Workers in this process."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.executor = executor

    def open(self) -> ThreadPoolExecutor:
        return self.executor


@pytest.mark.parametrize("count", [1, 6])
def test_calls_that_come_right_after_the_last_result_are_not_lost(tmp_path: Path, count: int) -> None:
    calls = {number: cloudpickle.dumps((pool_calls.write, (str(tmp_path),))) for number in range(count)}
    connection = Eager(count)
    with ThreadPoolExecutor(2) as executor:
        _work(cast(Any, connection), cast(Any, Threads(executor)), calls)
    assert connection.left == 0
    assert connection.taken == [], "they are for whoever reads next"


def test_a_pool_can_be_used_again_and_again(tmp_path: Path) -> None:
    done: list[int] = []
    with WorkerPool(2) as pool:
        for _ in range(300):
            pool.run(pool_calls.write, dict.fromkeys(range(2), (str(tmp_path),)), done.append)
    assert len(done) == 600


def test_workers_that_are_killed_again_and_again_are_an_error() -> None:
    with WorkerPool(2) as pool, pytest.raises(LawtagsError, match="keep ending unexpectedly") as caught:
        pool.run(pool_calls.die, {0: (), 1: ()}, lambda _: None)
    assert "use fewer workers" in str(caught.value)


def test_errors_of_workers_arrive_as_they_were_raised() -> None:
    with WorkerPool(2) as pool:
        with pytest.raises(MissingExtraError, match="finding names needs the package 'spacy'") as missing:
            pool.run(pool_calls.lack, dict.fromkeys(NUMBERS, ()), lambda _: None)
        assert (missing.value.extra, missing.value.exit_code) == ("curate", 2)
        with pytest.raises(OSError, match="No space left") as full:
            pool.run(pool_calls.fill, {0: ()}, lambda _: None)
        assert full.value.errno == 28
        with pytest.raises(RuntimeError, match="ZeroDivisionError: of this row"):
            pool.run(pool_calls.stumble, {0: ()}, lambda _: None)


def test_a_pool_without_work_is_closed_at_once() -> None:
    with WorkerPool(2) as pool:
        pool.load(time.sleep, (600,))


def test_workers_end_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, pool_calls\nfrom lawtags_client.curation.worker_pool import WorkerPool\n"
        "with WorkerPool(2) as pool:\n"
        "    pool.run(pool_calls.announce, dict.fromkeys(range(2), (sys.argv[1],)), print)\n"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environ) as caller:
        while len(found := list(tmp_path.glob("pid-*"))) < 2:
            assert caller.poll() is None
            time.sleep(0.05)
        caller.send_signal(signal.SIGKILL)
    processes = {int(pid) for path in found for pid in path.name.split("-")[1:]}
    assert len(processes) == 3
    deadline = time.monotonic() + 60
    while left := [pid for pid in processes if _runs(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
