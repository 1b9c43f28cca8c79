from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from lawtags_client.curation import CurationOptions, PiiOptions, SplitOptions, TagOptions, curate
from lawtags_client.errors import DataError

Write = Callable[..., Path]
PARTS = ("training", "validation", "testing")
NO_PII = PiiOptions(entities=())


def _ids(out: Path, part: str) -> list[str]:
    path = out / "questions" / f"{part}.jsonl"
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").split("\n") if line]


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.jsonl"))}


@pytest.mark.parametrize("by", ["time", "stratified"])
def test_partitions_and_processes_change_no_byte(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path, by: Literal["time", "stratified"]
) -> None:
    path = write(questions)
    options = CurationOptions(pii=NO_PII, split=SplitOptions(by=by), tags=TagOptions(min_count=2))
    curate([path], tmp_path / "whole", options, partition_rows=1000)
    workers = 2 if by == "time" else 1
    curate([path], tmp_path / "split", options, partition_rows=9, workers=workers)
    assert _files(tmp_path / "whole") == _files(tmp_path / "split")


def test_by_time_the_newest_are_tested_and_the_undated_refused(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    created = {}
    for number, row in enumerate(questions):
        # Seconds since 1970 in some rows and ISO dates in the others.
        day = f"2020-{number % 10 + 1:02}-{number // 10 + 1:02}"
        created[str(row["question_id"])] = day
        row["created"] = day
    questions[0]["created"] = 1577836800
    questions[1] |= {"created": None}
    questions[2] |= {"created": "long ago"}
    out = tmp_path / "out"
    report = curate([write(questions)], out, CurationOptions(pii=NO_PII, split=SplitOptions(by="time")))
    assert report.splits == {"training": 62, "validation": 8, "testing": 8}
    created["1000"] = "2020-01-01"
    newest = {part: max(created[id_] for id_ in _ids(out, part)) for part in PARTS}
    oldest = {part: min(created[id_] for id_ in _ids(out, part)) for part in PARTS}
    assert newest["training"] < oldest["validation"] <= newest["validation"] < oldest["testing"]
    assert report.rejected["split"] == {"no date to split by": 2}
    assert any(note.startswith("split by time: training from 2020-01-01T00:00:00") for note in report.notes)
    assert "would_have_leaked" not in report.duplicates


def test_by_time_without_dates_is_an_error_that_names_the_column(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    rows = [{name: value for name, value in row.items() if name != "created"} for row in questions]
    with pytest.raises(DataError, match="no question has a date") as caught:
        curate([write(rows)], tmp_path / "out", CurationOptions(pii=NO_PII, split=SplitOptions(by="time")))
    assert "created" in str(caught.value.hint)


def test_stratified_gives_each_part_its_share_of_each_tag(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    options = CurationOptions(pii=NO_PII, split=SplitOptions(by="stratified"))
    report = curate([write(questions)], tmp_path / "out", options)
    parts = report.labels["parts"]
    for tag in ("copyright", "contract-law", "landlord", "criminal-law"):
        assert parts[tag] == {"training": 16, "validation": 2, "testing": 2}
    assert report.splits == {"training": 64, "validation": 8, "testing": 8}


@pytest.mark.parametrize("by", ["time", "stratified"])
def test_beside_a_test_file_nothing_else_is_for_testing(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path, by: Literal["time", "stratified"]
) -> None:
    held = write([questions[0]], "held.jsonl")
    options = CurationOptions(pii=NO_PII, split=SplitOptions(by=by))
    report = curate([write(questions[1:])], tmp_path / "out", options, test=held)
    assert report.splits["testing"] == 1
    assert report.splits["validation"] == 8
    assert report.splits["training"] == 71
