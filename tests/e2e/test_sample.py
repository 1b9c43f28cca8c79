"""What curation does to the bundled sample, kind by kind of its planted dirt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lawtags_client import sample
from lawtags_client.curation import CurationOptions, CurationReport, curate

DIRT = json.loads(sample.path().with_name("dirt.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CurationReport]:
    out = tmp_path_factory.mktemp("curated")
    return out, curate([str(sample.path())], out, CurationOptions())


def rejected_by(out: Path, step: str) -> set[int]:
    rows = [json.loads(line) for line in (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    return {int(row["id"]) for row in rows if row["step"] == step}


def kept(out: Path) -> dict[int, dict[str, Any]]:
    found = {}
    for part in ("training", "validation", "testing"):
        for line in (out / "questions" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[int(row["id"])] = row
    return found


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("word_count", "short"),
        ("votes", "negative_votes"),
        ("repeated_ngrams", "repetitive"),
        ("exact_duplicates", "exact_duplicates"),
        ("near_duplicates", "near_duplicates"),
    ],
)
def test_each_step_drops_just_the_rows_planted_for_it(
    curated: tuple[Path, CurationReport], step: str, kind: str
) -> None:
    assert rejected_by(curated[0], step) == set(DIRT["kinds"][kind])


def test_every_row_is_kept_or_rejected_once(curated: tuple[Path, CurationReport]) -> None:
    out, report = curated
    rows = sample.path().read_text(encoding="utf-8").splitlines()
    identities = {json.loads(row)["question_id"] for row in rows}
    gone = {int(json.loads(line)["id"]) for line in (out / "rejected.jsonl").read_text().splitlines()}
    assert gone | set(kept(out)) == identities
    assert not gone & set(kept(out))
    assert sum(report.splits.values()) == len(kept(out))


def test_fifteen_words_are_too_few_and_sixteen_are_not(curated: tuple[Path, CurationReport]) -> None:
    rows = kept(curated[0])
    assert not set(DIRT["kinds"]["exactly_15_words"]) & set(rows)
    assert set(DIRT["kinds"]["exactly_16_words"]) <= set(rows)


def test_mojibake_is_repaired(curated: tuple[Path, CurationReport]) -> None:
    rows = kept(curated[0])
    for identity, pairs in DIRT["mojibake"].items():
        if int(identity) in rows:
            text = f"{rows[int(identity)]['title']}\n{rows[int(identity)]['body']}"
            for garbled in pairs:
                assert garbled not in text, identity


def test_personal_data_with_a_form_of_its_own_is_gone(curated: tuple[Path, CurationReport]) -> None:
    rows = kept(curated[0])
    looked_at = 0
    for identity, planted in DIRT["pii"].items():
        if int(identity) not in rows:
            continue
        text = f"{rows[int(identity)]['title']}\n{rows[int(identity)]['body']}"
        for kind in ("EMAIL_ADDRESS", "PHONE_NUMBER", "URL"):
            for value in planted.get(kind, []):
                looked_at += 1
                assert value not in text, (identity, value)
    assert looked_at >= 30


def test_most_planted_names_and_addresses_are_gone(curated: tuple[Path, CurationReport]) -> None:
    # A statistical model finds them, so a bound and not a list: eight in ten of either.
    rows = kept(curated[0])
    for kind in ("PERSON", "ADDRESS"):
        planted = [
            (rows[int(identity)], value)
            for identity, values in DIRT["pii"].items()
            if int(identity) in rows
            for value in values.get(kind, [])
        ]
        missed = [value for row, value in planted if value in f"{row['title']}\n{row['body']}"]
        assert len(planted) >= 10
        assert len(missed) <= 0.2 * len(planted), missed
