"""What ``curation.json`` and ``curation.html`` say of the data."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.curation import CurationOptions, PiiOptions, TagOptions, curate
from lawtags_client.curation.forget.forget_list import id_hash
from lawtags_client.curation.write.prompts import LengthStatistics
from lawtags_client.tagging.prompt import PromptStyle

Write = Callable[..., Path]
FORMS = PiiOptions(entities=("EMAIL_ADDRESS", "URL", "PHONE_NUMBER"))
PLAIN = CurationOptions(pii=FORMS)


def _card(out: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    return card


def _steady(out: Path) -> dict[str, Any]:
    """A card without what is allowed to differ: times, and findings by partition."""
    card = _card(out)
    for step in card["steps"]:
        del step["seconds"]
    del card["pii"]["partitions"]
    return card


@pytest.fixture
def untidy(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Questions of which steps change some and drop others."""
    for number, row in enumerate(questions):
        if number % 3 == 0:
            row["question_title"] = row["question_title"].replace("about", "about  the landlordâ€™s")
            row["question_body"] += "<p>Write to quentin@example.com or see 17 U. S. C. §107 on it.</p>"
        if number % 10 == 9:
            row["score"] = -2
    questions[4]["tags"] = ["Copyright", "United States"]
    return questions


@pytest.mark.parametrize("workers", [1, 2])
def test_partitions_and_processes_change_nothing_that_the_card_says(
    untidy: list[dict[str, Any]], write: Write, tmp_path: Path, workers: int
) -> None:
    path = write(untidy)
    curate([path], tmp_path / "whole", PLAIN, partition_rows=1000)
    curate([path], tmp_path / "split", PLAIN, partition_rows=9, workers=workers)
    assert _steady(tmp_path / "whole") == _steady(tmp_path / "split")


def test_examples_show_what_each_step_did_and_nothing_that_is_masked(
    untidy: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    curate([write(untidy)], tmp_path / "out", PLAIN)
    examples = _card(tmp_path / "out")["examples"]
    assert {"html", "unicode", "cleaning", "pii", "section_numbers"} >= set(examples["changed"])
    (first, *_) = examples["changed"]["unicode"]
    assert (first["id"], first["line"], first["field"]) == ("1000", 1, "title")
    assert "landlordâ€™s" in first["before"]
    assert "landlord’s" in first["after"]
    assert examples["changed"]["pii"][0]["before"] is None
    assert "<EMAIL_ADDRESS>" in examples["changed"]["pii"][0]["after"]
    section = examples["changed"]["section_numbers"][0]
    assert ("§1" in section["before"], "§ 1" in section["after"]) == (True, True)
    assert [row["id"] for row in examples["dropped"]["votes"]] == ["1009", "1019", "1029"]
    for name in ("curation.json", "curation.html"):
        assert "quentin" not in (tmp_path / "out" / name).read_text(encoding="utf-8")


def test_the_page_tells_what_the_card_holds(
    untidy: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    report = curate([write(untidy)], tmp_path / "out", PLAIN)
    page = (tmp_path / "out" / "curation.html").read_text(encoding="utf-8")
    assert report.digest in page
    assert "8 × net votes below 0" in page
    assert re.search(r"<ins>\W*’\W*</ins>", page)
    assert report.inputs[0]["sha256"] in page


def test_respelled_tags_are_reported_and_counted(
    untidy: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    report = curate([write(untidy)], tmp_path / "out", PLAIN)
    assert report.labels["respelled"] == [
        {"given": "Copyright", "tag": "copyright", "rows": 1},
        {"given": "United States", "tag": "united-states", "rows": 1},
    ]
    assert [note for note in report.notes if note.startswith("normalized tags: 2;")]


def test_tags_missing_from_training_are_reported(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    held_out = [questions[0] | {"question_id": 1, "tags": ["never-seen", "copyright"]}]
    report = curate([write(questions[1:])], tmp_path / "out", PLAIN, test=write(held_out, "test.jsonl"))
    assert report.labels["unseen"] == {"never-seen": 1}


def test_same_text_with_different_tags_is_reported_with_both_places(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    twins = [
        questions[0] | {"question_id": 1, "score": -0.0, "tags": ["landlord"]},
        questions[1] | {"question_id": 2, "score": -0.0},
    ]
    questions[0]["score"] = questions[1]["score"] = 5
    report = curate([write(twins, "twins.jsonl"), write(questions)], tmp_path / "out", PLAIN)
    rejected = [
        json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text("utf-8").splitlines()
    ]
    assert [(row["id"], row["file"], row["line"], row["instead"], row["instead_at"]) for row in rejected] == [
        ("1", "twins.jsonl", 1, "1000", {"file": "questions.jsonl", "line": 1}),
        ("2", "twins.jsonl", 2, "1001", {"file": "questions.jsonl", "line": 2}),
    ]
    assert [row.get("tags_differ") for row in rejected] == [True, None]
    assert report.duplicates["other_tags"] == 1
    assert [note for note in report.notes if "different tags than the question kept: 1;" in note]


def test_different_questions_with_one_id_are_kept_and_reported_with_both_lines(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    for number in (5, 9):
        questions[number]["question_id"] = 1002
    report = curate([write(questions)], tmp_path / "out", PLAIN, partition_rows=4)
    assert sum(report.splits.values()) == 80
    assert report.duplicates["same_id"] == 1
    places = [{"file": "questions.jsonl", "line": line} for line in (3, 6, 10)]
    assert report.same_ids == [{"id": "1002", "at": places}]
    assert [note for note in report.notes if "several different questions, all kept: 1;" in note]


def test_lengths_and_the_most_truncated_questions_are_reported_before_training(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    for number in (11, 30):
        words = " ".join(f"long{number}word{place}" for place in range(100 * number))
        questions[number]["question_body"] = f"<p>{words}</p>"
    options = CurationOptions(pii=FORMS, style=PromptStyle(max_tokens=300))
    report = curate(
        [write(questions)],
        tmp_path / "out",
        options,
        count_tokens=lambda text: len(text.split()),
        tokenizer="words",
        partition_rows=7,
    )
    prompts = report.prompts
    assert (prompts["cut"], prompts["cut_share"], prompts["tokenizer"]) == (2, 0.025, "words")
    assert [row["id"] for row in prompts["most_cut"]] == ["1030", "1011"]
    words = prompts["question_words"]
    assert words["most"] > 3000 > 1100 > words["half"] >= words["least"] > 30
    assert sum(words["rows_by_step"]) == sum(prompts["row_tokens"]["rows_by_step"]) == 80
    assert prompts["row_tokens"]["most"] == 302  # two tags behind a prompt of 300


def test_percentiles_are_those_of_all_rows() -> None:
    lengths = LengthStatistics()
    for words in range(1, 101):
        lengths.words[words] += 1
        lengths.row_tokens[words] += 1
    lengths.rows = 100
    told = lengths.summary(256, estimated=True)["question_words"]
    assert [told[name] for name in ("least", "half", "nine_tenths", "ninety_nine_hundredths", "most")] == [
        1, 50, 90, 99, 100
    ]  # fmt: skip
    assert (told["mean"], sum(told["rows_by_step"])) == (50.5, 100)
    behind_json = LengthStatistics.from_dict(json.loads(json.dumps(lengths.as_dict())))
    assert behind_json == lengths


def test_a_tokenizer_that_changed_begins_anew(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path, out = write(questions), tmp_path / "out"

    class Stop(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.step == "writing" and progress.done:
            raise Stop

    style = CurationOptions(pii=FORMS, style=PromptStyle(max_tokens=40))
    with pytest.raises(Stop):
        curate([path], out, style, count_tokens=len, tokenizer="letters", on_progress=stop, partition_rows=9)

    def words(text: str) -> int:
        return len(text.split())

    resumed = curate([path], out, style, count_tokens=words, tokenizer="words", partition_rows=9)
    whole = curate([path], tmp_path / "whole", style, count_tokens=words, tokenizer="words")
    assert resumed.digest == whole.digest


def test_forgotten_questions_leave_the_card(
    untidy: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    from lawtags_client.curation import forget_questions

    out, listed = tmp_path / "out", tmp_path / "forget.txt"
    untidy[1]["question_id"] = 1002
    untidy[4]["tags"] = ["Canary Tag"]
    curate([write(untidy)], out, CurationOptions(pii=FORMS, tags=TagOptions()))
    before = _card(out)
    shown = {row["id"] for kind in before["examples"].values() for rows in kind.values() for row in rows}
    assert {"1000", "1009"} <= shown
    assert [same["id"] for same in before["same_ids"]] == ["1002"]
    listed.write_text(f"1000\n1009\n1004\n{id_hash('1002')}\n", encoding="utf-8")
    forget_questions(out, listed)
    text = (out / "curation.json").read_text("utf-8") + (out / "curation.html").read_text("utf-8")
    for gone in ("1000", "1009", "1002"):
        assert f'"{gone}"' not in text
        assert f"of {gone}," not in text
    assert "canary" not in text.lower()


def test_too_few_rows_are_reported_with_counts_and_rejected_before_upload(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    from lawtags_client.errors import DataError
    from lawtags_client.services.data_store.layout import check

    out = tmp_path / "out"
    report = curate([write(questions[:1])], out, PLAIN)
    assert report.splits == {"training": 1, "validation": 0, "testing": 0}
    assert "validation has no rows: too few questions for its share" in report.notes
    with pytest.raises(DataError, match="validation"):
        check(out)


def test_a_tokenizer_goes_to_the_workers_and_is_recorded(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from lawtags_client.files import sha256_file
    from lawtags_client.runs.tokens import token_counter

    file = tmp_path / "tokenizer.json"
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(file))
    counter = token_counter(str(file))
    assert pickle.loads(pickle.dumps(counter.count))("one two, three") == 4
    path, options = write(questions), CurationOptions(pii=FORMS, style=PromptStyle(max_tokens=40))
    one, two = (
        curate(
            [path],
            tmp_path / str(workers),
            options,
            count_tokens=counter.count,
            tokenizer=counter.identity,
            workers=workers,
            partition_rows=20,
        )
        for workers in (1, 2)
    )
    assert one.digest == two.digest
    assert one.prompts == two.prompts
    assert one.prompts["tokenizer"] == sha256_file(file)
    assert one.prompts["cut"] == 80
