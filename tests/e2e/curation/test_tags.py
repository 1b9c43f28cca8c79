from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lawtags_client.curation import CurationOptions, PiiOptions, TagOptions, curate

Write = Callable[..., Path]
PARTS = ("training", "validation", "testing")
NO_PII = PiiOptions(entities=())


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _questions(out: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for part in PARTS for row in _rows(out / "questions" / f"{part}.jsonl")}


def test_synonyms_are_replaced_in_every_output_and_counted(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    questions[0]["tags"] = ["Fair Use", "fair-dealing"]
    questions[1]["tags"] = ["fair-dealing", "copyright"]
    synonyms = tmp_path / "synonyms.csv"
    synonyms.write_text("synonym,tag\nfair-dealing,fair-use\nnever-seen,fair-use\n", encoding="utf-8")
    options = CurationOptions(pii=NO_PII, tags=TagOptions(synonyms=str(synonyms)))
    out = tmp_path / "out"
    report = curate([write(questions)], out, options, partition_rows=7)
    found = _questions(out)
    assert found["1000"]["tags"] == ["fair-use"]
    assert found["1001"]["tags"] == ["fair-use", "copyright"]
    used = report.labels["synonyms"]
    assert (used["file"], used["entries"], used["renamed"]) == ("synonyms.csv", 2, {"fair-dealing": 2})
    assert report.pii["counts"] == {}
    for path in out.rglob("*.jsonl"):
        assert b"fair-dealing" not in path.read_bytes()


def test_rare_tags_are_taken_off_and_questions_without_others_are_refused(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    questions[0]["tags"] = ["rare-one", "rare-two"]
    questions[1]["tags"] = ["rare-one", *questions[1]["tags"]]
    held_out = [questions[2] | {"question_id": 1, "question_title": "New?", "tags": ["rare-one"]}]
    held_out[0]["question_body"] = "<p>" + " ".join(f"other{n}" for n in range(40)) + "</p>"
    options = CurationOptions(pii=NO_PII, tags=TagOptions(min_count=3))
    out = tmp_path / "out"
    report = curate([write(questions)], out, options, test=write(held_out, "held.jsonl"))
    found = _questions(out)
    assert "1000" not in found
    assert "rare-one" not in found["1001"]["tags"]
    assert found["1"]["tags"] == ["rare-one"]
    (refused,) = _rows(out / "rejected.jsonl")
    assert (refused["step"], refused["reason"], refused["field"], refused["id"]) == (
        "rare_tags",
        "all its tags are rare",
        "tags",
        "1000",
    )
    assert report.labels["rare"] == {"rare-one": 2, "rare-two": 1}
    assert report.labels["parts"]["rare-one"] == {"training": 0, "validation": 0, "testing": 1}
    assert report.rejected["rare_tags"] == {"all its tags are rare": 1}
    assert "rare-one" not in report.tags
    stepped = {step.name: (step.rows_in, step.rows_out) for step in report.steps}
    assert stepped["rare_tags"] == (81, 80)


def test_counts_by_part_agree_with_the_files_and_nothing_is_merged_unasked(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    questions[0]["tags"] = ["tenants"]
    for row in questions[1:9]:
        row["tags"] = ["tenant", *row["tags"]]
    out = tmp_path / "out"
    report = curate([write(questions)], out, CurationOptions(pii=NO_PII))
    for part in PARTS:
        rows = _rows(out / "questions" / f"{part}.jsonl")
        for tag, counts in report.labels["parts"].items():
            assert counts[part] == sum(tag in row["tags"] for row in rows)
    (proposal,) = report.labels["proposals"]
    assert (proposal["tag"], proposal["into"], proposal["why"]) == ("tenants", "tenant", "spelling")
    assert _questions(out)["1000"]["tags"] == ["tenants"]
    assert any("nothing was merged" in note for note in report.notes)


def test_reviewed_corrections_change_the_rows_that_they_name_and_are_counted(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    questions[0]["tags"] = ["fair-dealing", "copyright"]
    questions[1]["tags"] = ["copyright"]
    synonyms, corrections = tmp_path / "synonyms.csv", tmp_path / "reviewed.jsonl"
    synonyms.write_text("synonym,tag\nfair-dealing,fair-use\n", encoding="utf-8")
    reviewed = [
        {"id": "1000", "given": ["fair-use", "copyright"], "tags": ["copyright", "Trade Secret"]},
        {"id": "1001", "given": ["copyright"], "tags": []},
        {"id": "nowhere", "given": ["copyright"], "tags": ["patent"]},
    ]
    corrections.write_text("\n".join(map(json.dumps, reviewed)), encoding="utf-8")
    options = CurationOptions(
        pii=NO_PII, tags=TagOptions(synonyms=str(synonyms), corrections=str(corrections))
    )
    out = tmp_path / "out"
    report = curate([write(questions)], out, options, partition_rows=7)
    found = _questions(out)
    assert found["1000"]["tags"] == ["copyright", "trade-secret"]
    assert "1001" not in found
    (refused,) = _rows(out / "rejected.jsonl")
    assert (refused["step"], refused["field"], refused["id"]) == ("tag_corrections", "tags", "1001")
    used = report.labels["corrections"]
    assert used is not None
    assert (used["entries"], used["found"], used["changed"]) == (3, 2, 2)
    assert "corrections in reviewed.jsonl whose question is in no input: 1" in report.notes
