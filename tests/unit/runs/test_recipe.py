from __future__ import annotations

from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.recipe_loading import bundled, load_recipe

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


@pytest.mark.parametrize(
    ("override", "place", "known"),
    [
        ({"training": {"epoch": 2}}, "--set training.epoch: unknown option", "training: method, epochs,"),
        ({"trainin": {"epochs": 2}}, "--set trainin: unknown option", "the recipe: schema_version, name,"),
        (
            {"gates": [{"sytem": "x", "at_least": 1}]},
            "--set gates.0.sytem: unknown",
            "gates.0: system, metric,",
        ),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_unknown_option_of_set_is_told_with_those_there_are(
    tmp_path: Path, override: dict[str, object], place: str, known: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(write(tmp_path, MINIMAL), override)
    assert caught.value.message.startswith(place)
    assert f"Known options of {known}" in str(caught.value.hint)


def test_each_wrong_key_is_told_with_the_place_it_comes_from(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "training:\n  learning_rat: 1.0\n")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path, {"training": {"epochs": "many"}})
    lines = caught.value.message.splitlines()
    assert any(line.startswith("--set training.epochs: ") for line in lines)
    assert f"{path}:6: training.learning_rat: unknown option; did you mean learning_rate?" in lines


@pytest.mark.parametrize("word", ["off", '"off"', "OFF"])
def test_the_encoder_is_turned_off_by_the_word_whether_quoted_or_not(tmp_path: Path, word: str) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL + f"encoder:\n  tune: {word}\n"))
    assert recipe.encoder.tune == "off"
    with pytest.raises(ConfigurationError, match=r"encoder\.tune"):
        load_recipe(write(tmp_path, MINIMAL + "encoder:\n  tune: on\n"))
