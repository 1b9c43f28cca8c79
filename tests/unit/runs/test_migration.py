"""A recipe moves to NeMo Helix with the same meaning, and says what changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_client.helix.names import is_valid
from lawtags_client.platform.helix_jobs import training_spec
from lawtags_client.platform.protocol import FineTuneIntent
from lawtags_client.runs.migration import migrate_recipe
from lawtags_client.runs.recipe import Recipe, bundled, load_recipe, parse_recipe
from lawtags_client.runs.stages.plan import job_hyperparameters


def recipe(**training: object) -> Recipe:
    return parse_recipe(
        {
            "schema_version": 1,
            "name": "law",
            "model": {"config": "Google/Gemma-2-2B@v1.0.0+A100", "output": "Law_Team/law--tags"},
            "dataset": {"name": "law/questions"},
            "training": training,
        }
    )


@pytest.mark.parametrize("name", sorted(bundled()))
def test_a_migrated_recipe_has_names_that_helix_takes_and_a_job_that_it_can_express(name: str) -> None:
    found = migrate_recipe(load_recipe(name)).recipe
    for reference in (found.model.config.partition("@")[0], found.model.output, found.dataset.name):
        assert all(map(is_valid, reference.split("/")))
    intent = FineTuneIntent(
        "key",
        found.model.config,
        found.dataset.name,
        job_hyperparameters(found.training, 50),
        found.model.output,
    )
    spec = training_spec(intent, base="law/base", dataset=found.dataset.name)
    assert spec.model == "law/base"


def test_names_are_mended_one_by_one_and_each_change_has_a_reason() -> None:
    found = migrate_recipe(recipe())
    changed = {change.key: change.after for change in found.changes}
    assert changed["model.config"] == "google/gemma-2-2b@helix"
    assert changed["model.output"] == "law_team/law-tags"
    assert "dataset.name" not in changed
    assert all(change.reason.endswith(".") for change in found.changes)


def test_what_the_recipe_leaves_open_gets_the_value_that_v1_had() -> None:
    found = migrate_recipe(recipe(learning_rate=2e-4)).recipe.training
    assert (found.adam_beta2, found.min_learning_rate) == (0.99, pytest.approx(2e-5))
    chosen = migrate_recipe(recipe(adam_beta2=0.95, min_learning_rate=0.0, weight_decay=0.1))
    assert {change.key for change in chosen.changes}.isdisjoint(
        {"training.adam_beta2", "training.min_learning_rate", "training.weight_decay"}
    )


def test_layers_get_the_names_of_hugging_face_and_keep_their_pattern() -> None:
    named = recipe(target_modules=("*.layers.0.*.linear_qkv", "linear_fc1", "o_proj", "linear_proj"))
    assert migrate_recipe(named).recipe.training.target_modules == (
        "*.layers.0.*.q_proj",
        "*.layers.0.*.k_proj",
        "*.layers.0.*.v_proj",
        "gate_proj",
        "up_proj",
        "o_proj",
    )


def test_a_migrated_recipe_migrates_to_itself() -> None:
    once = migrate_recipe(recipe(log_every_n_steps=5, target_modules=("linear_qkv",)))
    assert once.recipe.training.log_every_n_steps is None
    again = migrate_recipe(once.recipe)
    assert again.changes == ()
    assert again.recipe == once.recipe


def test_the_command_writes_a_recipe_that_loads_and_does_not_replace_a_file(tmp_path: Path) -> None:
    out = tmp_path / "helix.yaml"
    done = CliRunner().invoke(app, ["migrate", "gemma-2-2b", "--to", "helix", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert load_recipe(out) == migrate_recipe(load_recipe("gemma-2-2b")).recipe
    before = out.read_bytes()
    refused = CliRunner().invoke(app, ["migrate", "gemma-2-2b", "--out", str(out)])
    assert refused.exit_code == 2
    assert out.read_bytes() == before
    shown = CliRunner().invoke(app, ["migrate", "gemma-2-2b", "--json"])
    said = json.loads(shown.stdout)
    assert said["recipe"] == yaml.safe_load(before)
    assert said["notes"]
