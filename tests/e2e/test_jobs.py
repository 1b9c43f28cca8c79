"""The job scripts: each explains itself, and does its step."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from made_run import make_run
from typer.testing import CliRunner

from lawtags_client import sample
from lawtags_client.cli import script

JOBS = Path(__file__).parents[2] / "jobs"
SCRIPTS = sorted(path.name for path in JOBS.glob("*.py"))


def run(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, JOBS / name, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_there_is_a_script_for_each_step() -> None:
    assert [
        f"{name}.py"
        for name in (
            *("curate", "customize", "deploy", "evaluate", "pipeline", "plan", "report", "tag", "upload"),
        )
    ] == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_explains_itself_with_an_example(name: str) -> None:
    shown = run(name, "--help")
    assert shown.returncode == 0
    assert f"python jobs/{name}" in shown.stdout
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


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "words",
    [
        ["curate.py", sample.path(), "--out", "curated"],
        ["upload.py", "cura ted", "law/tags"],
        ["customize.py", "law/tags", "--config", "ns/model@v1", "-m", "law/tagger"],
        ["deploy.py", "law/tagger@v2"],
        ["evaluate.py", "law/tagger@v1", "law/tags"],
        ["pipeline.py", "gemma-2-2b", "--data", sample.path()],
        ["plan.py", "gemma-2-2b", "--data", sample.path()],
        ["report.py", "done"],
        ["tag.py", sample.path(), "--out", "tags.jsonl", "--model", "law/tagger"],
    ],
    ids=lambda words: words[0],
)
def test_a_dry_run_shows_the_command_and_does_nothing(words: list[str | Path], tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "done")
    for part in ("training", "validation"):
        (tmp_path / "cura ted" / part).mkdir(parents=True)
        (tmp_path / "cura ted" / part / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    before = stamps(tmp_path)
    command = [sys.executable, JOBS / words[0], *words[1:], "--dry-run", "--json"]
    # No one answers at that address.
    environment = os.environ | {"LAWTAGS_PLATFORM_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    name = {"pipeline.py": "run"}.get(str(words[0]), Path(words[0]).stem)
    assert told["command"].startswith(shlex.join(["lawtags", name, str(words[1])]))
    assert "--dry-run" not in told["command"]
    assert stamps(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ["pipeline.py", "gemma-2-2b", "--data", "nothing.jsonl"],
        ["pipeline.py", "nothing", "--data", sample.path()],
        ["pipeline.py", "gemma-2-2b", "--data", sample.path(), "--set", "bogus=1"],
        ["pipeline.py", "gemma-2-2b", "--data", sample.path(), "--name", "two\nlines"],
        ["pipeline.py", "gemma-2-2b", "--data", sample.path(), "--profile", "nothing"],
        ["plan.py", "gemma-2-2b", "--data", sample.path(), "--profile", "nothing"],
        ["upload.py", "nothing", "law/tags"],
        ["upload.py", ".", "no-namespace"],
        ["curate.py", "--bogus"],
        ["curate.py", sample.path(), "--out", "out", "--recipe", "nothing"],
        ["curate.py", sample.path(), "--out", f"{sample.path()}/out"],
        ["customize.py", "law tags", "--config", "ns/model@v1"],
        ["customize.py", "law/tags", "--config", "ns/model@v1", "--set", "bogus"],
        ["deploy.py", "a b c"],
        ["evaluate.py", "law/tagger", "rows.jsonl"],
        ["report.py", "nothing"],
        ["tag.py"],
        ["tag.py", sample.path(), "--run", "nothing", "--out", "tags.jsonl"],
    ],
    ids=lambda words: " ".join(str(word) for word in words if word != sample.path()),
)
def test_a_dry_run_finds_what_is_wrong(
    words: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    started: list[typer.Typer] = []
    monkeypatch.setattr(script, "run_script", lambda *given: started.append(script.script(*given)))
    runpy.run_path(str(JOBS / words[0]), run_name="__main__")
    done = CliRunner().invoke(started[0], [*map(str, words[1:]), "--dry-run"])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_checks_the_rows_to_upload(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "rows.jsonl").write_text('{"prompt": ""}\n')
    done = run("upload.py", tmp_path, "law/tags", "--dry-run")
    assert done.returncode == 1
    assert "rows.jsonl:1" in done.stderr


def slurm_environment(folder: Path, job: str | None) -> dict[str, str]:
    """What Slurm gives to a job; ``scontrol`` writes down what it is asked."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "scontrol").write_text(
        f'#!/bin/sh\n[ "$1" = show ] && echo "   Command={JOBS}/slurm.sh tag x" && exit\n'
        f'echo "$@" >> "{folder}/scontrol.log"\n'
    )
    (tools / "scontrol").chmod(0o755)
    return os.environ | {
        "LAWTAGS_PYTHON": sys.executable,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "LAWTAGS_PLATFORM_URL": "http://127.0.0.1:9",
        **({"SLURM_JOB_ID": job, "SLURM_SUBMIT_DIR": str(JOBS.parent)} if job else {}),
    }


def slurm(folder: Path, *words: str | Path, job: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = slurm_environment(folder, job)
    return subprocess.run(
        ["/bin/sh", JOBS / "slurm.sh", *words], capture_output=True, text=True, timeout=120, env=environment
    )


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_scripts_of_shells() -> None:
    root = JOBS.parent
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split("\0") if name] or ["jobs/slurm.sh"]
    scripts = [name for name in names if is_shell_script(root / name)]
    assert "jobs/slurm.sh" in scripts
    found = subprocess.run(
        ["shellcheck", *scripts], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert found.stdout == ""


def is_shell_script(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(re.match(rb"#!\S*/(env )?(ba|da)?sh\b", file.readline(80)))


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


# Debian's sh is dash; that of most clusters is bash, which forgets ended processes at another time.
SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if Path(shell).exists()]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("signals", "code", "requeued"),
    [
        ([signal.SIGUSR1], 143, True),  # the time is over
        ([signal.SIGUSR1, signal.SIGTERM], 143, True),  # and it takes long
        ([signal.SIGTERM], 143, False),  # cancelled: it must not come back
        ([signal.SIGINT], 143, False),
    ],
    ids=["time over", "time over twice", "cancelled", "Ctrl-C"],
)
def test_slurm_passes_signals_on_and_waits_for_the_end(
    shell: str, signals: list[signal.Signals], code: int, requeued: bool, tmp_path: Path
) -> None:
    checkout = tmp_path / "a check'out"
    slow = checkout / "jobs" / "tag.py"
    slow.parent.mkdir(parents=True)
    slow.write_text(
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print('stopping', flush=True)\n"
        "    time.sleep(0.5)\n"
        "    print('stopped', flush=True)\n"
        "    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('started', flush=True)\n"
        "time.sleep(300)\n"
    )
    # Slurm runs a copy.
    spool = tmp_path / "slurm_script"
    spool.write_bytes((JOBS / "slurm.sh").read_bytes())
    environment = slurm_environment(tmp_path, "8") | {"SLURM_SUBMIT_DIR": str(checkout)}
    with subprocess.Popen(
        [shell, spool, "tag"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signals[0])
        assert process.stdout.readline() == "stopping\n"
        for each in signals[1:]:
            process.send_signal(each)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(60) == code
    log = tmp_path / "scontrol.log"
    assert (log.read_text() if log.exists() else "") == ("requeue 8\n" if requeued else "")


def test_slurm_finds_the_scripts_of_a_job_that_was_submitted_from_elsewhere(tmp_path: Path) -> None:
    spool = tmp_path / "slurm_script"
    spool.write_bytes((JOBS / "slurm.sh").read_bytes())
    environment = slurm_environment(tmp_path, "9") | {"SLURM_SUBMIT_DIR": str(tmp_path)}

    def submitted() -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", spool, "curate", sample.path(), "--out", "o", "--dry-run"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    done = submitted()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lawtags curate")
    (tmp_path / "tools" / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    lost = submitted()
    assert lost.returncode == 2
    assert (
        lost.stderr == "slurm.sh: jobs/curate.py was not found; submit from the folder that contains jobs/\n"
    )


def test_slurm_says_which_python_lacks_lawtags(tmp_path: Path) -> None:
    environment = slurm_environment(tmp_path, None) | {"LAWTAGS_PYTHON": str(tmp_path / "no python")}
    done = subprocess.run(
        ["/bin/sh", JOBS / "slurm.sh", "plan", "--help"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "set LAWTAGS_PYTHON" in done.stderr
