"""The combinations of a sweep."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject, JsonRow, JsonValue
from lawtags_client.runs.recipe import Recipe, merged, nested
from lawtags_client.runs.recipe_loading import validated_recipe

SEED = "training.seed"
_MOST = 1000


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
    def curation(self) -> SweepPoint:
        """The part of it that decides how the rows are curated."""
        return SweepPoint({key: value for key, value in self.values.items() if key.startswith("curation.")})

    @property
    def label(self) -> str:
        """The values in words."""
        return " ".join(f"{key.rpartition('.')[2]}={_word(value)}" for key, value in self.values.items())

    @property
    def group(self) -> str:
        """The label without the seed: points that differ in it alone are compared by their mean."""
        return SweepPoint({key: value for key, value in self.values.items() if key != SEED}).label


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
    return validated_recipe(content, where=point.label)


def _word(value: JsonValue) -> str:
    """A value as it is written in a sweep."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
