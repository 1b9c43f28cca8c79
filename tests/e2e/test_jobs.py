"""The job scripts: each explains itself, and does its step."""

from __future__ import annotations

import json
import os
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
    assert [
        f"{name}.py"
        for name in (
            *("curate", "customize", "deploy", "evaluate", "pipeline", "plan", "report", "tag", "upload"),
        )
    ] == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself_with_an_example(script: str) -> None:
    shown = run(script, "--help")
    assert shown.returncode == 0
    assert f"python jobs/{script}" in shown.stdout
    assert "--dry-run" in shown.stdout


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


@pytest.mark.parametrize(
    "words",
    [
        ["curate.py", sample.path(), "--out", "curated"],
        ["upload.py", JOBS, "law/tags"],
        ["customize.py", "law/tags", "--config", "ns/model@v1", "-m", "law/tagger"],
        ["deploy.py", "law/tagger@v2"],
        ["evaluate.py", "law/tagger@v1", "law/tags"],
        ["pipeline.py", "gemma-2-2b", "--data", sample.path()],
        ["plan.py", "gemma-2-2b", "--data", sample.path()],
        ["report.py", "gemma-2-2b"],
        ["tag.py", sample.path(), "--out", "tags.jsonl"],
    ],
    ids=lambda words: words[0],
)
def test_a_dry_run_shows_the_command_and_does_nothing(words: list[str | Path], tmp_path: Path) -> None:
    command = [sys.executable, JOBS / words[0], *words[1:], "--dry-run", "--json"]
    # No one answers at that address.
    environment = os.environ | {"LAWTAGS_PLATFORM_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    name = {"pipeline.py": "run"}.get(str(words[0]), Path(words[0]).stem)
    assert told["command"].startswith(f"lawtags {name} {words[1]}")
    assert "--dry-run" not in told["command"]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_finds_what_is_wrong(tmp_path: Path) -> None:
    missing = run("pipeline.py", "gemma-2-2b", "--data", tmp_path / "nothing.jsonl", "--dry-run")
    assert missing.returncode == 2
    assert "nothing.jsonl" in missing.stderr
    assert run("upload.py", tmp_path / "nothing", "law/tags", "--dry-run").returncode == 2
    assert run("curate.py", "--dry-run", "--bogus").returncode == 2


def slurm(folder: Path, *words: str | Path, job: str | None = None) -> subprocess.CompletedProcess[str]:
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/scontrol.log\n')
    (tools / "scontrol").chmod(0o755)
    environment = os.environ | {
        "LAWTAGS_PYTHON": sys.executable,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "LAWTAGS_PLATFORM_URL": "http://127.0.0.1:9",
        **({"SLURM_JOB_ID": job, "SLURM_SUBMIT_DIR": str(JOBS.parent)} if job else {}),
    }
    return subprocess.run(
        ["/bin/sh", JOBS / "slurm.sh", *words], capture_output=True, text=True, timeout=120, env=environment
    )


def test_slurm_passes_arguments_and_exit_codes(tmp_path: Path) -> None:
    assert slurm(tmp_path, "--help").stdout.startswith("usage: sbatch")
    assert slurm(tmp_path, "bogus").returncode == 2
    assert slurm(tmp_path, "../jobs/curate").returncode == 2
    shown = slurm(tmp_path, "curate", sample.path(), "--out", tmp_path / "a b", "--dry-run", job="7")
    assert shown.returncode == 0, shown.stderr
    assert "'" in shown.stdout
    assert slurm(tmp_path, "curate", "--bogus", job="7").returncode == 2
    assert not (tmp_path / "scontrol.log").exists()


def test_slurm_queues_a_busy_run_again(tmp_path: Path) -> None:
    from lawtags_client.runs.lock import run_lock

    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    words = ["pipeline", "gemma-2-2b", "--data", sample.path(), "--runs", tmp_path / "runs", "--name", "one"]
    (folder / "ledger.sqlite").touch()
    with run_lock(folder):
        assert slurm(tmp_path, *words, job="7").returncode == 75
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"


def test_slurm_passes_on_the_signal_at_the_end_of_its_time(tmp_path: Path) -> None:
    slow = tmp_path / "jobs" / "tag.py"
    slow.parent.mkdir()
    slow.write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "print('started', flush=True)\ntime.sleep(300)\n"
    )
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/scontrol.log\n')
    (tmp_path / "scontrol").chmod(0o755)
    environment = os.environ | {
        "LAWTAGS_PYTHON": sys.executable,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": "8",
        "SLURM_SUBMIT_DIR": str(tmp_path),
    }
    with subprocess.Popen(
        ["/bin/sh", JOBS / "slurm.sh", "tag"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.terminate()
        assert process.wait(60) == 143
    assert (tmp_path / "scontrol.log").read_text() == "requeue 8\n"
