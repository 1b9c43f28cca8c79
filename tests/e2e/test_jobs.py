"""The job scripts: each explains itself, and does its step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lawtags_client import sample

JOBS = Path(__file__).parents[2] / "jobs"
SCRIPTS = sorted(path.name for path in JOBS.glob("*.py"))


def run(script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, JOBS / script, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_there_is_a_script_for_each_step() -> None:
    assert SCRIPTS == ["curate.py", "customize.py", "evaluate.py", "pipeline.py", "tag.py", "upload.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself_with_an_example(script: str) -> None:
    shown = run(script, "--help")
    assert shown.returncode == 0
    assert f"python jobs/{script}" in shown.stdout


def test_the_curation_script_curates(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "schema_version: 1\nname: small\nmodel: {config: ns/model@v1}\ncuration: {pii: {entities: []}}\n"
    )
    done = run("curate.py", sample.path(), "--out", tmp_path / "curated", "--recipe", recipe)
    assert done.returncode == 0, done.stderr
    steps = json.loads((tmp_path / "curated" / "curation.json").read_text())["steps"]
    for step in steps:
        assert step["name"] in done.stdout
