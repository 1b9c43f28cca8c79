"""The bundled sample holds what its README and its list of dirt say."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from datetime import date
from functools import cache
from typing import Any

import pytest

from lawtags_client import sample

KINDS = {
    "pii": 48,
    "mojibake": 12,
    "citations": 26,
    "citations_in_order": 6,
    "repetitive": 6,
    "short": 10,
    "exactly_15_words": 3,
    "exactly_16_words": 3,
    "negative_votes": 14,
    "exact_duplicates": 8,
    "near_duplicates": 8,
    "links": 9,
}
PII = {"PERSON": 47, "PHONE_NUMBER": 19, "EMAIL_ADDRESS": 13, "ADDRESS": 12, "URL": 6}
FIELDS = {
    "question_id": int,
    "tags": list,
    "score": int,
    "license": str,
    "link": str,
    "created": str,
    "question_title": str,
    "question_body": str,
    "answers": list,
}
# Rows that were added to the originals, to be dropped again by curation or just not.
ADDED = ("repetitive", "short", "exactly_16_words", "exact_duplicates", "near_duplicates")


@cache
def questions() -> dict[int, dict[str, Any]]:
    rows = [json.loads(line) for line in sample.path().read_text(encoding="utf-8").splitlines()]
    return {row["question_id"]: row for row in rows}


@cache
def dirt() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sample.path().with_name("dirt.json").read_text(encoding="utf-8"))
    return found


def plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def body(row: int | str) -> str:
    return plain(questions()[int(row)]["question_body"])


def texts() -> list[str]:
    return [
        text
        for row in questions().values()
        for text in (
            row["link"],
            row["question_title"],
            row["question_body"],
            *(answer["body"] for answer in row["answers"]),
        )
    ]


def test_every_row_has_the_columns_of_the_public_data_set() -> None:
    for row in questions().values():
        assert {name: type(value) for name, value in row.items()} == FIELDS
        assert row["license"] == "CC0-1.0"
        assert row["link"].endswith(f"/{row['question_id']}")
        assert date(2016, 1, 1) <= date.fromisoformat(row["created"]) < date(2025, 1, 1)
        assert row["question_title"].strip() and row["question_body"].startswith("<p>")
        for answer in row["answers"]:
            assert {name: type(value) for name, value in answer.items()} == {
                "answer_id": int,
                "score": int,
                "body": str,
            }


def test_ids_are_distinct_and_the_file_is_small() -> None:
    lines = sample.path().read_text(encoding="utf-8").splitlines()
    answers = [answer["answer_id"] for row in questions().values() for answer in row["answers"]]
    assert len(questions()) == len(lines) == 465
    assert len(set(answers)) == len(answers)
    assert sample.path().stat().st_size < 1_000_000


def test_more_than_four_hundred_originals_have_nothing_that_drops_them() -> None:
    kinds = dirt()["kinds"]
    added = {row for kind in ADDED for row in kinds[kind]}
    originals = set(questions()) - added
    assert len(originals) == 430
    assert len(originals - set(kinds["negative_votes"])) >= 400
    assert min(len(body(row).split()) for row in originals) > 16


def test_tags_are_many_with_a_long_tail() -> None:
    counts = Counter(tag for row in questions().values() for tag in row["tags"])
    ordered = [count for _, count in counts.most_common()]
    assert len(counts) == 52
    assert all(1 <= len(row["tags"]) == len(set(row["tags"])) <= 5 for row in questions().values())
    assert 0.25 < ordered[0] / len(questions()) < 0.35
    assert 3 <= ordered[-1] <= 6 and ordered[len(ordered) // 2] < 25


def test_answers_are_mostly_one_with_the_best_first() -> None:
    counts = Counter(len(row["answers"]) for row in questions().values())
    assert counts[1] > 0.8 * len(questions()) and counts[0] and counts[2] and counts[3]
    for row in questions().values():
        scores = [answer["score"] for answer in row["answers"]]
        assert not scores or scores[0] == max(scores)


@pytest.mark.parametrize(("kind", "count"), KINDS.items())
def test_dirt_is_there_in_the_stated_amount(kind: str, count: int) -> None:
    rows = dirt()["kinds"][kind]
    assert len(set(rows)) == len(rows) == count
    assert set(rows) <= set(questions())
    assert set(dirt()["kinds"]) == set(KINDS)


def test_personal_data_is_planted_word_for_word() -> None:
    planted = dirt()["pii"]
    assert sorted(map(int, planted)) == dirt()["kinds"]["pii"]
    counts: Counter[str] = Counter()
    for row, found in planted.items():
        for entity, strings in found.items():
            counts[entity] += len(strings)
            assert all(string in body(row) for string in strings)
    assert counts == PII


def test_mojibake_stands_in_its_rows_and_only_there() -> None:
    planted = dirt()["mojibake"]
    assert sorted(map(int, planted)) == dirt()["kinds"]["mojibake"]
    for row, pairs in planted.items():
        text = questions()[int(row)]["question_title"] + body(row)
        for garbled, meant in pairs.items():
            assert garbled in text and meant.encode().decode("cp1252") == garbled
    marks = re.compile("â€|Ã.|Â[§£]")
    found = sorted(row for row in questions() if marks.search(body(row)))
    assert found == dirt()["kinds"]["mojibake"]


def test_citations_and_their_neighbours_stand_in_their_rows() -> None:
    kinds, planted = dirt()["kinds"], dirt()["citations"]
    assert sorted(map(int, planted)) == sorted([*kinds["citations"], *kinds["citations_in_order"]])
    for row, found in planted.items():
        assert found["citations"]
        assert all(string in body(row) for strings in found.values() for string in strings)
    unchanged = {string for found in planted.values() for string in found["unchanged"]}
    assert {"2017-05-01", "covid-19", "2004/38/EC"} <= unchanged


def test_short_posts_have_the_stated_number_of_words() -> None:
    kinds = dirt()["kinds"]
    words = {row: len(body(row).split()) for row in questions()}
    assert sorted(row for row, count in words.items() if count <= 15) == kinds["short"]
    assert sorted(row for row, count in words.items() if count == 15) == kinds["exactly_15_words"]
    assert sorted(row for row, count in words.items() if count == 16) == kinds["exactly_16_words"]


def test_repetitive_posts_say_one_sentence_again_and_again() -> None:
    most = {}
    for row in questions():
        words = body(row).lower().split()
        phrases = Counter(tuple(words[at : at + 5]) for at in range(len(words) - 4))
        most[row] = max(phrases.values())
    assert sorted(row for row, count in most.items() if count >= 5) == dirt()["kinds"]["repetitive"]


def test_only_the_listed_rows_have_negative_votes() -> None:
    negative = sorted(row for row, question in questions().items() if question["score"] < 0)
    assert negative == dirt()["kinds"]["negative_votes"]


def test_duplicates_are_worse_or_later_than_what_they_repeat() -> None:
    kinds, repeated = dirt()["kinds"], dirt()["duplicate_of"]
    assert sorted(map(int, repeated)) == sorted([*kinds["exact_duplicates"], *kinds["near_duplicates"]])
    for row, original in repeated.items():
        copy, first = questions()[int(row)], questions()[original]
        assert (-copy["score"], copy["created"]) > (-first["score"], first["created"])
        words = set(copy["question_body"].split()) ^ set(first["question_body"].split())
        if int(row) in kinds["exact_duplicates"]:
            assert copy["question_title"] == first["question_title"] and not words
        else:
            assert 0 < len(words) <= 12


def test_links_stand_in_the_listed_rows() -> None:
    linked = [row for row, question in questions().items() if "<a href=" in question["question_body"]]
    assert sorted(linked) == dirt()["kinds"]["links"]


def test_no_address_leads_to_a_real_site_or_mailbox() -> None:
    hosts = re.compile(
        r"(?:://|@)([\w.-]+)|\b((?:[\w-]+\.)+(?:com|org|net|edu|gov|de|uk|io|eu|ca|au|in|info))\b"
    )
    reserved = re.compile(r"(?:[\w-]+\.)*example\.(?:com|org)\.?")
    found = [first or second for text in texts() for first, second in hosts.findall(text)]
    assert found and all(reserved.fullmatch(host) for host in found)


def test_no_telephone_number_can_ring() -> None:
    numbers = re.compile(r"\+?\(?\d(?:[ ().\-–/]{0,2}\d){6,}")
    # Dates, ranges of sections and numbers of directives have as many digits.
    other = re.compile(r"\d{4}-\d\d-\d\d|\d{4,5}-\d{4,5}|\d{3,4}/\d{3,4}")
    reserved = re.compile(r"(?:1?\d{3}|)55501\d\d|(?:44|0)7700900\d{3}|(?:44|0)2079460\d{3}")
    found = [
        number for text in texts() for number in numbers.findall(plain(text)) if not other.fullmatch(number)
    ]
    assert len(found) >= PII["PHONE_NUMBER"]
    assert [number for number in found if not reserved.fullmatch(re.sub(r"\D", "", number))] == []


def test_readme_states_the_counts() -> None:
    readme = sample.path().with_name("README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", readme, flags=re.MULTILINE))
    counts = Counter(tag for row in questions().values() for tag in row["tags"])
    assert {kind: int(stated[kind]) for kind in KINDS} == KINDS
    assert {entity: int(stated[entity]) for entity in PII} == PII
    assert "465 questions" in readme and "430 originals" in readme
    assert dict(re.findall(r"`([a-z-]+)`\s(\d+)", readme)) == {tag: str(n) for tag, n in counts.items()}
