"""New recipes, and recipes checked without running them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError, RecipeError
from lawtags_client.files import atomic_write_text
from lawtags_client.json_value import JsonObject
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.recipe_loading import find_recipe, load_recipe
from lawtags_client.runs.recipe_schema import FILE, MODELINE, recipe_schema

_NAME = re.compile(r"^name: .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CheckedRecipe:
    """What a check of a recipe found.

    Args:
        source: the file, or the bundled name.
        faults: what is wrong, one line each.
        hint: what to do about it.
        recipe: what was read; None if something is wrong.
    """

    source: str
    faults: tuple[str, ...]
    hint: str | None
    recipe: Recipe | None

    def as_json(self) -> JsonObject:
        """The result as one JSON object."""
        name = self.recipe.name if self.recipe else None
        return {
            "source": self.source,
            "valid": not self.faults,
            "name": name,
            "faults": list(self.faults),
            "hint": self.hint,
        }


def check_recipe(source: str, overrides: JsonObject | None = None) -> CheckedRecipe:
    """Check a recipe without running it.

    Args:
        source: path of a YAML file, or a bundled name.
        overrides: values that replace the file's.
    """
    try:
        return CheckedRecipe(source, (), None, load_recipe(source, overrides))
    except RecipeError as problem:
        return CheckedRecipe(source, problem.faults, problem.hint, None)
    except ConfigurationError as problem:
        return CheckedRecipe(source, (problem.message,), problem.hint, None)


def write_recipe(path: Path, template: str) -> list[Path]:
    """Write a recipe to begin with, and the schema by which an editor checks it.

    Args:
        path: of the new file.
        template: the recipe to copy, with its comments: a file or a bundled name.

    Returns:
        The files written.

    Raises:
        ConfigurationError: the file exists, or the template is wrong.
    """
    if path.exists():
        raise ConfigurationError(f"{path} exists", hint="Choose another name, or remove it first.")
    load_recipe(template)
    text = find_recipe(template).read_text(encoding="utf-8-sig").removeprefix(MODELINE)
    # The runs of a copy get a name of their own.
    text = _NAME.sub(f"name: {_recipe_name(path)}", text, count=1)
    schema = path.parent / FILE
    atomic_write_text(schema, json.dumps(recipe_schema(), indent=2) + "\n")
    atomic_write_text(path, MODELINE + text)
    return [path, schema]


def _recipe_name(path: Path) -> str:
    slug = re.sub(r"[^a-z0-9._-]+", "-", path.name.partition(".")[0].lower()).strip("-._")
    return slug[:64] or "recipe"
