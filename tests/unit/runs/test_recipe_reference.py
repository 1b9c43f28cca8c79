"""The reference page and the schema say what the classes say, and the shipped recipes what they promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.hyperparameters import V1_NAMES, job_hyperparameters, job_layout
from lawtags_client.runs.recipe import Recipe, TrainingSection
from lawtags_client.runs.recipe_files import check_recipe, write_recipe
from lawtags_client.runs.recipe_keys import recipe_keys
from lawtags_client.runs.recipe_loading import bundled, load_recipe
from lawtags_client.runs.recipe_reference import reference_page
from lawtags_client.runs.recipe_schema import FILE, recipe_schema
from lawtags_client.types.customizer import Hyperparameters, LoraParameters

DOCS = Path(__file__).parents[3] / "docs" / "reference"
SENT_OTHERWISE = {"token_budget", "micro_batch_size", "precision", "max_seq_length", "gradient_clip"}


def test_page_and_schema_are_up_to_date() -> None:
    hint = "Run: python scripts/write_recipe_reference.py"
    assert (DOCS / "recipe.md").read_text("utf-8") == reference_page(), hint
    assert json.loads((DOCS / "recipe.schema.json").read_text("utf-8")) == recipe_schema(), hint


def test_every_key_has_a_meaning() -> None:
    assert [key.name for key in recipe_keys() if not key.meaning] == []


def test_every_hyperparameter_is_sent_or_said_not_to_be() -> None:
    assert set(TrainingSection.model_fields) == set(V1_NAMES) | SENT_OTHERWISE
    wire = set(Hyperparameters.model_fields) | {f"lora.{name}" for name in LoraParameters.model_fields}
    assert set(V1_NAMES.values()) <= wire


@pytest.mark.parametrize("name", sorted(bundled()))
def test_the_schema_takes_the_shipped_recipes(name: str) -> None:
    jsonschema.validate(yaml.safe_load(bundled()[name].read_text("utf-8")), recipe_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"trainin": {}},
        {"training": {"lr": 1}},
        {"training": {"epochs": "many"}},
        {"curation": {"splt": {}}},
        {"curation": {"split": {"by": "chance"}}},
        {"gates": [{"sytem": "tagger"}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    content = {"schema_version": 1, "name": "small", "model": {"config": "ns/model@v1"}}
    jsonschema.validate(content, recipe_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | change, recipe_schema())
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content | change))
    with pytest.raises(ConfigurationError):
        load_recipe(path)


def test_the_schema_knows_an_unquoted_off() -> None:
    content = {"schema_version": 1, "name": "small", "model": {"config": "ns/model@v1"}}
    jsonschema.validate(content | yaml.safe_load("encoder: {tune: off}"), recipe_schema())


def test_the_hackathons_settings_are_those_of_its_files() -> None:
    recipe = load_recipe("seed-gemma-2-2b")
    assert job_hyperparameters(recipe.training, 2500, 20_000) == {
        "training_type": "sft",
        "finetuning_type": "lora",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-6,
        "min_learning_rate": 0,
        "warmup_steps": 200,
        "max_steps": 2500,
        "weight_decay": 0.01,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "optimizer": "adamw_with_cosine_annealing",
        "val_check_interval": 200,
        "log_every_n_steps": 10,
        "seed": 1234,
        "lora": {"adapter_dim": 32, "alpha": 32, "adapter_dropout": 0.0, "target_modules": ["linear_qkv"]},
    }
    assert job_layout(recipe.training) == {"micro_batch_size": 1, "precision": "bf16", "max_seq_length": 2048}
    split = recipe.curation["split"]
    assert isinstance(split, dict)
    assert split["training"] / (split["training"] + split["validation"]) == pytest.approx(0.95)
    assert load_recipe("gemma-2-2b-full").training.method == "all_weights"


def test_a_new_recipe_is_valid_and_its_editor_finds_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "Vertrags recht.v2.yaml"
    assert write_recipe(path, "smollm2-demo") == [path, tmp_path / FILE]
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == f"# yaml-language-server: $schema=./{FILE}"
    assert any(line.startswith("# The whole way") for line in lines)
    found = check_recipe(str(path))
    assert found.faults == ()
    assert isinstance(found.recipe, Recipe)
    assert found.recipe.name == "vertrags-recht"
    assert json.loads((tmp_path / FILE).read_text("utf-8")) == recipe_schema()
    with pytest.raises(ConfigurationError, match="exists"):
        write_recipe(path, "smollm2-demo")
    copied = tmp_path / "copy.yaml"
    write_recipe(copied, str(path))
    assert copied.read_text("utf-8").count("yaml-language-server") == 1
