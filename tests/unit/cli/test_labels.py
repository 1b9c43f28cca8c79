"""``lawtags labels review`` on a curated folder that was written by hand."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lawtags_client.cli.app import app
from lawtags_client.curation.read.corrections import Correction, load_corrections

TOPICS = {
    "copyright": "song film author copy",
    "traffic": "car road speed driver",
    "tax": "income vat duty pay",
}
HOSTILE = "song film \x1b[2J author\ncopy\u202e 1. faked"


@pytest.fixture
def curated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generator, rows = random.Random(1), []
    for number in range(90):
        topic = generator.choice(sorted(TOPICS))
        words = generator.choices(TOPICS[topic].split(), k=4)
        rows.append({"id": f"q{number}", "title": " ".join(words), "body": None, "tags": [topic]})
    rows[17] |= {"title": HOSTILE, "tags": ["traffic"]}
    folder = tmp_path / "curated" / "questions"
    folder.mkdir(parents=True)
    parts = {"training": rows[:70], "validation": rows[70:80], "testing": rows[80:]}
    for part, chosen in parts.items():
        lines = [
            json.dumps(row | {"source": {"file": "q\x1b.csv", "line": int(row["id"][1:]) + 2}})
            for row in chosen
        ]
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "curated"


def call(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["labels", "review", *words])
    assert done.exit_code == code, done.output
    return done


def test_the_worst_row_is_listed_with_the_reason_and_its_source(curated: Path) -> None:
    done = call("curated", "--encoder", "none", "--top", "1", "--json")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["id"], row["wrong"], row["missing"]) == ("q17", "traffic", "copyright")
    assert (row["part"], row["source"]) == ("training", {"file": "q\x1b.csv", "line": 19})
    assert row["missing_probability"] > 0.5 > row["wrong_probability"]
    assert row["similar"]["tags"] == ["copyright"]
    assert row["title"] == HOSTILE
    assert "90 rows reviewed" in done.stderr


def test_texts_of_the_data_can_neither_steer_the_terminal_nor_add_lines(curated: Path) -> None:
    shown = call("curated", "--encoder", "none", "--top", "1").stdout
    assert len(shown.splitlines()) == 7
    assert not set(shown) & {"\x1b", "\u202e"}
    assert "looks wrong: traffic" in shown
    assert "q\\u001b.csv:19" in shown


def test_the_reason_names_what_speaks_against_the_tag_and_what_it_could_be(curated: Path) -> None:
    shown = call("curated", "--encoder", "none", "--top", "1").stdout
    assert re.search(
        r"because: the text gives it \d\.\d%; the \d+ other rows with it typically get \d+%\n"
        r"   could be: copyright \(\d+%\)\n   similar row: [a-z ]+ \[copyright\]",
        shown,
    )


def test_a_plain_file_is_reviewed_and_its_corrections_reach_the_curation(curated: Path) -> None:
    rows = [
        json.loads(line)
        for part in ("training", "validation", "testing")
        for line in (curated / "questions" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    lines = [json.dumps({key: row[key] for key in ("id", "title", "body", "tags")}) for row in rows]
    lines[3:3] = ["{broken", '{"id": "untagged", "title": "song film", "tags": []}']
    Path("questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = call("questions.jsonl", "--encoder", "none", "--top", "1", "--json", "--out", "review.jsonl")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["id"], row["wrong"], row["part"]) == ("q17", "traffic", None)
    assert row["source"] == {"file": "questions.jsonl", "line": 20}
    assert "90 rows reviewed" in done.stderr
    assert "skipped because they could not be read: 1." in done.stderr
    assert "skipped because they have no tags, or not all of them: 1." in done.stderr
    row["tags"] = ["copyright"]
    Path("review.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert load_corrections(Path("review.jsonl")) == {
        "q17": Correction(frozenset({"traffic"}), ("copyright",))
    }


def test_the_reviewed_file_is_what_curation_applies_and_is_never_overwritten(curated: Path) -> None:
    call("curated", "--encoder", "none", "--top", "3", "--out", "new/review.jsonl", "--json")
    path = Path("new/review.jsonl")
    assert load_corrections(path) == {}
    text = path.read_text(encoding="utf-8")
    assert not set(text) & {"\x1b", "\u202e"}
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows[0]["id"] == "q17"
    rows[0]["tags"] = ["copyright"]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert load_corrections(path) == {"q17": Correction(frozenset({"traffic"}), ("copyright",))}
    kept = path.read_bytes()
    assert "may contain reviewed corrections" in call("curated", "--out", str(path), code=2).stderr
    assert path.read_bytes() == kept


def test_titles_are_stored_only_on_request(curated: Path) -> None:
    titles = {
        json.loads(line)["title"]
        for path in (curated / "questions").iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    call("curated", "--encoder", "none", "--top", "50", "--out", "ids.jsonl")
    text = Path("ids.jsonl").read_text(encoding="utf-8")
    assert '"title"' not in text
    assert not any(json.dumps(title, ensure_ascii=False)[1:-1] in text for title in titles)
    call("curated", "--encoder", "none", "--top", "50", "--out", "titles.jsonl", "--titles")
    rows = [json.loads(line) for line in Path("titles.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["title"] for row in rows} | {row["similar"]["title"] for row in rows} <= titles
    for row in rows:
        del row["title"], row["similar"]["title"]
    assert rows == [json.loads(line) for line in text.splitlines()]
    assert load_corrections(Path("titles.jsonl")) == {}
    assert "--titles requires --out" in call("curated", "--titles", code=2).stderr


def test_what_cannot_be_reviewed_is_named(curated: Path) -> None:
    assert "no run" in call("nowhere", code=2).stderr
    Path("names.csv").write_text("name,tags\nMay I copy a song?,copyright\n", encoding="utf-8")
    assert "lawtags curate --set columns.title=COLUMN" in call("names.csv", code=1).stderr
    (curated / "questions" / "testing.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    assert "testing.jsonl" in call("curated", "--encoder", "none", code=1).stderr
    for path in (curated / "questions").iterdir():
        path.unlink()
    assert "no curated questions" in call("curated", code=2).stderr


def test_rows_without_tags_are_counted_where_too_few_have_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": str(number), "title": f"May I {number}?", "tags": []}) for number in range(20)]
    Path("q.jsonl").write_text("\n".join([*lines, '{"id": "x", "title": "", "tags": ["a"]}']) + "\n")
    said = call("q.jsonl", "--encoder", "none", code=1).stderr
    assert "q.jsonl: 0 rows have tags, 20 have none, or not all of them, 1 could not be read" in said
    assert "there is no file 'p.jsonl'" in call("p.jsonl", code=2).stderr


def test_the_same_text_with_other_tags_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": str(number), "title": f"Is the {topic} {number} legal?", "tags": [topic]}
        for number, topic in enumerate(sorted(TOPICS) * 8)
    ]
    rows += [rows[4] | {"id": "same"}, rows[5] | {"id": "other", "tags": ["copyright"]}]
    Path("q.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    said = call("q.jsonl", "--encoder", "none").stderr
    assert (
        "1 pairs of rows have the same text and different tags: q.jsonl:6, id 5 and q.jsonl:26, id other"
        in said
    )
