from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lawtags_stack.processes.fork_launcher import ForkLauncher
from lawtags_stack.processes.launching import Child, Launcher, SpawnLauncher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux alone")
CHILD = "small_child"


@pytest.fixture(autouse=True)
def _support(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2] / 'support'}{os.pathsep}{tmp_path}")


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[ForkLauncher]:
    launcher = ForkLauncher(tmp_path / "launcher.log", [CHILD])
    yield launcher
    launcher.stop()


@pytest.fixture(params=["fork", "spawn"])
def launcher(request: pytest.FixtureRequest, forks: ForkLauncher) -> Launcher:
    return forks if request.param == "fork" else SpawnLauncher()


def start(launcher: Launcher, log: Path, *words: str, **descriptors: int) -> Child:
    with log.open("ab") as output:
        return launcher.start(CHILD, words, output=output, **descriptors)  # type: ignore[arg-type]


def until(has_come: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not has_come():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid_of(child: Child) -> int:
    until(lambda: child.pid)
    assert child.pid is not None
    return child.pid


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def server_of(launcher: ForkLauncher) -> int:
    assert launcher._server is not None
    return launcher._server._process.pid


def test_exit_codes_and_output_arrive(launcher: Launcher, tmp_path: Path) -> None:
    child = start(launcher, tmp_path / "log", "exit", "7")
    assert child.wait(60) == 7
    assert (child.poll(), child.returncode) == (7, 7)
    assert sorted((tmp_path / "log").read_text().splitlines()) == [
        "said on standard error",
        "said on standard output",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["raise"], 1, "RuntimeError: broken on purpose"),
        (["die"], -signal.SIGABRT, ""),
        (["quit", "3"], 1, ""),
        ([], 1, "IndexError"),
    ],
)
def test_every_end_has_its_code_and_reason(
    launcher: Launcher, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    assert start(launcher, tmp_path / "log", *words).wait(60) == code
    assert said in (tmp_path / "log").read_text()


def test_a_module_that_does_not_exist_is_named(launcher: Launcher, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        child = launcher.start("no_such_module", [], output=output)
    assert child.wait(60) == 1
    assert "no_such_module" in (tmp_path / "log").read_text()


def test_a_child_ends_with_its_own_pipe_and_no_other(launcher: Launcher, tmp_path: Path) -> None:
    children, held = [], []
    for _ in range(2):
        read, write = os.pipe()
        children.append(start(launcher, tmp_path / "log", "read", input=read))
        os.close(read)
        held.append(write)
    os.write(held[0], b"first")
    os.close(held[0])
    assert children[0].wait(60) == 0
    assert children[1].poll() is None
    os.write(held[1], b"second")
    os.close(held[1])
    assert children[1].wait(60) == 0
    assert (tmp_path / "log").read_text().split() == ["first", "second"]


def test_a_connection_is_handed_over(launcher: Launcher, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = start(launcher, tmp_path / "log", "answer", connection=theirs.fileno())
        ours.sendall(b"this")
        assert ours.recv(100) == b"got this"
        assert ours.recv(100) == b""
    assert child.wait(60) == 0


def test_a_child_is_killed_once_it_runs_before_and_after(launcher: Launcher, tmp_path: Path) -> None:
    child = start(launcher, tmp_path / "log", "sleep")
    child.kill()  # a fork server is still importing
    assert child.wait(60) == -signal.SIGKILL
    child.kill()
    child = start(launcher, tmp_path / "log", "sleep")
    pid = pid_of(child)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.kill()
    assert child.wait(60) == -signal.SIGKILL
    assert not running(pid)


def test_nobody_waits_for_imports_to_kill_what_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "endless_import.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
    )
    launcher = ForkLauncher(tmp_path / "launcher.log", ["endless_import", CHILD])
    children = [start(launcher, tmp_path / f"{n}.log", "exit", str(n)) for n in range(3)]
    children[1].kill()
    assert children[1].wait(0) == -signal.SIGKILL
    assert [child.poll() for child in children] == [None, -signal.SIGKILL, None]
    (tmp_path / "go").touch()
    assert [child.wait(60) for child in children] == [0, -signal.SIGKILL, 2]
    assert (tmp_path / "1.log").read_text() == ""
    launcher.stop()


def test_children_that_are_started_together_hold_nothing_of_one_another(tmp_path: Path) -> None:
    (tmp_path / "endless_import.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
    )
    launcher = ForkLauncher(tmp_path / "launcher.log", ["endless_import", CHILD])
    children, ours = [], []
    for number in range(5):
        mine, theirs = socket.socketpair()
        with theirs:
            children.append(start(launcher, tmp_path / f"{number}.log", "sleep", connection=theirs.fileno()))
        ours.append(mine)
    (tmp_path / "go").touch()
    pids = [pid_of(child) for child in children]
    for pid in pids:
        until(lambda pid=pid: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"small_child"))  # type: ignore[misc]
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 4, "input, output twice, and its connection"
    for child, connection in zip(children, ours, strict=True):
        child.kill()
        connection.settimeout(60)
        assert connection.recv(1) == b"", "it would wait for a child that is gone"
        connection.close()
    launcher.stop()


def test_arguments_that_are_too_long_cost_no_other_child(forks: ForkLauncher, tmp_path: Path) -> None:
    child = start(forks, tmp_path / "log", "sleep")
    with pytest.raises(OSError, match="arguments of small_child are too long"):
        start(forks, tmp_path / "log", "exit", "0" * (70 << 10))
    assert start(forks, tmp_path / "log", "exit", "0").wait(60) == 0
    assert child.poll() is None


def test_somebody_else_s_signal_is_told(launcher: Launcher, tmp_path: Path) -> None:
    child = start(launcher, tmp_path / "log", "sleep")
    os.kill(pid_of(child), signal.SIGTERM)
    assert child.wait(60) == -signal.SIGTERM


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A job of a shell in the background ignores interrupts, and so would a fresh child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_forked_child_starts_as_a_fresh_one_does(forks: ForkLauncher, tmp_path: Path) -> None:
    told = []
    for launcher in (forks, SpawnLauncher()):
        log = tmp_path / f"{len(told)}.log"
        assert start(launcher, log, "state").wait(60) == 0
        told.append(log.read_text().splitlines()[-1])
    assert told[0] == told[1] == "True 1 3 1"


def test_lists_of_processes_show_what_a_child_does(forks: ForkLauncher, tmp_path: Path) -> None:
    child = start(forks, tmp_path / "log", "sleep")
    shown = Path(f"/proc/{pid_of(child)}/cmdline")
    until(lambda: shown.read_bytes().rstrip(b"\0") == b"small_child sleep")


def test_children_of_a_killed_server_end_and_new_ones_can_start(forks: ForkLauncher, tmp_path: Path) -> None:
    child = start(forks, tmp_path / "log", "sleep")
    pid = pid_of(child)
    os.kill(server_of(forks), signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    until(lambda: not running(pid))
    assert start(forks, tmp_path / "log", "exit", "0").wait(60) == 0


def test_an_interrupt_at_the_terminal_leaves_the_server_alone(forks: ForkLauncher, tmp_path: Path) -> None:
    assert start(forks, tmp_path / "log", "exit", "0").wait(60) == 0
    os.kill(server_of(forks), signal.SIGINT)
    before = server_of(forks)
    assert start(forks, tmp_path / "log", "exit", "5").wait(60) == 5
    assert server_of(forks) == before


def test_an_idle_server_ends_and_is_started_again(tmp_path: Path) -> None:
    launcher = ForkLauncher(tmp_path / "launcher.log", [CHILD], idle_seconds=0.2)
    child = start(launcher, tmp_path / "log", "sleep")
    first = server_of(launcher)
    pid_of(child)
    time.sleep(0.5)
    assert running(first), "a server with children is not idle"
    child.kill()
    assert child.wait(60) == -signal.SIGKILL
    until(lambda: not running(first))
    assert start(launcher, tmp_path / "log", "exit", "4").wait(60) == 4
    launcher.stop()
    assert start(launcher, tmp_path / "log", "exit", "4").wait(60) == 4
    launcher.stop()


def test_what_cannot_be_imported_is_logged_and_keeps_no_other_from_starting(tmp_path: Path) -> None:
    (tmp_path / "broken_import.py").write_text("raise RuntimeError('broken on purpose')")
    launcher = ForkLauncher(tmp_path / "launcher.log", ["not_installed", "broken_import", CHILD])
    assert start(launcher, tmp_path / "log", "exit", "0").wait(60) == 0
    launcher.stop()
    logged = (tmp_path / "launcher.log").read_text()
    assert "No module named 'not_installed'" in logged
    assert "broken on purpose" in logged


def test_threads_may_start_children_at_the_same_time(forks: ForkLauncher, tmp_path: Path) -> None:
    codes: dict[int, int] = {}

    def one(number: int) -> None:
        codes[number] = start(forks, tmp_path / f"{number}.log", "exit", str(number)).wait(60)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: number for number in range(24)}


def test_nothing_is_imported_for_a_stack_that_is_gone(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}_import.py").write_text(f"""
import pathlib, time
pathlib.Path({str(tmp_path)!r}, {name!r}).touch()
while not pathlib.Path({str(tmp_path)!r}, "go").exists():
    time.sleep(0.01)
""")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "lawtags_stack.processes.fork_server", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen([*command, "first_import", "second_import"], pass_fds=[theirs.fileno()])
    until((tmp_path / "first").exists)
    ours.close()
    (tmp_path / "go").touch()
    assert process.wait(60) == 0
    assert not (tmp_path / "second").exists()


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    program = f"""
import os, sys, time
from pathlib import Path
from lawtags_stack.processes.fork_launcher import ForkLauncher
launcher = ForkLauncher(Path({str(tmp_path / "launcher.log")!r}), [{CHILD!r}])
read, write = os.pipe()
with open(os.devnull, "wb") as output:
    child = launcher.start({CHILD!r}, ["read"], output=output, input=read)
while child.pid is None:
    time.sleep(0.01)
print(child.pid, launcher._server._process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 2
    for pid in pids:
        until(lambda pid=pid: not running(pid))  # type: ignore[misc]
