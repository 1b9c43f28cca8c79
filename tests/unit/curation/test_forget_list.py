from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lawtags_client.curation.forget_list import ForgetList, id_hash, load_forget_list, remembered
from lawtags_client.errors import DataError

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


def test_ids_and_hashes_are_read_whatever_the_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "forget.txt"
    path.write_bytes("\ufeff17\r\n\n# asked for in May\n  q-abc \n".encode() + id_hash("19").upper().encode())
    found = load_forget_list(path)
    assert [name for name in ("17", "18", "19", "q-abc", "") if name in found] == ["17", "19", "q-abc"]
    assert len(found.asked) == 3


def test_an_id_that_looks_like_a_hash_is_found_by_itself() -> None:
    odd = hashlib.sha256(b"x").hexdigest()
    assert odd in ForgetList.of([odd])
    assert "x" in ForgetList.of([odd])
    assert len(ForgetList.of([odd]).asked) == 1


def test_lists_are_joined_and_an_empty_one_names_nobody() -> None:
    both = ForgetList.of(["1"]) | ForgetList.of(["2"])
    assert "1" in both
    assert "2" in both
    assert "" not in ForgetList()
    assert 1 not in ForgetList.of(["1"])


def test_the_record_holds_hashes_and_numbers_alone() -> None:
    record = ForgetList.of(["canary-1", "canary-2"]).record(["canary-1", "canary-1"], NOW)
    assert record == {
        "at": "2026-01-02T03:04:05+00:00",
        "asked": 2,
        "rows": 2,
        "hashes": sorted([id_hash("canary-1"), id_hash("canary-2")]),
    }
    assert "canary" not in json.dumps(record)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "names no question"), (b"# none\n\n", "names no"), (b"\xff\xfe1", "UTF-8")]
)
def test_a_list_that_names_nothing_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "forget.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_forget_list(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_forget_list(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"forgotten": [{}]}', '{"forgotten": 5}', '{"forgotten": [{"hashes": [5]}]}', "\ud800"],
)
def test_a_folder_that_forgot_nothing_remembers_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "curation.json"
    assert remembered(path) == ForgetList()
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert remembered(path) == ForgetList()
    path.write_text(json.dumps({"forgotten": [ForgetList.of(["1"]).record([], NOW)]}), encoding="utf-8")
    assert "1" in remembered(path)
