"""``lawtags recipe``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lawtags_client.cli.app import app


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["recipe", *words])
    assert done.exit_code == code, done.output
    return done


def test_a_recipe_is_started_and_checked() -> None:
    assert "lawtags recipe check 'my recipe.yaml'" in call("new", "my recipe.yaml").stdout
    assert call("check", "my recipe.yaml", "smollm2-demo").stdout.splitlines() == [
        "my recipe.yaml: valid",
        "smollm2-demo: valid",
    ]
    assert "exists" in call("new", "my recipe.yaml", code=2).stderr
    assert "lawtags recipe check ./-x.yaml" in call("new", "--", "-x.yaml").stdout


def test_all_recipes_are_checked_and_each_fault_has_a_line(desk: Path) -> None:
    text = "schema_version: 1\nname: x\nmodel: {config: a/b@v1}\ntraining:\n  lr: 1\n  bs: 2\n"
    (desk / "wrong.yaml").write_text(text)
    (desk / "empty.yaml").write_text("")
    done = call("check", "wrong.yaml", "empty.yaml", "nowhere", "gemma-2-2b", code=2)
    assert done.stdout == "gemma-2-2b: valid\n"
    lines = done.stderr.splitlines()
    assert "wrong.yaml:5: training.lr: unknown option; did you mean learning_rate?" in lines
    assert "wrong.yaml:6: training.bs: unknown option; did you mean batch_size?" in lines
    assert "empty.yaml: the file is empty" in lines
    assert "there is no recipe 'nowhere'" in lines
    rows = [
        json.loads(row)
        for row in call("check", "wrong.yaml", "gemma-2-2b", "--json", code=2).stdout.splitlines()
    ]
    assert [row["valid"] for row in rows] == [False, True]
    assert len(rows[0]["faults"]) == 2


def test_a_command_tells_each_fault_of_its_recipe_in_a_line_of_its_own(desk: Path) -> None:
    (desk / "wrong.yaml").write_text("schema_version: 1\nname: x\nmodel: {config: a/b@v1}\nlr: 1\nbs: 2\n")
    done = CliRunner().invoke(app, ["plan", "wrong.yaml", "--data", "none.jsonl"])
    assert done.exit_code == 2
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()[:2]] == ["Error", "Error"]
    assert "did you mean training.learning_rate?" in done.stderr


def test_list_and_schema_can_be_read_by_programs() -> None:
    names = [json.loads(row)["name"] for row in call("ls", "--json").stdout.splitlines()]
    assert {"gemma-2-2b", "gemma-2-2b-full", "seed-gemma-2-2b", "smollm2-demo"} <= set(names)
    schema = json.loads(call("schema").stdout)
    assert schema == json.loads(call("schema", "--json").stdout)
    assert schema["properties"]["training"]
