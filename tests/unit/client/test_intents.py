from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lawtags_client.errors import BusyError, ConflictError, DataError
from lawtags_client.intents import FIELD, Intent, SqliteIntents, check_same, new_intent
from lawtags_client.services.submission import stamp_of
from lawtags_client.types.customizer import CustomizationJob


@pytest.fixture
def store(tmp_path: Path) -> SqliteIntents:
    return SqliteIntents(tmp_path / "state" / "intents.sqlite")


def test_same_request_and_data_are_the_same_intent() -> None:
    one, two = (new_intent("job", {"a": 1, "b": [2]}, data="d", service="http://s") for _ in range(2))
    assert one.key == two.key and one.token != two.token
    assert new_intent("job", {"a": 2, "b": [2]}, data="d", service="http://s").key != one.key
    assert new_intent("job", {"a": 1, "b": [2]}, data="e", service="http://s").key != one.key
    assert new_intent("job", {"a": 1, "b": [2]}, data="d", service="http://t").key != one.key


def test_own_key_outlives_a_change_of_address() -> None:
    one = new_intent("job", {"a": 1}, key="mine", service="http://s:1")
    two = new_intent("job", {"a": 1}, key="mine", service="http://s:2")
    assert (one.key, one.digest) == (two.key, two.digest)
    assert new_intent("evaluation", {"a": 1}, key="mine").key != one.key


def test_first_writer_of_a_key_wins(store: SqliteIntents) -> None:
    first = store.begin(new_intent("job", {"a": 1}))
    again = store.begin(new_intent("job", {"a": 1}))
    assert again.token == first.token
    store.settle(first.key, "cust-1")
    found = store.find(first.key)
    assert found is not None and found.remote_id == "cust-1"
    assert [intent.key for intent in store.all()] == [first.key]
    store.forget(first.key)
    assert store.find(first.key) is None


def test_intent_is_there_for_another_process(store: SqliteIntents, tmp_path: Path) -> None:
    intent = store.begin(new_intent("job", {"a": 1}))
    assert SqliteIntents(tmp_path / "state" / "intents.sqlite").find(intent.key) == intent


def test_key_for_another_request_names_what_differs() -> None:
    found = new_intent("job", {"epochs": 1, "config": "c"}, key="k")
    with pytest.raises(ConflictError, match="epochs"):
        check_same(found, new_intent("job", {"epochs": 2, "config": "c"}, key="k"))
    with pytest.raises(ConflictError, match="the data"):
        check_same(found, new_intent("job", {"epochs": 1, "config": "c"}, key="k", data="d"))
    check_same(found, found)


HOLD = """
import sys
from pathlib import Path
from lawtags_client.intents import SqliteIntents
with SqliteIntents(Path(sys.argv[1])).lock("k"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_is_dropped_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "intents.sqlite"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(BusyError), SqliteIntents(path).lock("k"):
            pass
        with SqliteIntents(path).lock("another"):
            pass
        process.kill()
    with SqliteIntents(path).lock("k"):
        pass


def test_lone_surrogates_do_not_break_the_store(store: SqliteIntents) -> None:
    intent: Intent = store.begin(new_intent("job", {"text": "\ud800"}, key="k\ud800"))
    assert store.find(intent.key) is not None


def test_store_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "intents.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE intents (key TEXT PRIMARY KEY, kind TEXT NOT NULL, token TEXT NOT NULL, "
            "digest TEXT NOT NULL, request TEXT NOT NULL, remote_id TEXT, created_at TEXT NOT NULL, "
            "settled_at TEXT) STRICT"
        )
        row = ("job:k", "job", "t", "d", "{}", "cust-1", "2025-06-20T12:00:00+00:00", None)
        connection.execute("INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    store = SqliteIntents(path)
    (old,) = store.all()
    assert (old.remote_id, old.service) == ("cust-1", None)
    new = store.begin(new_intent("job", {"a": 1}, service="http://s"))
    found = store.find(new.key)
    assert found is not None and found.service == "http://s"


@pytest.mark.parametrize("damage", ["no database", "folder"])
def test_unusable_store_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "intents.sqlite"
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"something else " * 100)
    with pytest.raises(DataError, match=r"intents\.sqlite") as caught:
        SqliteIntents(path).begin(new_intent("job", {"a": 1}))
    assert "intents_path" in (caught.value.hint or "")


@pytest.mark.parametrize("token", [["x"], {"x": 1}, 7, True, None])
def test_a_token_that_is_no_text_is_none_of_ours(token: object) -> None:
    job = CustomizationJob.model_validate({"id": "cust-1", "custom_fields": {FIELD: token}})
    assert stamp_of(job) == (None, None)
