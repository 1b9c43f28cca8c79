from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.curation import (
    CurationOptions,
    PiiOptions,
    SplitOptions,
    TagOptions,
    curate,
    forget_questions,
)
from lawtags_client.curation.forget.forget_list import id_hash
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging.prompt import PromptStyle

Write = Callable[..., Path]
PARTS = ("training", "validation", "testing")
NO_PII = PiiOptions(entities=())
PLAIN = CurationOptions(pii=NO_PII)
WHEN = datetime(2026, 5, 4, tzinfo=UTC)
CANARY = "canary"


def _files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("curation.json", "curation.html")
    }


def _card(out: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    return card


def _mark(row: dict[str, Any]) -> None:
    row["question_title"] += f" {CANARY}"
    row["question_body"] += f"<p>{CANARY}</p>"
    row["link"] += CANARY
    row["tags"] = [*row["tags"], "canary-tag"]


@pytest.fixture
def marked(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Questions of which three are to be forgotten, one of them refused anyway."""
    for number in (3, 40, 77):
        _mark(questions[number])
    questions[77]["score"] = -4
    return questions


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "forget.txt"
    path.write_text(f"1003\n{id_hash('1040')}\n1077\n9999\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        CurationOptions(pii=NO_PII, format="messages", style=PromptStyle(order="frequency", task="Tag.")),
        CurationOptions(pii=NO_PII, style=PromptStyle(shortlist=2), split=SplitOptions(seed=7)),
    ],
)
def test_a_folder_after_forgetting_is_what_a_curation_with_the_list_writes(
    marked: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path, options: CurationOptions
) -> None:
    path, before, after = write(marked), tmp_path / "before", tmp_path / "after"
    curate([path], before, options)
    record = forget_questions(before, listed, now=lambda: WHEN)
    report = curate([path], after, options, forget=listed, partition_rows=11, now=lambda: WHEN)
    assert _files(before) == _files(after)
    assert report.digest == _card(before)["digest"]
    for key in ("splits", "tags", "rejected", "prompts", "outputs", "forgotten", "digest"):
        assert _card(before)[key] == _card(after)[key]
    assert _card(before)["labels"]["parts"] == _card(after)["labels"]["parts"]
    hashes = sorted(map(id_hash, ("1003", "1040", "1077", "9999")))
    expected = {"at": "2026-05-04T00:00:00+00:00", "asked": 4, "rows": 3, "hashes": hashes}
    expected |= {"not_found": [id_hash("9999")]}
    assert record == expected
    assert report.forgotten == [expected]


def test_no_file_holds_a_word_of_what_was_forgotten(
    marked: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    curate([write(marked)], out, PLAIN)
    left = out / ".curation" / "0123" / "read"
    left.mkdir(parents=True)
    (left / "000000.parquet").write_text(CANARY, encoding="utf-8")
    assert any(CANARY.encode() in content for content in _files(out).values())
    # Among what is shown of the steps there is one of the questions that are to go.
    assert CANARY in json.dumps(_card(out)["examples"])
    assert CANARY in (out / "curation.html").read_text(encoding="utf-8")
    forget_questions(out, listed)
    curate([write(marked)], again, CurationOptions(pii=NO_PII, forget=str(listed)))
    for folder in (out, again):
        for path in folder.rglob("*"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                assert CANARY not in text
                assert '"1003"' not in text
    stepped = {step["name"]: (step["rows_in"], step["rows_out"]) for step in _card(again)["steps"]}
    assert stepped["read"] == (80, 80)
    assert stepped["forget"] == (80, 77)


def test_tags_and_words_that_forgotten_questions_alone_brought_leave_with_them(
    marked: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    marked[3]["tags"] = [*marked[3]["tags"], "canary-alone"]
    marked[40]["tags"] = ["Copyright CANARY", "copyright-canary"]
    marked[5]["tags"] = [*marked[5]["tags"], "left-alone"]
    marked[6]["question_title"] += " as Copyright Canary says"
    forms = PiiOptions(entities=("EMAIL_ADDRESS",), allow=("Always Allowed",))
    curate([write(marked)], out, CurationOptions(pii=forms, tags=TagOptions(min_count=2)))
    before = _card(out)
    assert {"canary tag", "canary alone", "copyright canary"} < set(before["asking"]["pii"]["allow"])
    assert "canary-alone" in before["labels"]["rare"]
    forget_questions(out, listed)
    card = _card(out)
    allowed = set(card["asking"]["pii"]["allow"])
    # It stands in the title of a question that stays, which is still masked as it was.
    assert "copyright canary" in allowed
    assert "Always Allowed" in allowed
    assert not {"canary tag", "canary alone"} & allowed
    assert {name: value for name, value in card["asking"].items() if name != "pii"} == {
        name: value for name, value in before["asking"].items() if name != "pii"
    }
    text = (out / "curation.json").read_text("utf-8") + (out / "curation.html").read_text("utf-8")
    for gone in ("canary tag", "canary-tag", "canary-alone", "Copyright CANARY"):
        assert gone not in text


def test_forgetting_again_removes_nothing_and_adds_to_the_record(
    marked: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    curate([write(marked)], out, PLAIN)
    forget_questions(out, listed)
    before = _files(out)
    assert forget_questions(out, listed)["rows"] == 0
    assert _files(out) == before
    assert [record["rows"] for record in _card(out)["forgotten"]] == [3, 0]


def test_what_was_refused_for_a_forgotten_question_no_longer_shows_its_words(
    questions: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    _mark(questions[3])
    twin = questions[3] | {"question_id": 5, "score": 0}
    questions[3]["score"] = 9
    out = tmp_path / "out"
    curate([write([*questions, twin])], out, PLAIN)
    forget_questions(out, listed)
    (refused,) = [json.loads(line) for line in (out / "rejected.jsonl").read_text().split("\n") if line]
    assert (refused["id"], refused["step"], refused["instead"]) == ("5", "exact_duplicates", None)
    assert "title" not in refused


def test_a_part_without_questions_left_loses_its_files(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out, named = tmp_path / "out", tmp_path / "forget.txt"
    curate([write(questions)], out, PLAIN)
    rows = (out / "questions" / "testing.jsonl").read_text(encoding="utf-8").split("\n")
    named.write_text("\n".join(json.loads(row)["id"] for row in rows if row), encoding="utf-8")
    forget_questions(out, named)
    assert not (out / "testing" / "testing.jsonl").exists()
    assert not (out / "questions" / "testing.jsonl").exists()
    assert _card(out)["splits"]["testing"] == 0


def test_what_cannot_be_done_changes_nothing(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out, named = tmp_path / "out", tmp_path / "forget.txt"
    curate([write(questions)], out, PLAIN)
    before = _files(out), _card(out)
    named.write_text("\n".join(str(row["question_id"]) for row in questions), encoding="utf-8")
    with pytest.raises(DataError, match="no training rows"):
        forget_questions(out, named)
    named.write_text("1003", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="tokenizer"):
        forget_questions(out, named, count_tokens=len)
    assert (_files(out), _card(out)) == before
    with pytest.raises(DataError, match="not a curated folder"):
        forget_questions(tmp_path, named)


def test_a_test_file_forgets_as_well(
    questions: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    held = write([questions[3], questions[4]], "held.jsonl")
    report = curate([write(questions[5:])], tmp_path / "out", PLAIN, test=held, forget=listed)
    assert report.splits["testing"] == 1


def test_a_curation_says_that_forgotten_questions_are_back(
    marked: list[dict[str, Any]], listed: Path, write: Write, tmp_path: Path
) -> None:
    out, path = tmp_path / "out", write(marked)
    curate([path], out, PLAIN)
    forget_questions(out, listed)
    assert not any("forgotten" in note for note in curate([path], out, PLAIN, forget=listed).notes)
    (note,) = [note for note in curate([path], out, PLAIN).notes if "forgotten" in note]
    assert note.startswith("rows that were forgotten in this folder and are back: 3;")
