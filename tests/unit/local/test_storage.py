from __future__ import annotations

import hashlib
import io
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_stack.store import Blobs, Database, Documents, DuplicateKeyError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "stack.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def test_database_is_written_ahead_and_fully_synchronised(database: Database) -> None:
    assert database.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert database.rows("PRAGMA synchronous")[0][0] == 2


def test_migrations_run_once_and_in_order(database: Database) -> None:
    steps = ["CREATE TABLE a (x TEXT DEFAULT ';'); INSERT INTO a VALUES ('one;two')"]
    database.migrate("service", steps)
    database.migrate("service", [*steps, "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = 1;"])
    database.migrate("service", [*steps, "never run again"])
    assert [tuple(row) for row in database.rows("SELECT x, y FROM a")] == [("one;two", 1)]


def test_failed_migration_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        database.migrate("service", ["CREATE TABLE a (x); nonsense;"])
    assert database.row("SELECT 1 FROM sqlite_master WHERE name = 'a'") is None


def test_tables_of_a_later_version_are_refused(database: Database) -> None:
    database.migrate("service", ["CREATE TABLE a (x)", "CREATE TABLE b (x)"])
    with pytest.raises(ConfigurationError, match="version 2"):
        database.migrate("service", ["CREATE TABLE a (x)"])


def test_failed_transaction_is_rolled_back(database: Database) -> None:
    documents = Documents(database, "things")
    with pytest.raises(RuntimeError), database.transaction():
        documents.insert("a", {"x": 1})
        raise RuntimeError
    assert documents.get("a") is None


def test_threads_lose_no_update(database: Database) -> None:
    documents = Documents(database, "things")
    documents.insert("a", {"count": 0})

    def count() -> None:
        for _ in range(25):
            documents.update("a", lambda document: {"count": document["count"] + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert documents.get("a") == {"count": 100}


def test_documents_keep_their_order_and_keys(database: Database) -> None:
    documents = Documents(database, "things")
    for key in "cab":
        documents.insert(key, {"key": key})
    with pytest.raises(DuplicateKeyError):
        documents.insert("a", {})
    documents.put("c", {"key": "c", "changed": True})
    assert [each["key"] for each in documents] == ["c", "a", "b"]
    assert [each["key"] for each in documents.page(2, newest_first=True)] == ["b", "a"]
    assert documents.delete("a") and not documents.delete("a")
    assert documents.count() == 2
    assert documents.update("a", lambda document: document) is None


def test_blob_is_kept_once_under_its_digest(blobs: Blobs, tmp_path: Path) -> None:
    content = b"law" * 1000
    (tmp_path / "file").write_bytes(content)
    stored = {
        blobs.put(data)
        for data in (content, io.BytesIO(content), tmp_path / "file", [content[:7], content[7:]])
    }
    assert len(stored) == 1 and len([*blobs]) == 1
    [blob] = stored
    assert blob.sha256 == hashlib.sha256(content).hexdigest()
    assert blobs.path(blob.sha256).read_bytes() == content
    assert blobs.has(blob.sha256, 3000) and not blobs.has(blob.sha256, 1)


@pytest.mark.parametrize("claim", [{"sha256": "0" * 64}, {"size": 1}])
def test_blob_that_is_not_what_was_announced_is_not_kept(
    blobs: Blobs, tmp_path: Path, claim: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        blobs.put(b"content", **claim)  # type: ignore[arg-type]
    assert [*blobs] == [] and not any((tmp_path / "blobs" / "incoming").iterdir())


def test_damaged_blob_is_noticed(blobs: Blobs) -> None:
    blob = blobs.put(b"content")
    assert blobs.verify(blob.sha256)
    blobs.path(blob.sha256).write_bytes(b"rot")
    assert not blobs.verify(blob.sha256)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_blob_names_cannot_leave_the_folder(blobs: Blobs, name: str) -> None:
    with pytest.raises(DataError):
        blobs.path(name)


def test_half_written_blobs_of_a_killed_process_are_cleared(blobs: Blobs, tmp_path: Path) -> None:
    writer = blobs.writer()
    writer.write(b"half")
    again = Blobs(tmp_path / "blobs")
    assert not any((tmp_path / "blobs" / "incoming").iterdir()) and [*again] == []
    writer.__exit__(None, None, None)


def test_path_too_long_for_sqlite_is_named(tmp_path: Path) -> None:
    long = tmp_path.joinpath(*(["d" * 200] * 3))
    with pytest.raises(ConfigurationError, match="500 bytes"):
        Database(long / "stack.sqlite")
    assert not long.exists()


def test_file_that_is_not_a_database_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "stack.sqlite"
    path.write_bytes(b"not a database" * 400)
    with pytest.raises(ConfigurationError, match=r"stack\.sqlite is damaged or is not a database"):
        Database(path)
    assert path.read_bytes() == b"not a database" * 400


def test_documents_below_a_key_are_those_of_that_parent_alone(tmp_path: Path) -> None:
    documents = Documents(Database(tmp_path / "a.sqlite"), "things")
    for key in ("b/2", "b/1", "b0/1", "b", "b-c/1", "bb/1"):
        documents.insert(key, {"key": key})
    assert [each["key"] for each in documents.below("b")] == ["b/2", "b/1"]
