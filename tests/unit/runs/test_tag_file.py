"""Tagging a file, with a tagger that is a function."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.runs.tag_file import TaggedFile, tag_file
from lawtags_client.tagging.question import Question


@dataclass
class Answer:
    row: int
    id: str
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    error: Exception | None = None


@dataclass
class FakeTagger:
    """Gives each question its id as a tag; those named fail."""

    fails: set[str] = field(default_factory=set)
    dies_after: int | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, questions: AsyncIterable[Question]) -> AsyncIterator[Answer]:
        row = -1
        async for question in questions:
            row += 1
            if self.dies_after is not None and row >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(question.id)
            if question.id in self.fails:
                yield Answer(row, question.id, error=LawtagsError("no answer"))
            else:
                yield Answer(row, question.id, (f"tag-{question.id}",), {f"tag-{question.id}": 0.5})


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(tmp_path: Path, ids: Iterable[str] = "abcd") -> Path:
    return write(tmp_path / "ask.jsonl", ({"id": id, "title": f"Is {id} legal?"} for id in ids))


def rows_of(path: Path) -> dict[int, dict[str, Any]]:
    return {row["row"]: row for row in map(json.loads, path.read_text().splitlines())}


async def test_each_question_has_one_row_in_the_promised_form(tmp_path: Path) -> None:
    counted: list[int] = []
    out = tmp_path / "out.jsonl"
    done = await tag_file(questions(tmp_path), out, FakeTagger(), on_row=counted.append)
    assert done == TaggedFile(rows=4, failed=0)
    assert counted == [1, 2, 3, 4]
    assert rows_of(out)[2] == {
        "row": 2, "id": "c", "tags": ["tag-c"], "scores": {"tag-c": 0.5}, "error": None
    }  # fmt: skip


async def test_a_killed_call_goes_on_behind_its_torn_line(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        await tag_file(questions(tmp_path), out, FakeTagger(dies_after=2))
    out.write_text(out.read_text() + '{"row": 2, "id": "c", "ta')
    again = FakeTagger()
    assert await tag_file(questions(tmp_path), out, again) == TaggedFile(rows=4, failed=0)
    assert again.asked == ["c", "d"]
    assert [row["id"] for row in rows_of(out).values()] == ["a", "b", "c", "d"]


async def test_only_failed_rows_are_asked_for_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = await tag_file(questions(tmp_path), out, FakeTagger(fails={"b", "d"}))
    assert first == TaggedFile(rows=4, failed=2)
    assert rows_of(out)[1]["error"] == "no answer"
    again = FakeTagger(fails={"d"})
    assert await tag_file(questions(tmp_path), out, again) == TaggedFile(rows=4, failed=1)
    assert again.asked == ["b", "d"]
    assert len(out.read_text().splitlines()) == 4


async def test_a_complete_file_asks_for_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    await tag_file(questions(tmp_path), out, FakeTagger())
    before = out.read_bytes()
    again = FakeTagger()
    assert await tag_file(questions(tmp_path), out, again) == TaggedFile(rows=4, failed=0)
    assert (again.asked, out.read_bytes()) == ([], before)


async def test_a_bad_row_is_named_by_line_and_field_and_costs_no_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "ask.jsonl",
        [{"id": "a", "title": "A?"}, {"id": "b", "title": 3}, {"id": "c", "title": "C?"}],
    )
    out = tmp_path / "out.jsonl"
    assert await tag_file(path, out, FakeTagger()) == TaggedFile(rows=3, failed=1)
    found = rows_of(out)
    assert found[1]["error"].startswith("ask.jsonl:2: field 'title': ")
    assert (found[0]["tags"], found[2]["tags"]) == (["tag-a"], ["tag-c"])


async def test_a_row_that_is_not_json_is_named_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "ask.jsonl"
    path.write_text('{"id": "a", "title": "A?"}\n{"id": "b", "title": B?}\n')
    out = tmp_path / "out.jsonl"
    assert await tag_file(path, out, FakeTagger()) == TaggedFile(rows=2, failed=1)
    assert rows_of(out)[1]["error"] == "ask.jsonl:2:22: is not valid JSON (Expecting value)"


async def test_answers_to_other_questions_are_not_completed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    await tag_file(questions(tmp_path, "ab"), out, FakeTagger())
    with pytest.raises(DataError, match="row 0 belongs to question 'a', not to 'x'"):
        await tag_file(questions(tmp_path, "xy"), out, FakeTagger())


async def test_questions_are_never_written_over(tmp_path: Path) -> None:
    path = questions(tmp_path)
    with pytest.raises(ConfigurationError, match="contains the questions"):
        await tag_file(path, path, FakeTagger())


@pytest.mark.parametrize("content", ['{"title": "mine"}\n{"title": "torn', "no rows at all\n", "[1]\n"])
async def test_a_file_of_something_else_stays_as_it_is(tmp_path: Path, content: str) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(content)
    with pytest.raises(DataError, match=r"out\.jsonl:1"):
        await tag_file(questions(tmp_path), out, FakeTagger())
    assert out.read_text() == content


async def test_questions_are_read_no_further_than_needed(tmp_path: Path) -> None:
    tagger = FakeTagger(dies_after=1)
    with pytest.raises(KeyboardInterrupt):
        await tag_file(questions(tmp_path), tmp_path / "out.jsonl", tagger)
    assert list(rows_of(tmp_path / "out.jsonl")) == [0]
