"""A folder whose lock file or database was meddled with, seen by processes that start on it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.errors import BusyError, ConfigurationError
from lawtags_stack.control import reset
from lawtags_stack.lock import stack_holder, stack_lock
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.services.entity_store.state import EntityStoreState
from lawtags_stack.stack import Stack, StackThread
from lawtags_stack.store import Blobs, Database, Documents

CLI = [sys.executable, "-m", "lawtags_client.cli.local"]
UP = [*CLI, "up", "--json", "--port", "0", "--dir"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*UP, str(tmp_path / "stack")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        yield process
        process.send_signal(signal.SIGTERM)


def up(dir: Path) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([*UP, str(dir)], capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stderr.splitlines()[-1])


def test_a_second_stack_does_not_start_where_the_lock_file_was_deleted(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    dir = tmp_path / "stack"
    for _ in range(2):  # what the refused one left behind must not help the next
        (dir / "stack.lock").unlink(missing_ok=True)
        code, told = up(dir)
        assert (code, told["error"]) == (75, "BusyError")
        assert str(running.pid) in told["message"]
    with pytest.raises(BusyError):
        stack_lock(dir)
    stopped = subprocess.run([*CLI, "down", "--dir", str(dir)], capture_output=True, text=True, timeout=60)
    assert stopped.stdout.strip() == "Stopped."
    assert running.wait(30) == 0 and stack_holder(dir) is None


def test_a_lock_file_that_was_replaced_frees_nothing(tmp_path: Path) -> None:
    with stack_lock(tmp_path):
        (tmp_path / "stack.lock").unlink()
        (tmp_path / "stack.lock").write_text("{}")
        with pytest.raises(BusyError):
            stack_lock(tmp_path)
        assert stack_holder(tmp_path) is not None
    with stack_lock(tmp_path):
        found = stack_holder(tmp_path)
        assert found is not None and found.pid == os.getpid()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stopped stack with some rows and a stored file."""
    dir = tmp_path_factory.mktemp("filled") / "stack"
    database = Database(dir / "stack.sqlite")
    state = EntityStoreState(database)
    for number in range(200):
        state.namespace_ensure(f"ns-{number}")
    DataStoreState(database, Blobs(dir / "blobs")).blobs.put(b"x")
    database.close()
    return dir


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


def noise(path: Path) -> None:
    content = random.Random(5).randbytes(8192)
    overwrite(path, path.stat().st_size // 2 // 4096 * 4096, content)


def spoil_a_document(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entity_store_namespaces SET body = '{\"id\": '")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 0, b"not a database"),
        lambda path: os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 - 100),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
        noise,
        spoil_a_document,
    ],
    ids=["header", "half", "empty", "missing", "noise", "document"],
)
def test_a_damaged_database_is_named_with_the_way_out(
    filled: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    dir = tmp_path / "stack"
    shutil.copytree(filled, dir)
    database = dir / "stack.sqlite"
    damage(database)
    before = database.read_bytes() if database.exists() else None
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(Stack(dir).start())
    assert str(database) in refused.value.message
    assert f"lawtags local reset --dir {dir}" in str(refused.value.hint)
    assert (database.read_bytes() if database.exists() else None) == before
    assert reset(dir, lambda _: True)
    with StackThread(dir):
        pass


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "stack.sqlite").write_bytes(b"no database" * 1000)
    code, told = up(tmp_path)
    assert (code, told["error"]) == (2, "ConfigurationError")
    assert "stack.sqlite" in told["message"] and "lawtags local reset" in told["hint"]


def test_an_empty_database_of_a_first_start_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "stack.sqlite").touch()
    with StackThread(tmp_path):
        pass


def test_text_that_is_not_utf8_is_damage(tmp_path: Path) -> None:
    database = Database(tmp_path / "stack.sqlite")
    try:
        Documents(database, "things").insert("a", {"x": "y"})
        database.check()
        database.execute("UPDATE things SET body = CAST(x'7b2278223a22ff227d' AS TEXT)")
        with pytest.raises(ConfigurationError, match="damaged"):
            database.check()
    finally:
        database.close()
