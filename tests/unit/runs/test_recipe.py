from __future__ import annotations

from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.recipe import Recipe, bundled, load_recipe

MINIMAL = "schema_version: 1\nname: small\nmodel:\n  config: ns/model@v1\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(bundled()))
def test_bundled_recipes_are_valid(name: str) -> None:
    assert load_recipe(name).name == name


def test_both_promised_recipes_are_bundled() -> None:
    assert {"smollm2-demo", "gemma-2-2b"} <= set(bundled())


def test_an_unknown_key_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "training:\n  learning_rat: 1.0\n")
    with pytest.raises(ConfigurationError, match=r"training\.learning_rat"):
        load_recipe(path)


def test_a_wrong_value_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "training:\n  epochs: none\n")
    with pytest.raises(ConfigurationError, match=r"training\.epochs"):
        load_recipe(path)


@pytest.mark.parametrize("text", ["", "[]", "just words", "schema_version: 2\nname: x\n", "a: [", "\x00"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        load_recipe(write(tmp_path, text))


def test_a_config_without_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.config"):
        load_recipe(write(tmp_path, MINIMAL.replace("@v1", "")))


def test_a_missing_recipe_names_the_bundled_ones() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_recipe("nowhere")
    assert "smollm2-demo" in str(caught.value)


def test_overrides_replace_single_values(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL), {"training": {"epochs": 7}})
    assert recipe.training.epochs == 7
    assert recipe.training.batch_size == Recipe.model_fields["training"].default.batch_size


def test_a_gate_needs_a_bound(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gates"):
        load_recipe(write(tmp_path, MINIMAL + "gates:\n  - system: tagger\n"))
