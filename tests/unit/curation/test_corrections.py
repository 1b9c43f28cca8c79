from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.corrections import Correction, load_corrections
from lawtags_client.errors import DataError

TAGS = st.lists(st.sampled_from("abcdef"), unique=True)


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "reviewed.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_only_what_the_reviewer_changed_is_read(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        {"id": "2", "given": ["Patent", "usa"], "tags": ["usa", "Trade Mark"], "title": "ignored"},
        {"id": "1", "given": ["usa"], "tags": ["usa"]},
        {"id": "3", "given": ["usa"], "tags": []},
    )
    assert load_corrections(path) == {
        "2": Correction(frozenset({"patent"}), ("trade-mark",)),
        "3": Correction(frozenset({"usa"}), ()),
    }


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"given": [], "tags": []}, "id"),
        ({"id": 7, "given": [], "tags": []}, "id"),
        ({"id": "7", "tags": []}, "given"),
        ({"id": "7", "given": [], "tags": "usa"}, "tags"),
        ({"id": "7", "given": [], "tags": ["usa", 1]}, "tags"),
        ({"id": "7", "given": [], "tags": ["usa", " , "]}, "tags"),
        ({"id": "1", "given": [], "tags": ["usa"]}, "id"),
    ],
)
def test_an_invalid_correction_is_refused_by_line_and_field(
    tmp_path: Path, row: dict[str, object], field: str
) -> None:
    path = _file(tmp_path, {"id": "1", "given": ["usa"], "tags": []}, row)
    with pytest.raises(DataError) as caught:
        load_corrections(path)
    assert (caught.value.line, caught.value.field) == (2, field)
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_corrections(tmp_path / "none.jsonl")


@given(TAGS, TAGS, TAGS)
def test_a_correction_changes_nothing_else_and_nothing_twice(
    given_tags: list[str], reviewed: list[str], later: list[str]
) -> None:
    correction = Correction(
        frozenset(given_tags) - set(reviewed), tuple(tag for tag in reviewed if tag not in given_tags)
    )
    once = correction.apply([*given_tags, *later])
    assert correction.apply(once) == once
    assert set(correction.apply(given_tags)) == set(reviewed)
    untouched = set(given_tags) ^ set(reviewed)
    assert set(once) - untouched == {*given_tags, *later} - untouched
