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

from lawtags_client.files import atomic_write_bytes, atomic_write_json, atomic_write_text, sha256_file

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
