"""The files that put lawtags into containers are valid, and agree with each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def compose() -> dict[str, Any]:
    """The compose file as its own command line reads it: variables filled in, merges resolved."""
    text = (ROOT / "docker-compose.yaml").read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "given", text)
    return dict(yaml.safe_load(text))


def test_the_compose_file_keeps_the_specification() -> None:
    from compose_spec import PyCompose

    parsed = PyCompose.from_json(json.dumps(compose()))
    parsed.validate()
    assert set(parsed.service_names()) == {"stack", "run"}


def test_the_compose_check_would_notice_an_unknown_key() -> None:
    from compose_spec import PyCompose

    wrong = compose()
    wrong["services"]["run"]["bogus"] = 1
    with pytest.raises(ValueError, match="bogus"):
        PyCompose.from_json(json.dumps(wrong))


def test_compose_commands_are_commands_of_lawtags() -> None:
    from typer.testing import CliRunner

    from lawtags_client.cli.app import app

    for service in compose()["services"].values():
        words = [word for word in service["command"] if not word.startswith(("-", "/"))]
        shown = CliRunner().invoke(app, [*words[: 2 if words[0] == "local" else 1], "--help"])
        assert shown.exit_code == 0, shown.output
        for option in (word for word in service["command"] if word.startswith("--")):
            assert option in shown.output
