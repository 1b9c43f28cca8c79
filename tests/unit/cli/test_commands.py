"""Every command: it explains itself, knows the common options, and refuses what it does not know."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lawtags_client.cli import main
from lawtags_client.cli.app import app
from lawtags_client.cli.local import _print_address
from lawtags_client.cli.session import Session
from lawtags_client.cli.stack_launch import Dialect, StackLaunch
from lawtags_stack.base_models import DEFAULT_BASE_MODEL
from lawtags_stack.stack import StackAddress

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


@pytest.mark.parametrize("words", [["run", "gemma-2-2b"], ["plan", "gemma-2-2b"], ["demo"]])
@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_not_the_default_one(words: list[str], name: str) -> None:
    refused = call(*words, "--data", "questions.jsonl", "--name", name)
    assert refused.exit_code == 2
    assert "name is empty" in refused.stderr


def test_a_base_model_of_helix_belongs_to_its_runner(tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / file).write_text("{}")
    model = f"law/tiny={tmp_path}"
    refused = call("local", "up", "--dir", str(tmp_path / "s"), "--dialect", "helix", "--base-model", model)
    assert refused.exit_code == 2
    assert f"lawtags local runner --platform URL --base-model {model}" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("dialect", "models", "runner"),
    [
        ("v1", [DEFAULT_BASE_MODEL, "law/tiny"], False),
        ("helix", [], True),
        ("both", [DEFAULT_BASE_MODEL, "law/tiny"], True),
    ],
)
def test_a_stack_that_is_up_names_its_base_models_and_the_runner_it_needs(
    dialect: Dialect, models: list[str], runner: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {} if dialect == "helix" else {"law/tiny": tmp_path}
    launch = StackLaunch(dir=tmp_path / "stack", dialect=dialect, base_models=folders)
    url = "http://127.0.0.1:8600"
    _print_address(Session(), StackAddress(url, url, url, str(tmp_path), 1), launch=launch, token=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("base model ")] == models
    assert any(f"lawtags local runner --platform {url} --base-model" in line for line in lines) == runner


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


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "audit", "--days", "1e6"],
        ["jobs", "audit", "--days", "99999999999"],
        ["local", "prune", "--keep", "1e12"],
        ["local", "prune", "--keep", "inf"],
        ["runs", "metrics", "--every", "nan"],
        ["tag", "--title", "t", "--threshold", "nan"],
    ],
    ids=" ".join,
)
def test_numbers_that_mean_no_time_or_share_are_usage_errors(words: list[str]) -> None:
    shown = call(*words)
    assert shown.exit_code == 2 and "Input should be" in shown.output
