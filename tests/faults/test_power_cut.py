"""What was acknowledged is on the disk: files and the folders that name them, databases with every commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from power_cut import PowerCut

from lawtags_client.files import atomic_write_bytes, make_folder
from lawtags_client.intents import SqliteIntents, new_intent
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.rows import RowLog, read_rows
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.store import Blobs, Database

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at open files as on Linux")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def power(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PowerCut]:
    (disk / "kept").write_bytes(b"old")
    cut = PowerCut(disk, monkeypatch)
    yield cut
    cut.close()


@pytest.mark.parametrize("name", ["kept", "new", "a/new", "a/b/c/new"])
def test_written_file_outlives_a_power_cut(name: str, disk: Path, power: PowerCut, tmp_path: Path) -> None:
    atomic_write_bytes(disk / name, b"new")
    left = power.left_in(tmp_path / "left")
    assert (left / name).read_bytes() == b"new"
    assert sorted(path.name for path in left.rglob("*") if path.is_file()) == sorted(
        {"kept", Path(name).name}
    )


def test_power_cut_at_any_moment_leaves_the_old_or_the_new_file(
    disk: Path, power: PowerCut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, sync = [], os.fsync

    def cut_around(handle: int) -> None:
        for done in (False, True):
            if done:
                sync(handle)
            left = power.left_in(tmp_path / f"left-{len(seen)}")
            seen.append((left / "kept").read_bytes())

    monkeypatch.setattr(os, "fsync", cut_around)
    atomic_write_bytes(disk / "kept", b"new")
    assert set(seen) == {b"old", b"new"} and seen == sorted(seen, reverse=True)


def test_made_folders_outlive_a_power_cut(disk: Path, power: PowerCut, tmp_path: Path) -> None:
    make_folder(disk / "a" / "b")
    make_folder(disk / "a" / "b" / "c")
    assert (power.left_in(tmp_path / "left") / "a" / "b" / "c").is_dir()
    before = power.syncs
    make_folder(disk / "a" / "b" / "c")
    assert power.syncs == before


def test_stored_blobs_outlive_a_power_cut(disk: Path, power: PowerCut, tmp_path: Path) -> None:
    blobs = Blobs(disk / "stack" / "blobs")
    digests = []
    for number in range(3):
        digests.append(blobs.put(b"content %d" % number).sha256)
        left = Blobs(power.left_in(tmp_path / f"left-{number}") / "stack" / "blobs")
        assert [left.path(digest).read_bytes() for digest in digests] == [
            b"content %d" % n for n in range(number + 1)
        ]


def test_blob_that_was_damaged_and_came_again_outlives_a_power_cut(
    disk: Path, power: PowerCut, tmp_path: Path
) -> None:
    blobs = Blobs(disk / "blobs")
    digest = blobs.put(b"content").sha256
    power.damage(blobs.path(digest), b"torn")
    blobs.put(b"content")
    assert Blobs(power.left_in(tmp_path / "left") / "blobs").path(digest).read_bytes() == b"content"


def test_downloaded_repository_outlives_a_power_cut(disk: Path, power: PowerCut, tmp_path: Path) -> None:
    database = Database(tmp_path / "stack.sqlite")
    state = DataStoreState(database, Blobs(tmp_path / "blobs"))
    state.repo_create("model", "law", "tagger", make_namespace=True)
    files = {"a/b/c": b"1", "a/d": b"2", "e": b"3"}
    state.commit("model", "law", "tagger", files, "one")
    state.download("model", "law", "tagger", disk / "cache" / "tagger")
    database.close()
    left = power.left_in(tmp_path / "left") / "cache" / "tagger"
    assert {name: (left / name).read_bytes() for name in files} == files


def test_rows_outlive_a_power_cut_once_they_are_synced(disk: Path, power: PowerCut, tmp_path: Path) -> None:
    path = disk / "run" / "answers" / "rows.jsonl"
    with RowLog(path, every=2) as log:
        for number in range(5):
            log.append({"row": number})
        left = power.left_in(tmp_path / "within") / path.relative_to(disk)
        assert [row["row"] for row in read_rows(left)] == [0, 1, 2, 3]
    left = power.left_in(tmp_path / "after") / path.relative_to(disk)
    assert [row["row"] for row in read_rows(left)] == [0, 1, 2, 3, 4]


class Careless(sqlite3.Connection):
    """A connection of a SQLite that was built to sync nothing unless it is told to; it keeps a log."""

    logs: ClassVar[list[list[str]]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = OFF")
        self.log: list[str] = []
        self.logs.append(self.log)
        self.set_trace_callback(self.log.append)

    def close(self) -> None:
        """Note how commits were synced before it closes."""
        self.set_trace_callback(None)
        [[synchronous]] = self.execute("PRAGMA synchronous").fetchall()
        [[journal]] = self.execute("PRAGMA journal_mode").fetchall()
        self.log.append(f"synchronous {synchronous}, journal {journal}")
        super().close()


def _ledger(path: Path) -> None:
    ledger = Ledger(path)
    ledger.set_fact("run_id", "r")
    ledger.begin("curate", "digest")
    ledger.finish("curate", {})


def _intents(path: Path) -> None:
    store = SqliteIntents(path)
    store.begin(new_intent("customization", {"n": 1}, key="one"))
    store.settle("customization:one", "cust-1")
    store.forget("customization:one")


def _database(path: Path) -> None:
    database = Database(path)
    database.migrate("notes", ["CREATE TABLE notes (text TEXT)"])
    database.execute("INSERT INTO notes VALUES ('x')")
    database.close()


@pytest.mark.parametrize("use", [_ledger, _intents, _database])
def test_every_commit_is_synced_and_the_database_is_found_again(
    use: Callable[[Path], None], disk: Path, power: PowerCut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Careless.logs.clear()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=Careless, **kwargs)
    )
    use(disk / "of" / "run" / "records.sqlite")
    assert Careless.logs
    for log in Careless.logs:
        told = next(place for place, line in enumerate(log) if "synchronous" in line)
        assert not any(line.strip().startswith(("CREATE", "BEGIN", "INSERT")) for line in log[:told])
        assert log[-1] == "synchronous 2, journal wal"
    # SQLite syncs the folder of its file, and not those above.
    assert (power.left_in(tmp_path / "left") / "of" / "run").is_dir()
