from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lawtags_client.curation.forget.forget_list import ForgetList, id_hash, load_forget_list, remembered
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
        "not_found": [id_hash("canary-2")],
    }
    assert "canary" not in json.dumps(record)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "contains no id"), (b"# none\n\n", "contains no id"), (b"\xff\xfe1", "UTF-8")],
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


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ('"q1"', "q1"), ("'q1'", "q1"), ("“q1”", "q1"), ('="q1"', "q1"), ("'q1", "q1"), ("q1,", "q1"),
        ('"q""1"', 'q"1'), ("3.0", "3"), ('"3.0"', "3"), ("3", "3.0"), ("1,234", "1234"),
        ("1.2345E+4", "12345"), ("\ufeffq1", "q1"), ("o'neil", "o'neil"), ("q,1", "q,1"), ("007", "007"),
        ("3.0", "3.0"), ("612345678901234567", "612345678901234567"),
    ],
)  # fmt: skip
def test_ids_match_in_quotes_and_as_spreadsheets_write_them(line: str, question: str) -> None:
    found = ForgetList.of([line])
    assert question in found
    assert len(found.asked) == 1
    assert found.not_found([question]) == ()
    assert found.named([found.asked[0]]) == [line.strip("\ufeff")]


@pytest.mark.parametrize(
    ("line", "question"), [("6.12346E+17", "612346000000000000"), ("7", "007"), ("1", "1.5"), ('"', "q1")]
)
def test_digits_that_are_gone_are_not_guessed(line: str, question: str) -> None:
    found = ForgetList.of([line])
    assert question not in found
    assert [entry.given for entry in found.not_found([question])] == [line]


@pytest.mark.parametrize("head", ["id", '"Question ID"', "question_id,"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_column_out_of_a_spreadsheet_is_a_list(tmp_path: Path, head: str, encoding: str) -> None:
    path = tmp_path / "forget.csv"
    path.write_text(f'{head}\r\n"q1"\r\nq2\r\n', encoding=encoding, newline="")
    found = load_forget_list(path)
    assert [entry.given for entry in found.entries] == ['"q1"', "q2"]


def test_joined_lists_know_what_neither_found() -> None:
    both = ForgetList.of(["1", "2"]) | ForgetList.of(["3.0", "4"])
    assert [entry.given for entry in both.not_found(["1", "3"])] == ["2", "4"]
