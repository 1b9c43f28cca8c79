from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lawtags_client.cli.app import app

Write = Callable[..., Path]


def _call(*words: object) -> Any:
    return CliRunner().invoke(app, ["curate", *map(str, words)], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_options_of_the_command_reach_the_curation_and_a_folder_forgets(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out, synonyms, listed = tmp_path / "out", tmp_path / "synonyms.yaml", tmp_path / "forget.txt"
    synonyms.write_text("landlord: tenancy\n", encoding="utf-8")
    listed.write_text("1003\n", encoding="utf-8")
    done = _call(
        write(questions), "--out", out, "--json", "--set", "pii.entities=[]", "--synonyms", synonyms,
        "--min-tag-count", "2", "--split-by", "time", "--forget", listed,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["options"]["split"]["by"] == "time"
    assert report["options"]["tags"]["min_count"] == 2
    assert report["labels"]["synonyms"]["renamed"] == {"landlord": 20}
    assert report["forgotten"][0]["rows"] == 1
    assert sum(report["splits"].values()) == 79

    listed.write_text("1004\n", encoding="utf-8")
    removed = _call("--out", out, "--forget", listed)
    assert removed.exit_code == 0, removed.output
    assert f"Rows removed from {out}: 1; questions listed: 1." in removed.stdout.replace("\n", "")
    card = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    assert sum(card["splits"].values()) == 78
    assert [record["rows"] for record in card["forgotten"]] == [1, 1]


@pytest.mark.parametrize("words", [[], ["--forget", "x", "--split-by", "time"], ["--set", "format=messages"]])
def test_without_questions_only_forgetting_makes_sense(words: list[str], tmp_path: Path) -> None:
    done = _call("--out", tmp_path, *words)
    assert done.exit_code == 2
    assert "no input files" in done.output


def test_every_id_that_was_not_found_is_named_and_strict_makes_that_a_failure(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out, listed = tmp_path / "out", tmp_path / "forget.txt"
    listed.write_text('"1003"\n1004.0\nq-gone\n', encoding="utf-8")
    words = [write(questions), "--out", out, "--set", "pii.entities=[]", "--forget", listed]
    done = _call(*words)
    assert done.exit_code == 0, done.output
    assert "not found: q-gone" in done.output
    assert "not found: 1004.0" not in done.output
    assert "q-gone" not in (out / "curation.json").read_text(encoding="utf-8")
    again = _call("--out", out, "--forget", listed, "--strict")
    assert again.exit_code == 1
    assert "3 of the ids to forget were not found" in again.output


def test_an_input_is_not_overwritten_and_a_name_that_is_not_utf_8_is_read(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    (tmp_path / "questions").mkdir()
    path = write(questions).rename(tmp_path / "questions" / "training.jsonl")
    before = path.read_bytes()
    for out in (tmp_path, tmp_path / "questions" / ".."):
        refused = _call(path, "--out", out)
        assert refused.exit_code == 2
        assert "would be overwritten" in refused.output
    assert path.read_bytes() == before
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl"))
    path.rename(odd)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["curate", str(odd), "--out", str(out), "--json", "--set", "pii.entities=[]"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["inputs"][0]["source"] == "caf\\xe9.jsonl"
    assert "caf\\\\xe9.jsonl" in (out / "questions" / "training.jsonl").read_text(encoding="utf-8")
