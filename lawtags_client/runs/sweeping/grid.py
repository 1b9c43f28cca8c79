"""The combinations of a sweep."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject, JsonRow, JsonValue
from lawtags_client.runs.recipe import Recipe, TrainingSection, merged, nested, parse_recipe
from lawtags_client.runs.recipe_faults import nearest

SEED = "training.seed"
_MOST = 1000
_HINT = "For example: --over learning_rate=1e-4,3e-4 adapter_dim=8,32 seed=1,2,3"


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One combination.

    Args:
        values: by dotted key.
    """

    values: Mapping[str, JsonValue]

    @property
    def digest(self) -> str:
        """What tells it from other points, short enough for the name of a folder."""
        text = json.dumps(dict(self.values), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def label(self) -> str:
        """The values in words."""
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.values.items())

    @property
    def group(self) -> str:
        """The label without the seed: points that differ in it alone are compared by their mean."""
        return SweepPoint({key: value for key, value in self.values.items() if key != SEED}).label


def parse_dimensions(words: Iterable[str]) -> dict[str, list[JsonValue]]:
    """The values of each dimension, by its dotted key.

    Args:
        words: each ``key=value,value``; a key without a section is one of ``training``.

    Raises:
        ConfigurationError: a word is of another form, names no option, or repeats one.
    """
    found: dict[str, list[JsonValue]] = {}
    for word in words:
        key, equals, listed = word.partition("=")
        values = [_value(word, part) for part in listed.split(",") if part.strip()]
        if not equals or not values:
            raise ConfigurationError(f"{word!r} is not of the form key=value,value", hint=_HINT)
        name = key if "." in key else f"training.{key}"
        section, _, option = name.partition(".")
        if section != "training":
            raise ConfigurationError(
                f"{name} cannot be swept: validation losses on other rows are not comparable",
                hint=f"Sweep over options of training. {_HINT}",
            )
        if option not in TrainingSection.model_fields:
            alike = nearest(option, TrainingSection.model_fields)
            meant = f"Did you mean {alike}? " if alike else ""
            raise ConfigurationError(f"there is no option {name}", hint=f"{meant}{_HINT}")
        if name in found:
            raise ConfigurationError(f"{name} is swept twice", hint="List all of its values once.")
        if len({json.dumps(value) for value in values}) < len(values):
            raise ConfigurationError(f"{word!r} has a value twice", hint="List each value once.")
        found[name] = values
    if not found:
        raise ConfigurationError("there is nothing to sweep over", hint=_HINT)
    return found


def points_of(dimensions: Mapping[str, Sequence[JsonValue]]) -> list[SweepPoint]:
    """All combinations, in the order of the dimensions.

    Raises:
        ConfigurationError: there are too many.
    """
    count = 1
    for values in dimensions.values():
        count *= len(values)
    if count > _MOST:
        raise ConfigurationError(
            f"{count:,} combinations are more than {_MOST:,}", hint="Sweep over fewer values at once."
        )
    keys = list(dimensions)
    return [
        SweepPoint(dict(zip(keys, values, strict=True))) for values in itertools.product(*dimensions.values())
    ]


def recipe_of(recipe: Recipe, point: SweepPoint, *, max_steps: int | None = None) -> Recipe:
    """The recipe of a trial.

    Args:
        recipe: of the sweep.
        point: its values.
        max_steps: at which it ends; None for the recipe's own.

    Raises:
        RecipeError: a value is wrong.
    """
    over: JsonObject = nested(point.values)
    if max_steps is not None:
        over = merged(over, {"training": {"max_steps": max_steps}})
    content: JsonRow = merged(recipe.model_dump(mode="json"), over)
    return parse_recipe(content, where=point.label)


def _value(word: str, text: str) -> JsonValue:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigurationError(f"{word!r} has a value that is not YAML", hint=_HINT) from None
    if isinstance(value, str):
        # YAML takes 1e-4, without a point, for text.
        try:
            return float(value)
        except ValueError:
            return value
    if value is None or isinstance(value, int | float | bool):
        return value
    raise ConfigurationError(f"{word!r} has a value that is no number and no word", hint=_HINT)
