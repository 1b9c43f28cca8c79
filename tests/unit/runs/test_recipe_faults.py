"""What a wrong recipe is answered with: file, line and key, and the key that was meant."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lawtags_client.errors import ConfigurationError, LawtagsError, RecipeError
from lawtags_client.json_value import JsonRow, JsonValue
from lawtags_client.runs.recipe import Optimizer, Recipe, merged, parse_recipe
from lawtags_client.runs.recipe_faults import names, nearest, options_at
from lawtags_client.runs.recipe_loading import load_recipe

MINIMAL = "schema_version: 1\nname: small\nmodel:\n  config: ns/model@v1\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "a recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert all(line.startswith(f"{path}:") for line in caught.value.faults)
    return [line.removeprefix(f"{path}:") for line in caught.value.faults]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lr", "learning_rate"),
        ("LearningRate", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("learning_rat", "learning_rate"),
        ("wd", "weight_decay"),
        ("lora_rank", "adapter_dim"),
        ("max_grad_norm", "gradient_clip"),
        ("num_train_epochs", "epochs"),
        ("bs", "batch_size"),
        ("qqq", None),
    ],
)
def test_a_wrong_key_proposes_the_right_one(key: str, meant: str | None) -> None:
    assert nearest(key, options_at(Recipe, ("training",))) == meant


def test_each_alias_of_another_trainer_is_a_key_of_ours() -> None:
    from lawtags_client.runs.recipe_faults import _ALIASES

    assert set(_ALIASES.values()) <= set(names(Recipe))


def test_faults_name_file_line_and_key(tmp_path: Path) -> None:
    told = faults(tmp_path, f"{MINIMAL}lr: 1\n# a comment\ntraining:\n  bs: 8\n  epochs: many\n")
    assert any(line.startswith("9: training.epochs: ") for line in told)
    assert "8: training.bs: unknown option; did you mean batch_size?" in told
    assert "5: lr: unknown option; did you mean training.learning_rate?" in told


def test_a_missing_value_names_its_section(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "schema_version: 1\nname: small\nmodel:\n  output: a/b\n")
    assert told == "3: model.config: is missing"


def test_the_options_of_a_curation_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    told = faults(tmp_path, f"{MINIMAL}curation:\n  splt: {{}}\n  split:\n    sed: 1\n")
    assert told == [
        "6: curation.splt: unknown option; did you mean split?",
        "8: curation.split.sed: unknown option; did you mean seed?",
    ]
    (told_value,) = faults(tmp_path, f"{MINIMAL}curation:\n  split:\n    by: chance\n")
    assert told_value.startswith("7: curation.split.by: cannot be 'chance'")
    (told_type,) = faults(tmp_path, f"{MINIMAL}curation:\n  filters:\n    min_words: few\n")
    assert told_type.startswith("7: curation.filters.min_words: ")


def test_the_key_of_hashes_may_come_from_the_environment(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, f"{MINIMAL}curation:\n  pii: {{action: hash}}\n"))
    assert recipe.curation == {"pii": {"action": "hash"}}


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, f"{MINIMAL}training:\n  epochs: 1\n  seed: 2\n  epochs: 3\n")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path)
    assert caught.value.message == f"{path}:8: epochs is there twice; it is in line 6, too"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
        ),
        f"{MINIMAL}curation: &a\n  columns: *a\n",
        "- " * 400 + "x",
        "a: " * 2,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    ],
    ids=["bomb", "cycle", "deep", "colons", "bytes"],
)
def test_text_that_is_no_recipe_is_refused_in_words_and_soon(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(write(tmp_path, text))
    assert caught.value.hint


def test_a_file_too_large_for_a_recipe_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recipe"):
        load_recipe(write(tmp_path, "#" * (1 << 21)))


@given(text=st.text(max_size=60), line=st.integers(0, 4))
def test_whatever_a_line_says_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str, line: int
) -> None:
    lines = MINIMAL.splitlines()
    lines.insert(line, text)
    path = tmp_path_factory.getbasetemp() / "line.yaml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        load_recipe(path)
    except LawtagsError as problem:
        assert problem.hint


@pytest.mark.parametrize("key", ["batch_size", "token_budget", "adapter_dim", "val_check_interval", "seed"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_too_large_for_json_is_refused_where_it_stands(
    key: str, sign: str, tmp_path: Path
) -> None:
    (fault,) = faults(tmp_path, f"{MINIMAL}training:\n  {key}: {sign}1{'0' * 400}\n")
    assert fault.startswith(f"6: training.{key}: must be a whole number") and "9007199254740991" in fault


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf", "1e999"])
@pytest.mark.parametrize("option", ["training:\n  learning_rate", "wait:\n  stall", "hardware:\n  tflops"])
def test_a_number_that_is_not_finite_is_refused(option: str, value: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f"{MINIMAL}{option}: {value}\n")
    assert fault.startswith("6: ")
    assert "finite number" in fault or "above 0" in fault


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema_version: 1\nname: Ünï\nmodel: {config: ns/model@v1}\n", "2: name: must be small letters"),
        (
            "schema_version: 1\nname: a\nmodel:\n  config: ns/model\n",
            "4: model.config: must be NAMESPACE/NAME@V",
        ),
        (f"{MINIMAL}dataset:\n  name: questions\n", "6: dataset.name: must be NAMESPACE/NAME;"),
        (
            f"{MINIMAL}wandb: {{api_key_secret: KEY}}\n",
            "5: wandb.api_key_secret: must be the NAME or WORKSPACE",
        ),
        (f"{MINIMAL}mlflow: {{uri: 'http://me:pw@host'}}\n", "5: mlflow.uri: must be http://HOST"),
    ],
)
def test_a_value_of_the_wrong_form_is_told_its_form(tmp_path: Path, text: str, line: str) -> None:
    (told,) = faults(tmp_path, text)
    assert told.startswith(line)


def test_no_regular_expression_is_shown_for_any_key_of_a_recipe() -> None:
    from lawtags_client.runs.recipe_faults import _FORMS

    def patterns(model: type[BaseModel], prefix: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if any(getattr(each, "pattern", None) for each in field.metadata):
                found.append(f"{prefix}{name}")
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += patterns(field.annotation, f"{prefix}{name}.")
        return found

    assert sorted(patterns(Recipe, "")) == sorted(_FORMS)


@pytest.mark.parametrize("key", ["? [x, y]\n: 3", "? {a: 1}\n: 3"])
def test_a_key_that_is_no_text_is_told_with_its_line(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, f"{MINIMAL}{key}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path)
    assert caught.value.message == f"{path}:5: not a YAML file: found unhashable key"


def test_all_faults_of_a_file_come_in_the_order_of_its_lines(tmp_path: Path) -> None:
    text = """schema_version: 1
name: Wrong Name
zeta: 3
curation:
  style: {order: chance, max_tokns: 3}
  split: {seed: x, few_rows: -1}
  max_bad: 2
training: {lr: 1, epochs: three, learning_rate: 2e-4 %, val_check_interval: .nan}
gates:
  - {system: tagr, at_least: .5}
  - {at_least: 65}
  - {system: tagger}
model: {config: a/b}
overfitting: {patience: 0}
"""
    told = faults(tmp_path, text)
    assert [line.partition(" ")[0] + line.split(" ")[1] for line in told] == [
        "2:name:",
        "3:zeta:",
        "5:curation.style.order:",
        "5:curation.style.max_tokns:",
        "6:curation.split.seed:",
        "6:curation.split.few_rows:",
        "7:curation.max_bad:",
        "8:training.lr:",
        "8:training.epochs:",
        "8:training.learning_rate:",
        "8:training.val_check_interval:",
        "10:gates.0.system:",
        "11:gates.1.at_least:",
        "12:gates.2:",
        "13:model.config:",
        "14:overfitting.patience:",
    ]
    assert "10: gates.0.system: there is no such system: 'tagr'" in "\n".join(told)


def test_faults_of_the_command_line_come_after_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f"{MINIMAL}training: {{epochs: 0}}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, {"model": {"config": "x"}, "training": {"seed": -1}})
    assert [line.partition(": ")[0] for line in caught.value.faults] == [
        f"{path}:5",
        "--set model.config",
        "--set training.seed",
    ]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("training: {epochs: yes}", "training.epochs: must be a number; YAML reads yes, on, no and off"),
        ("training: {seed: on}", "training.seed: must be a number; YAML reads"),
        ("training: {epochs: 2.5}", "training.epochs: must be a whole number"),
        ("training: {epochs: }", "training.epochs: must be a whole number, and is empty"),
        ("training: {seed: -1}", "training.seed: must be at least 0"),
        ("training: {optimizer: sgd}", "training.optimizer: must be 'adam_with_cosine_annealing', "),
        ("training: {val_check_interval: -3}", "training.val_check_interval: must be above 0"),
        ("training: {val_check_interval: 2.5}", "training.val_check_interval: must be a whole number of"),
        ("training: {val_check_interval: often}", "training.val_check_interval: must be a number"),
        ("training: {min_learning_rate: 1}", "training.min_learning_rate: must be lower than learning_rate"),
        ("training: {target_modules: x}", "training.target_modules: must be a list, such as [a, b]"),
        ("training:", "training: must be a section, with one option per line below it, and is empty"),
        ("training: []", "training: must be a section, with one option per line below it"),
        ("wait: {training: 1h}", "wait.training: must be a number, without a unit"),
        ("evaluation: {abstain_below: 50%}", "evaluation.abstain_below: must be a number, without a unit"),
        ("description: 2026-11-28", "description: must be text: put it in quotes"),
        ("retriever: {encoder: off}", "retriever.encoder: must be text: put it in quotes (YAML reads yes"),
        ("curation: {max_bad: .nan}", "curation.max_bad: must be a finite number"),
        ("curation: {split: {seed: .inf}}", "curation.split.seed: must be a whole number"),
        ("curation: {split: {validation: -1}}", "curation.split.validation: must be at least 0"),
    ],
)
def test_a_wrong_value_is_told_in_words(tmp_path: Path, option: str, told: str) -> None:
    (fault,) = faults(tmp_path, f"{MINIMAL}{option}\n")
    assert fault.startswith(f"5: {told}")


def test_no_message_is_that_of_the_library() -> None:
    wrong: tuple[JsonValue, ...] = (None, True, "x", "", -1, 1e9, [], [[]], {}, {"x": 1})
    minimal: JsonRow = {"schema_version": 1, "name": "a", "model": {"config": "a/b@c"}}
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if not isinstance(section, type) or not issubclass(section, BaseModel):
            continue
        for key, value in itertools.product(section.model_fields, wrong):
            try:
                parse_recipe(merged(minimal, {name: {key: value}}))
            except RecipeError as problem:
                assert not any("nput should" in fault or "valid" in fault for fault in problem.faults)


def test_keys_that_come_from_an_anchor_have_their_own_line(tmp_path: Path) -> None:
    text = f"{MINIMAL}wait: &w\n  training: 1\n  stal: 3\ntraining:\n  <<: *w\n  seed: x\n"
    assert [line.split(": ")[0] for line in faults(tmp_path, text)] == ["6", "7", "7", "10"]


def test_every_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    text = f"{MINIMAL}name: other\ntraining: {{seed: 1, epochs: 2, seed: 3}}\n"
    assert faults(tmp_path, text) == [
        "5: name is there twice; it is in line 2, too",
        "6: seed is there twice; it is in line 6, too",
    ]


@pytest.mark.parametrize(
    ("there", "asked", "meant"),
    [
        ("r.yaml", "r.yml", "r.yaml"),
        ("r.yml", "r.yaml", "r.yml"),
        ("r.yml", "r", "r.yml"),
        ("my recipe.yaml", "my_recipe.yaml", "my recipe.yaml"),
        ("x.yaml", "gemma-2b", "gemma-2-2b"),
    ],
)
def test_a_missing_recipe_proposes_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, asked: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(there).write_text(MINIMAL)
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(asked)
    assert caught.value.message == f"there is no recipe {asked!r}"
    assert str(caught.value.hint).startswith(f"Did you mean {meant}? ")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        load_recipe(tmp_path)


def test_the_optimizers_of_a_recipe_are_those_of_both_platforms() -> None:
    from lawtags_client.platform.helix_jobs import _OPTIMIZERS

    assert set(get_args(Optimizer)) == set(_OPTIMIZERS)
