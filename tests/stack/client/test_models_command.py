"""``lawtags models ls`` names what can be trained and what can be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_stack.stack import StackThread


def listed(stack: StackThread, *words: str) -> str:
    env = {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
        "LAWTAGS_INFERENCE_URL": stack.inference_url,
        "COLUMNS": "200",
    }
    done = CliRunner().invoke(app, ["models", "ls", *words], env=env)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_configs_targets_and_models_are_listed(stack: StackThread) -> None:
    rows: list[dict[str, Any]] = [json.loads(line) for line in listed(stack, "--json").splitlines()]
    found = {(row["kind"], row["name"]): row for row in rows}
    config = found["config", "tiny/llama@v1.0.0+cpu"]
    assert config["base_model"] == "tiny/llama"
    assert {"sft lora", "sft all_weights"} <= set(config["methods"])
    assert ("target", config["target"]) in found
    assert found["model", "tiny/llama"]["served"] is True


def test_the_table_says_what_each_name_is_for(stack: StackThread) -> None:
    shown = listed(stack)
    for word in ("tiny/llama@v1.0.0+cpu", "lawtags customize --config NAME", "lawtags tag --model NAME"):
        assert word in shown


@pytest.mark.parametrize("kind", ["config", "target", "model"])
def test_a_namespace_leaves_out_the_others(stack: StackThread, kind: str) -> None:
    rows = [json.loads(line) for line in listed(stack, "--json", "--namespace", "tiny").splitlines()]
    names = [row["name"] for row in rows if row["kind"] == kind]
    assert names and all(name.startswith("tiny/") for name in names)
