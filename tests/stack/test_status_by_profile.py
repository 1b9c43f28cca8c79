"""``lawtags local`` with ``--profile``: the stack that the profile names, or a word about why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lawtags_client.cli.app import app
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


def run(folder: Path, *words: str) -> Result:
    config = folder / "lawtags.toml"
    return CliRunner().invoke(app, ["local", *words], env={"LAWTAGS_CONFIG": str(config), "COLUMNS": "200"})


def write_profile(folder: Path, url: str, token: str = "") -> None:
    lines = ["schema_version = 1", "[profiles.far]", f'platform_url = "{url}"']
    (folder / "lawtags.toml").write_text("\n".join([*lines, f'token = "{token}"'] if token else lines))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_status_is_asked_of_the_stack_at_the_address_of_the_profile(folder: Path) -> None:
    with StackThread(folder / "elsewhere", options=StackOptions(token="secret-of-it")) as running:
        write_profile(folder, running.platform_url, "secret-of-it")
        told = run(folder, "status", "--profile", "far", "--json")
        assert told.exit_code == 0, told.output
        found = json.loads(told.stdout)
        assert found["running"] is True and found["platform_url"] == running.platform_url
        assert f"platform     {running.platform_url}" in run(folder, "status", "-p", "far").stdout
        write_profile(folder, running.platform_url, "another")
        refused = run(folder, "status", "--profile", "far")
        assert refused.exit_code == 1 and "401" in refused.output
        # Without a profile, and with "local", it is the stack of this folder.
        for words in (("status",), ("status", "--profile", "local")):
            assert "No stack is running" in run(folder, *words).stdout


def test_a_stack_with_a_token_says_which_variable_to_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StackThread(folder / ".lawtags" / "stack", options=StackOptions(token="canary-of-it")) as running:
        told = run(folder, "status")
        assert told.exit_code == 1 and "requires its token" in told.output
        assert told.output.count("HTTP 401") == 1 and "LAWTAGS_TOKEN" in told.output
        assert "refused the token" in run(folder, "status", "--token", "another").output
        for name in ("LAWTAGS_TOKEN", "LAWTAGS_LOCAL_TOKEN"):
            with monkeypatch.context() as patch:
                patch.setenv(name, "canary-of-it")
                shown = run(folder, "status").stdout
            assert f"export LAWTAGS_PLATFORM_URL={running.platform_url}" in shown
            assert "also set LAWTAGS_TOKEN" in shown and "canary" not in shown
        # The lines are to be had again where a second start is refused.
        assert "lawtags local status" in run(folder, "up", "--detach").output


def test_what_is_not_an_embedded_stack_is_named(folder: Path) -> None:
    with StackThread(folder / "elsewhere") as running:
        write_profile(folder, running.data_store_url)
        told = run(folder, "status", "--profile", "far")
        assert told.exit_code == 2 and running.data_store_url in told.output
    write_profile(folder, "http://127.0.0.1:9")
    told = run(folder, "status", "--profile", "far")
    assert told.exit_code == 1 and "127.0.0.1:9" in told.output
    told = run(folder, "status", "--profile", "absent")
    assert told.exit_code == 2 and "absent" in told.output


@pytest.mark.parametrize("name", ["up", "down", "prune", "reset"])
def test_what_works_on_a_folder_refuses_another_profile(name: str, folder: Path) -> None:
    told = run(folder, name, "--profile", "far")
    assert told.exit_code == 2 and "'far'" in told.output and "--dir" in told.output
    assert not (folder / ".lawtags").exists()
