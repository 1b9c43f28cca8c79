"""What a wrong recipe is answered with: file, line and key, and the key that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lawtags_client.errors import ConfigurationError, LawtagsError, RecipeError
from lawtags_client.runs.recipe import Recipe, load_recipe
from lawtags_client.runs.recipe_faults import names, nearest, options_at

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
    assert told.startswith("3: model.config: Field required")


def test_the_options_of_a_curation_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    told = faults(tmp_path, f"{MINIMAL}curation:\n  splt: {{}}\n  split:\n    sed: 1\n")
    assert told == [
        "6: curation.splt: unknown option; did you mean split?",
        "8: curation.split.sed: unknown option; did you mean seed?",
    ]
    (told_value,) = faults(tmp_path, f"{MINIMAL}curation:\n  split:\n    by: chance\n")
    assert told_value.startswith("7: curation.split.by: split.by cannot be 'chance'")
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
    assert fault.startswith(f"6: training.{key}: Input should be") and "9007199254740991" in fault


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf", "1e999"])
@pytest.mark.parametrize("option", ["training:\n  learning_rate", "wait:\n  stall", "hardware:\n  tflops"])
def test_a_number_that_is_not_finite_is_refused(option: str, value: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f"{MINIMAL}{option}: {value}\n")
    assert fault.startswith("6: ")
    assert "finite number" in fault or "greater than 0" in fault


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
