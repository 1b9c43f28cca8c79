"""Files that a crash has cut short."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lawtags_client.errors import DataError
from lawtags_client.intents import SqliteIntents, new_intent
from lawtags_client.runs.ledger import Ledger

COUNT = 6


@pytest.fixture
def open_store(tmp_path: Path) -> tuple[Path, bytes]:
    """A ledger with intents as a power cut leaves it: the log of what was written not yet taken over."""
    path = tmp_path / "before" / "ledger.sqlite"
    Ledger(path).set_fact("run_id", "r")
    with closing(sqlite3.connect(path)) as held:
        # Whoever reads keeps the log from being taken over at the end of each writer.
        held.execute("BEGIN")
        held.execute("SELECT count(*) FROM facts").fetchone()
        for number in range(COUNT):
            SqliteIntents(path).begin(new_intent("customization", {"n": number}, key=str(number)))
        copy = tmp_path / "after" / "ledger.sqlite"
        copy.parent.mkdir()
        shutil.copy(path, copy)
        log = Path(f"{path}-wal").read_bytes()
    assert len(log) > 10_000
    return copy, log


def test_ledger_with_a_truncated_log_keeps_complete_entries_and_continues(
    open_store: tuple[Path, bytes], tmp_path: Path
) -> None:
    source, log = open_store
    seen = set()
    for cut in (*range(0, len(log), max(1, len(log) // 25)), len(log) - 1, len(log)):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        path = folder / "ledger.sqlite"
        shutil.copy(source, path)
        Path(f"{path}-wal").write_bytes(log[:cut])
        store = SqliteIntents(path)
        keys = [intent.key for intent in store.all()]
        assert keys == [f"customization:{number}" for number in range(len(keys))]
        seen.add(len(keys))
        store.begin(new_intent("customization", {"n": "later"}, key="later"))
        assert len(store.all()) == len(keys) + 1
        assert Ledger(path).fact("run_id") == "r"
        shutil.rmtree(folder)
    assert {0, COUNT} <= seen


@pytest.mark.parametrize("damage", ["cut in half", "overwritten", "garbage"])
def test_damaged_ledger_is_named_and_not_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    for number in range(30):
        ledger.set_fact(f"fact {number}", "x" * 4000)
    content = path.read_bytes()
    if damage == "cut in half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten":
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        path.write_bytes(b"this is no database" * 300)
    with pytest.raises(DataError, match=r"ledger\.sqlite"):
        for number in range(30):
            Ledger(path).fact(f"fact {number}")
    with pytest.raises(DataError, match=r"ledger\.sqlite"):
        for number in range(30):
            SqliteIntents(path).begin(new_intent("customization", {"n": number}))
            Ledger(path).fact(f"fact {number}")
