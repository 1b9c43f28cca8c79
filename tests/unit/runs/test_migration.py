"""A recipe moves to NeMo Helix with the same meaning, and says what changes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.names import is_valid
from lawtags_client.platform.helix_jobs import training_spec
from lawtags_client.platform.protocol import FineTuneIntent
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.hyperparameters import job_hyperparameters
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.migration import migrate_recipe
from lawtags_client.runs.recipe import Recipe, parse_recipe
from lawtags_client.runs.recipe_loading import bundled, load_recipe


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
        job_hyperparameters(found.training, 50, 800),
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
    chosen = migrate_recipe(recipe(adam_beta2=0.95, min_learning_rate=1e-6, weight_decay=0.1))
    assert {change.key for change in chosen.changes}.isdisjoint(
        {"training.adam_beta2", "training.min_learning_rate", "training.weight_decay"}
    )


@pytest.mark.parametrize(
    ("given", "optimizer", "least"),
    [
        ({}, "adamw_with_cosine_annealing", 3e-5),
        ({"min_learning_rate": 0.0}, "adamw_with_cosine_annealing", 3e-5),
        ({"optimizer": "adam_with_cosine_annealing"}, "adam_with_cosine_annealing", 3e-5),
        ({"optimizer": "adamw_with_flat_lr"}, "adamw_with_flat_lr", None),
    ],
)
def test_optimizer_and_decay_stay_those_of_v1(given: dict[str, object], optimizer: str, least: Any) -> None:
    found = migrate_recipe(recipe(learning_rate=3e-4, **given)).recipe.training
    assert (found.optimizer, found.min_learning_rate) == (optimizer, least)
    assert found.adam_beta2 == (None if least is None else 0.99)


def test_an_optimizer_that_helix_lacks_is_refused_and_not_replaced() -> None:
    asked = {**job_hyperparameters(recipe().training, 50, 800), "optimizer": "lion"}
    with pytest.raises(ConfigurationError, match="optimizer 'lion'"):
        training_spec(
            FineTuneIntent("key", "law/base", "law/rows", asked, "law/out"), base="b/b", dataset="d"
        )


def test_what_the_recipe_cannot_say_is_noted() -> None:
    open_recipe, closed = recipe(), recipe(target_modules=("q_proj",), weight_decay=0.0)
    assert any("target_modules" in note for note in migrate_recipe(open_recipe).notes)
    assert not any("target_modules" in note for note in migrate_recipe(closed).notes)
    assert any("2,048 tokens" in note for note in migrate_recipe(closed).notes)


def test_the_key_of_the_pii_hash_is_not_written(tmp_path: Path) -> None:
    source, out = tmp_path / "r.yaml", tmp_path / "new folder" / "helix.yaml"
    pii = {"action": "hash", "key": "the-secret-key", "allow": ["Salomon"]}
    content = recipe().model_dump(mode="json", exclude_defaults=True) | {"schema_version": 1}
    source.write_text(yaml.safe_dump(content | {"curation": {"pii": pii}}))
    done = CliRunner().invoke(app, ["migrate", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert "the-secret-key" not in done.output + out.read_text()
    assert "LAWTAGS_PII_KEY" in done.output
    assert load_recipe(out).curation == {"pii": {"action": "hash", "allow": ["Salomon"]}}


def test_a_run_s_folder_of_any_name_migrates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "läw\nname: injected"
    RunFacts(run_id="1", recipe=recipe().record()).write(Ledger(run / "ledger.sqlite"))
    out = tmp_path / "helix.yaml"
    done = CliRunner().invoke(app, ["migrate", str(run), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert load_recipe(out) == migrate_recipe(recipe()).recipe
    # A folder that happens to be called like a bundled recipe is no run.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gemma-2-2b").mkdir()
    assert CliRunner().invoke(app, ["migrate", "gemma-2-2b"]).exit_code == 0
    refused = CliRunner().invoke(app, ["migrate", str(tmp_path)])
    assert (refused.exit_code, "not the folder of a run" in refused.output) == (2, True)


@pytest.mark.parametrize("damage", ["facts", "file"])
def test_a_run_with_a_damaged_ledger_says_so(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite"
    RunFacts(run_id="1", recipe=recipe().record()).write(Ledger(path))
    if damage == "file":
        for each in tmp_path.iterdir():
            each.write_bytes(b"no database at all" * 100)
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE facts SET value = '{\"half' WHERE name = 'recipe'")
    done = CliRunner().invoke(app, ["migrate", str(tmp_path)])
    assert done.exit_code == 1
    assert "ledger cannot be used" in done.output


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


def test_a_name_that_is_too_long_for_a_file_is_an_error_in_words() -> None:
    done = CliRunner().invoke(app, ["migrate", "x" * 300])
    assert isinstance(done.exception, SystemExit)
    assert "name too long" in done.output
