from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lawtags_client.files import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    open_temporary,
    publish_folder,
    sha256_file,
)

WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: atomic_write_bytes(path, b"new"),
    "text": lambda path: atomic_write_text(path, "new"),
    "json": lambda path: atomic_write_json(path, {"new": True}),
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize("writer", WRITERS)
def test_file_is_replaced_and_never_written_in_place(writer: str, old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    os.link(old, other)
    with old.open("rb") as reading:
        WRITERS[writer](old)
        assert reading.read() == b"old"
    assert other.read_bytes() == b"old" and b"new" in old.read_bytes()
    assert [path.name for path in old.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_write_that_fails_leaves_the_old_file_and_nothing_else(
    step: str, writer: str, error: BaseException, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(type(error)):
        WRITERS[writer](old)
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["file"]


def _child(script: str, path: Path, *, limit: int | None = None) -> int:
    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-B", "-c", script, str(path)]
    return subprocess.run(command, preexec_fn=prepare, capture_output=True, check=False).returncode


BEGIN = "import os, signal, sys\nfrom pathlib import Path\nfrom lawtags_client.files import *\n"


def test_disk_that_fills_while_writing_leaves_the_old_file_and_nothing_else(old: Path) -> None:
    write = "try: atomic_write_bytes(Path(sys.argv[1]), b'x' * 100_000)\nexcept OSError: sys.exit(7)"
    assert _child(BEGIN + write, old, limit=4096) == 7
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("killed_at", ["write", "fsync", "replace"])
def test_kill_while_writing_leaves_the_old_file(killed_at: str, old: Path) -> None:
    kill = {
        # Half of it is written by hand, as a kill within a write leaves it.
        "write": "opening = os.fdopen\n"
        "class Half:\n"
        "    def __init__(self, stream): self.stream = stream\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): pass\n"
        "    def write(self, data):\n"
        "        self.stream.write(data[:1]); self.stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.fdopen = lambda *a, **k: Half(opening(*a, **k))\n",
        "fsync": "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n",
        "replace": "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n",
    }[killed_at]
    assert _child(f"{BEGIN}{kill}atomic_write_text(Path(sys.argv[1]), 'new')", old) == -signal.SIGKILL
    assert old.read_bytes() == b"old"


def test_json_is_indented_and_has_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "value.json"
    atomic_write_json(path, {"é": [1]})
    text = path.read_text("utf-8")
    assert json.loads(text) == {"é": [1]} and "é" in text and text.endswith("\n") and text.count("\n") == 5
    with pytest.raises(ValueError, match="JSON"):
        atomic_write_json(path, {"score": float("nan")})
    assert path.read_text("utf-8") == text


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    assert sha256_file(tmp_path / "a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_new_file_has_the_permissions_that_the_umask_allows(umask: int, mode: int, tmp_path: Path) -> None:
    script = f"os.umask({umask})\natomic_write_text(Path(sys.argv[1]), 'new')"
    assert _child(BEGIN + script, tmp_path / "file") == 0
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_replaced_file_keeps_its_permissions(mode: int, old: Path) -> None:
    old.chmod(mode)
    atomic_write_text(old, "new")
    assert old.stat().st_mode & 0o777 == mode and old.read_text() == "new"


def test_link_is_replaced_and_does_not_lend_its_permissions(old: Path) -> None:
    old.chmod(0o666)
    link = old.with_name("link")
    link.symlink_to(old)
    atomic_write_text(link, "new")
    assert not link.is_symlink() and old.read_bytes() == b"old"
    assert link.stat().st_mode & 0o777 != 0o666


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_longest_names_can_be_written(name: str, tmp_path: Path) -> None:
    atomic_write_text(tmp_path / name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_temporary_files_of_one_name_are_different_files(tmp_path: Path) -> None:
    made = [open_temporary(tmp_path / "file") for _ in range(3)]
    for handle, _ in made:
        os.close(handle)
    assert len({path for _, path in made}) == 3 and all(path.parent == tmp_path for _, path in made)


def test_published_folder_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, target = tmp_path / ".new", tmp_path / "folder"
    (complete / "inner").mkdir(parents=True)
    (complete / "inner" / "weights").write_bytes(b"1")
    (complete / "config.json").write_bytes(b"2")
    (complete / "elsewhere").symlink_to(tmp_path / "missing")
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle).st_ino, target.exists())))
    inodes = {path.stat().st_ino for path in (complete, *complete.rglob("[!e]*"))}
    publish_folder(complete, target)
    assert {inode for inode, named in synced if not named} == inodes
    assert [inode for inode, named in synced if named] == [tmp_path.stat().st_ino]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_a_private_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from lawtags_client.files import PRIVATE, atomic_write_json;"
        "os.umask(0); atomic_write_json(pathlib.Path(sys.argv[1]), {}, mode=PRIVATE)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "new"], check=True)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
