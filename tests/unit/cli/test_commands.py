"""Every command: it explains itself, knows the common options, and refuses what it does not know."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lawtags_client.cli import main
from lawtags_client.cli.app import app

NAMED = {
    "demo", "run", "plan", "curate", "upload", "customize", "evaluate", "tag", "deploy", "report", "doctor",
    "jobs ls", "jobs show", "jobs watch", "jobs cancel", "jobs logs", "jobs metrics", "models ls",
    "runs ls", "runs show", "runs compare", "local up", "local down", "local status", "local reset",
    "labels review",
}  # fmt: skip


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def call(*words: str) -> Any:
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_promised_commands_are_there() -> None:
    assert set(COMMANDS) >= NAMED


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_what_it_does_with_an_example(name: str) -> None:
    shown = call(*name.split(), "--help")
    assert shown.exit_code == 0
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown.stdout).split())
    assert re.search(rf"Examples?: lawtags {name}\b", text), text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_the_common_options(name: str) -> None:
    taken = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert taken >= {"--json", "--profile", "-v", "--no-input"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_unknown_option_ends_with_two(name: str) -> None:
    assert call(*name.split(), "--bogus").exit_code == 2


@pytest.mark.parametrize("words", [["bogus"], ["jobs", "bogus"], ["run"], ["jobs", "show"], ["upload", "x"],
                                   ["doctor", "superfluous"], ["jobs", "ls", "--limit", "0"]])  # fmt: skip
def test_a_wrong_call_ends_with_two(words: list[str]) -> None:
    assert call(*words).exit_code == 2


def test_the_version_is_told() -> None:
    assert re.match(r"lawtags \d+\.\d+", call("--version").stdout)


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait(monkeypatch, before: str | None, after: str) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "unset later")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr("sys.argv", ["lawtags", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OMP_WAIT_POLICY"] == after
