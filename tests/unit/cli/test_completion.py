"""Completion: installed by one command for the shell that it is called in, and then it completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAWTAGS = Path(sys.executable).with_name("lawtags")
BASH = shutil.which("bash") or "/bin/bash"
INSTALLED = {
    "bash": (".bash_completions/lawtags.sh", ".bashrc"),
    "zsh": (".zfunc/_lawtags", ".zshrc"),
    "fish": (".config/fish/completions/lawtags.fish", None),
}
ASKED = {
    "bash": {"COMP_WORDS": "lawtags jobs ", "COMP_CWORD": "2"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "lawtags jobs "},
    "fish": {"_TYPER_COMPLETE_ARGS": "lawtags jobs ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def environment(home: Path) -> dict[str, str]:
    path = f"{LAWTAGS.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PATH": path}


@pytest.mark.parametrize("shell", INSTALLED)
def test_one_command_installs_it_for_the_shell_it_is_called_in(shell: str, tmp_path: Path) -> None:
    # Which shell it is, is seen by the name of the process that called.
    called = shutil.copy(BASH, tmp_path / shell)
    home = tmp_path / "home"
    home.mkdir()
    command = [called, "-c", "lawtags --install-completion; exit $?"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{shell} completion installed" in done.stdout
    script, started = INSTALLED[shell]
    assert "_LAWTAGS_COMPLETE" in (home / script).read_text()
    assert started is None or (home / started).read_text().strip()


def test_bash_completes_after_it_was_installed(tmp_path: Path) -> None:
    installing = [BASH, "-c", "lawtags --install-completion; exit $?"]
    subprocess.run(installing, env=environment(tmp_path), check=True, stdout=subprocess.DEVNULL)
    session = (
        ". ~/.bashrc; COMP_WORDS=(lawtags jobs ''); COMP_CWORD=2; _lawtags_completion lawtags; "
        "printf '%s ' \"${COMPREPLY[@]}\""
    )
    asked = subprocess.run([BASH, "-c", session], env=environment(tmp_path), capture_output=True, text=True)
    assert {"ls", "watch", "cancel", "metrics"} <= set(asked.stdout.split()), asked.stderr


@pytest.mark.parametrize("shell", ASKED)
def test_each_shell_is_told_what_may_come_next(shell: str, tmp_path: Path) -> None:
    asked = environment(tmp_path) | ASKED[shell] | {"_LAWTAGS_COMPLETE": f"complete_{shell}"}
    told = subprocess.run([LAWTAGS], env=asked, capture_output=True, text=True).stdout
    assert all(name in told for name in ("ls", "watch", "cancel", "metrics")), told
