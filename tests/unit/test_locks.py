from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import filelock
import pytest

from lawtags_client.curation.lock import curation_lock
from lawtags_client.errors import BusyError, ConfigurationError
from lawtags_client.intents import SqliteIntents
from lawtags_client.locks import FolderLock, Holder, holder
from lawtags_client.runs.lock import run_lock
from lawtags_stack.lock import stack_lock

Take = Callable[[Path], AbstractContextManager[Any]]

TAKES: dict[str, Take] = {
    "run": run_lock,
    "curation": curation_lock,
    "intent": lambda folder: SqliteIntents(folder / "intents.sqlite").lock("key"),
    "stack": stack_lock,
}


def busy(found: Holder) -> BusyError:
    return BusyError(f"held by {found}")


def lock_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*lock") if path.is_file()]


@pytest.fixture
def only_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that locks files but not folders, as NFS does."""
    whole, shared = filelock.lock_descriptor, fcntl.flock

    def refuse_folders(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def lock_descriptor(descriptor: int, **options: Any) -> bool:
        refuse_folders(descriptor)
        return whole(descriptor, **options)

    def flock(descriptor: int, how: int) -> None:
        refuse_folders(descriptor)
        shared(descriptor, how)

    monkeypatch.setattr(filelock, "lock_descriptor", lock_descriptor)
    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_the_error_names_the_process_that_holds_the_folder(take: Take, tmp_path: Path) -> None:
    with take(tmp_path):
        with pytest.raises(BusyError) as caught, take(tmp_path):
            pass
        told = str(caught.value)
        assert f"process {os.getpid()} on {socket.gethostname()} since 2" in told and caught.value.hint
    with take(tmp_path):
        pass


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
@pytest.mark.parametrize("how", ["deleted", "replaced", "moved away"])
def test_a_lock_file_that_goes_while_it_is_held_lets_nobody_in(how: str, take: Take, tmp_path: Path) -> None:
    with take(tmp_path):
        for _ in range(2):  # what the refused one leaves behind must not help the next
            for path in lock_files(tmp_path):
                path.rename(tmp_path / "elsewhere")
                if how == "deleted":
                    (tmp_path / "elsewhere").unlink()
                if how == "replaced":
                    path.write_text("{}")
            with pytest.raises(BusyError), take(tmp_path):
                pass
    with take(tmp_path):
        assert len(lock_files(tmp_path)) == 1


HOLDER = """
import os, sys, time
from pathlib import Path
from lawtags_client.runs.lock import run_lock
lock = run_lock(Path(sys.argv[1]))
forked, told = os.pipe()
if os.fork() == 0:
    lock.release()  # the parent's, which is not the child's to release
    os.write(told, b".")
    sys.stdin.read()
    os._exit(0)
os.read(forked, 1)  # until it has run, the child has what every fork has
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_blocks_nobody_even_if_its_forked_child_lives_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {process.pid} on "):
            run_lock(tmp_path)
        process.kill()
        process.wait()
        with run_lock(tmp_path):  # the child is still there: its standard input is open
            pass


@pytest.mark.parametrize(
    "note",
    [
        b"", b"null", b"[1]", b'{"pid": 1', b'{"pid": "1", "host": "h", "since": "s"}', b"\xff", b"[" * 5000,
        b'{"pid": true, "host": "h", "since": "s"}', b'{"pid": 0, "host": "h", "since": "s"}',
        b'{"pid": 99999999999999999999, "host": "h", "since": "s"}', b'{"pid": 1, "host": 2, "since": "s"}',
    ],
)  # fmt: skip
def test_a_note_that_names_nobody_is_not_believed(note: bytes, tmp_path: Path) -> None:
    with FolderLock(tmp_path, busy):
        (tmp_path / "lock").write_bytes(note)
        assert holder(tmp_path) == Holder()
        with pytest.raises(BusyError, match="held by another process"):
            FolderLock(tmp_path, busy)
    assert holder(tmp_path) is None


def test_nobody_holds_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert holder(tmp_path / "missing") is None


def test_where_folders_cannot_be_locked_the_file_keeps_others_out(tmp_path: Path, only_files: None) -> None:
    with FolderLock(tmp_path / "a", busy, remove=True):
        found = holder(tmp_path / "a")
        assert found is not None and found.pid == os.getpid()
        with pytest.raises(BusyError, match=f"process {os.getpid()}"):
            FolderLock(tmp_path / "a", busy)
    assert not (tmp_path / "a").exists() and holder(tmp_path / "a") is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, **options: Any) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with pytest.raises(ConfigurationError, match=os.strerror(number)) as caught:
        FolderLock(tmp_path, busy)
    assert str(tmp_path) in str(caught.value) and "local disk" in str(caught.value.hint)


def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    code = (
        "import sys; from pathlib import Path; from test_locks import TAKES\n"
        "from lawtags_client.errors import ConfigurationError\n"
        "for name, take in TAKES.items():\n"
        "    try:\n        with take(Path(sys.argv[1])): pass\n"
        "    except ConfigurationError as error: print(name, error)"
    )
    script = 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@" "$0"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(tmp_path / "disk")]
    done = subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    told = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in told[::2]] == list(TAKES), done.stderr
    assert all("Read-only file system" in line for line in told[::2])
    assert all("Check its permissions" in line for line in told[1::2])


def test_a_link_or_a_folder_in_the_place_of_the_lock_file_is_refused(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "lock").symlink_to(precious)
    (tmp_path / "two" / "lock").mkdir(parents=True)
    for name in ("one", "two", "precious"):
        with pytest.raises(ConfigurationError, match=name):
            FolderLock(tmp_path / name, busy)
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("folders", [True, False])
def test_never_two_hold_a_folder_that_comes_and_goes(
    folders: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not folders:
        request.getfixturevalue("only_files")
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(40):
            with FolderLock(tmp_path / "a", busy, patience=60, remove=True):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 160


def test_waiting_ends_when_the_holder_leaves(tmp_path: Path) -> None:
    first = FolderLock(tmp_path, busy)
    got = threading.Event()

    def wait() -> None:
        with FolderLock(tmp_path, busy, patience=float("inf")):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.is_set()
    first.release()
    first.release()
    assert got.wait(60)
    thread.join()


def test_what_a_lock_leaves_behind(tmp_path: Path) -> None:
    with curation_lock(tmp_path / "out") as work:
        shutil.rmtree(work)
    with curation_lock(tmp_path / "out") as work:
        (work / "partition").write_text("x")
    assert [path.name for path in work.iterdir()] == ["partition"]
    (work / "partition").unlink()
    with curation_lock(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []
    with SqliteIntents(tmp_path / "intents.sqlite").lock("key"):
        pass
    assert list((tmp_path / "intents.sqlite.locks").iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_is_a_file_or_within_one_is_named_as_such(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"file is not a folder"), curation_lock(tmp_path / place):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_curation_refuses_a_folder_whose_name_it_could_not_open(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(ConfigurationError, match="not UTF-8"), curation_lock(odd):
        pass
    assert not odd.exists()
