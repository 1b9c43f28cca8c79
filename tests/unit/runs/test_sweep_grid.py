"""Combinations of a sweep, and which of them are trained further."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError, RecipeError
from lawtags_client.runs.recipe import load_recipe
from lawtags_client.runs.sweeping.grid import parse_dimensions, points_of, recipe_of
from lawtags_client.runs.sweeping.halving import kept, mean_losses, rungs
from lawtags_client.runs.sweeping.sweep import SweepOptions, SweepResult, SweepTrial, check_options


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
        (["lr=1,2"], "no option training.lr"),
        (["learning_rate"], "not of the form"),
        (["learning_rate="], "not of the form"),
        (["seed=1", "training.seed=2"], "swept twice"),
        (["seed=1,1"], "a value twice"),
        (["seed=[1"], "not YAML"),
        (["curation.format=messages"], "not comparable"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_words(words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_dimensions(words)
    assert caught.value.hint


def test_wrong_values_and_options_are_refused() -> None:
    (point,) = points_of(parse_dimensions(["epochs=many"]))
    with pytest.raises(RecipeError, match=r"epochs=many: training\.epochs"):
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
    means = mean_losses(points, losses)
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
