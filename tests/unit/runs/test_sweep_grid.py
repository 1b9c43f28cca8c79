"""Combinations of a sweep, and which of them are trained further."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError, RecipeError
from lawtags_client.runs.recipe_keys import recipe_keys
from lawtags_client.runs.recipe_loading import load_recipe
from lawtags_client.runs.sweeping.dimensions import parse_dimensions
from lawtags_client.runs.sweeping.grid import points_of, recipe_of
from lawtags_client.runs.sweeping.halving import kept, mean_costs, rungs
from lawtags_client.runs.sweeping.reach import measured_by, trained_by, why_not
from lawtags_client.runs.sweeping.result import SweepResult, SweepTrial
from lawtags_client.runs.sweeping.sweep import SweepOptions, check_options


def test_every_combination_is_a_recipe_of_its_own() -> None:
    points = points_of(parse_dimensions(["learning_rate=1e-4,3e-4", "training.adapter_dim=8,32", "seed=1,2"]))
    assert len(points) == len({point.digest for point in points}) == 8
    assert len({point.group for point in points}) == 4
    recipe = recipe_of(load_recipe("smollm2-demo"), points[0], max_steps=5)
    training = recipe.training
    assert (training.learning_rate, training.adapter_dim, training.seed, training.max_steps) == (
        1e-4,
        8,
        1,
        5,
    )
    assert points[0].label == "learning_rate=0.0001 adapter_dim=8 seed=1"
    assert points[0].group == "learning_rate=0.0001 adapter_dim=8"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to sweep"),
        (["lr=1,2"], "no key lr"),
        (["training.lr=1"], "no key training.lr"),
        (["learning_rate"], "not of the form"),
        (["learning_rate="], "not of the form"),
        (["seed=1", "training.seed=2"], "swept twice"),
        (["seed=1,1"], "a value twice"),
        (["seed=[1"], "not YAML"),
        (["seed={a: 1}"], "no list of words"),
        (["max_tokens=64,96"], "several sections have a key max_tokens"),
        (["bootstrap=100,200"], "evaluation.bootstrap cannot be swept: it changes how"),
        (["gates=1"], "gates cannot be swept: it changes how"),
        (["split.seed=1,2"], "curation.split.seed cannot be swept: it decides which questions"),
        (["tags.min_count=1,2"], "which tags are right"),
        (["pii.key=a,b"], "curation.pii.key cannot be swept: it is a secret"),
        (["wait.served=1,2"], "wait.served cannot be swept: it changes how fast"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_words(words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_dimensions(words)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("word", "dimension"),
    [
        ("config=a/b@v1,a/c@v1", {"model.config": ["a/b@v1", "a/c@v1"]}),
        ("shortlist=0,5", {"curation.style.shortlist": [0, 5]}),
        ("style.order=random,sorted", {"curation.style.order": ["random", "sorted"]}),
        ("retriever.folds=3,5", {"retriever.folds": [3, 5]}),
        ("head_learning_rate=1e-3", {"encoder.head_learning_rate": [1e-3]}),
        ("tune=auto,off", {"encoder.tune": ["auto", "off"]}),
        ("unicode=true,false", {"curation.unicode": [True, False]}),
        ("batch_size=8,16", {"training.batch_size": [8, 16]}),
        (
            "target_modules=[linear_qkv],[linear_qkv,linear_proj]",
            {"training.target_modules": [["linear_qkv"], ["linear_qkv", "linear_proj"]]},
        ),
    ],
)
def test_a_key_without_its_section_is_found_where_only_one_has_it(word: str, dimension: object) -> None:
    found = parse_dimensions([word])
    assert found == dimension
    content = {"encoder": {"tune": "auto"}}
    for point in points_of(found):
        recipe_of(load_recipe("smollm2-demo", content), point)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("lr", "learning_rate"),
        ("training.lr", "learning_rate"),
        ("curation.style.ordr", "curation.style.order"),
        ("retriever.fold", "retriever.folds"),
    ],
)
def test_the_key_that_was_meant_is_proposed(asked: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_dimensions([f"{asked}=1,2"])
    assert caught.value.hint is not None
    assert f"Did you mean {meant}?" in caught.value.hint


def test_every_key_of_a_recipe_is_swept_or_refused_with_a_reason() -> None:
    for key in (key.name for key in recipe_keys() if not key.section and "[]" not in key.name):
        if why_not(key) is None:
            assert trained_by([key]) in ("job", "tagger")
            assert measured_by([key]) in ("val_loss", "val_f1")


def test_what_neither_changes_the_other_is_not_swept_together() -> None:
    assert trained_by(["training.seed", "retriever.folds"]) == "tagger"
    assert trained_by(["curation.links", "encoder.epochs"]) == "tagger"
    assert trained_by(["curation.links", "training.epochs"]) == "job"
    assert measured_by(["training.seed", "training.epochs"]) == "val_loss"
    assert measured_by(["training.seed", "model.config"]) == "val_f1"
    with pytest.raises(ConfigurationError, match=r"folds and training\.epochs cannot be swept together"):
        trained_by(["retriever.folds", "training.seed", "training.epochs"])


def test_options_that_count_steps_need_a_job_and_a_length_of_their_own() -> None:
    with pytest.raises(ConfigurationError, match="--budget counts the steps of jobs"):
        check_options(SweepOptions(budget=5), ["retriever.folds"])
    with pytest.raises(ConfigurationError, match=r"training\.epochs cannot be swept with --halving"):
        check_options(SweepOptions(factor=2), ["training.epochs"])
    check_options(SweepOptions(factor=2, budget=5), ["training.seed", "model.config"])


def test_wrong_values_and_options_are_refused() -> None:
    (point,) = points_of(parse_dimensions(["epochs=many"]))
    with pytest.raises(RecipeError, match=r"epochs=many: training\.epochs"):
        recipe_of(load_recipe("smollm2-demo"), point)
    (point,) = points_of(parse_dimensions(["style.order=alphabetical"]))
    with pytest.raises(RecipeError, match="order=alphabetical: curation"):
        recipe_of(load_recipe("smollm2-demo"), point)
    with pytest.raises(ConfigurationError, match="combinations"):
        points_of({f"training.{key}": list(range(40)) for key in ("seed", "epochs")})
    for options in (SweepOptions(concurrency=0), SweepOptions(budget=0), SweepOptions(factor=1)):
        with pytest.raises(ConfigurationError, match="at least"):
            check_options(options)


@given(steps=st.integers(1, 100_000), groups=st.integers(1, 500), factor=st.integers(2, 5))
def test_rungs_grow_to_a_whole_training(steps: int, groups: int, factor: int) -> None:
    found = rungs(steps, groups, factor)
    assert found[-1] == steps
    assert found == sorted(found)
    assert all(rung >= 1 for rung in found)
    left = groups
    for _ in found[:-1]:
        left = math.ceil(left / factor)
    assert left >= 1


def test_the_better_combinations_are_kept_and_one_that_diverged_is_the_worst() -> None:
    points = points_of(parse_dimensions(["learning_rate=1e-4,1", "seed=1,2"]))
    losses = {points[0].digest: 2.0, points[1].digest: 4.0, points[2].digest: 1.0}
    means = mean_costs(points, losses)
    assert means == {points[0].group: 3.0, points[2].group: math.inf}
    assert kept(means, 2) == [points[0].group]
    assert kept({"a": 1.0}, 4) == ["a"]


def test_combinations_are_ranked_by_rung_and_mean() -> None:
    def trial(group: str, rung: int, loss: float | None) -> SweepTrial:
        return SweepTrial(values={}, group=group, run="", rung=rung, steps=1, val_loss=loss)

    result = SweepResult(
        trials=(
            trial("a", 1, 1.0),
            trial("a", 2, 0.9),
            trial("b", 1, 0.5),
            trial("b", 1, None),
            trial("c", 1, 2.0),
        ),
        steps=5,
    )
    assert result.ranked() == [("a", 2, 0.9, 1), ("c", 1, 2.0, 1), ("b", 1, None, 2)]


def test_combinations_are_ranked_by_f1_where_losses_cannot_be_compared() -> None:
    trials = [
        SweepTrial(values={}, group=group, run=group, rung=1, steps=1, val_f1=f1, val_loss=loss)
        for group, f1, loss in (("a", 0.2, 0.1), ("b", 0.5, 3.0), ("c", None, 0.0))
    ]
    result = SweepResult.of(trials, measure="val_f1", steps=3, left_out=0)
    assert [trial.group for trial in result.trials] == ["b", "a", "c"]
    assert result.ranked() == [("b", 1, 0.5, 1), ("a", 1, 0.2, 1), ("c", 1, None, 1)]
    assert result.best == result.trials[:1]
    assert SweepResult.of(trials[2:], measure="val_f1", steps=1, left_out=0).best == ()


def test_what_has_the_same_figure_is_no_better_and_nothing_has_no_sign() -> None:
    trials = [
        SweepTrial(values={}, group=group, run=group, rung=1, steps=0, val_f1=0.0) for group in ("a", "b")
    ]
    result = SweepResult.of(trials, measure="val_f1", steps=0, left_out=0)
    assert [trial.group for trial in result.best] == ["a", "b"]
    assert [f"{figure:.3f}" for _, _, figure, _ in result.ranked()] == ["0.000", "0.000"]
