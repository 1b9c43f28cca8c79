"""Recipes read from files, with every fault of one file at once."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.runs.recipe import SCHEMA_VERSION, Gate, Recipe, merged
from lawtags_client.runs.recipe_curation import SECTION, curation_faults, curation_remedy
from lawtags_client.runs.recipe_faults import (
    CORRECT,
    RecipeFault,
    faults_of,
    faulty,
    names,
    nearest,
    remedy,
)
from lawtags_client.runs.recipe_text import RecipeText

_SUFFIXES = (".yaml", ".yml")
_MOST_FILES = 1000


def bundled() -> dict[str, Path]:
    """Recipes that come with lawtags, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.yaml"))}


def load_recipe(source: str | Path, overrides: JsonObject | None = None) -> Recipe:
    """Read a recipe from a file, or one of the bundled ones by its name.

    Args:
        source: path of a YAML file, or a bundled name such as ``smollm2-demo``.
        overrides: values that replace the file's, as a nested mapping.

    Raises:
        ConfigurationError: the file is missing, or is not YAML.
        RecipeError: it has unknown or wrong keys.
    """
    path = find_recipe(source)
    text = RecipeText.read(path)
    content = text.content()
    if content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version")
        told = "missing" if found is None else f"{found!r}; expected {SCHEMA_VERSION}"
        raise ConfigurationError(
            f"{text.place(('schema_version',))}: schema_version is {told}",
            hint=f"Write schema_version: {SCHEMA_VERSION} in its first line.",
        )
    return validated_recipe(merged(content, overrides or {}), where=text, overrides=overrides)


def validated_recipe(
    content: JsonObject, *, where: RecipeText | str, overrides: JsonObject | None = None
) -> Recipe:
    """Check a recipe, with the options of its curation and the figures of its gates.

    Args:
        content: the recipe, with the overrides merged in.
        where: the file that it was read from, or what else names it in messages.
        overrides: what comes from ``--set`` instead of the file.

    Raises:
        RecipeError: names all wrong keys and values in the order of their lines.
    """
    recipe, faults = None, list[RecipeFault]()
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as problem:
        faults = faults_of(problem, Recipe)
    hints = [remedy(faults, Recipe)] if faults else []
    gates = list(_gate_faults(content.get("gates")))
    if gates:
        hints.append(CORRECT)
    curation = content.get(SECTION)
    if isinstance(curation, Mapping) and (wrong := curation_faults(curation, names(Recipe))):
        gates += wrong
        hints.append(curation_remedy(wrong))
    if recipe is None or gates:
        once = " ".join(dict.fromkeys(hints))
        raise faulty([*faults, *gates], where, overrides or {}, hint=once)
    return recipe


def find_recipe(source: str | Path) -> Path:
    """The file of a recipe.

    Args:
        source: its path, or a bundled name.

    Raises:
        ConfigurationError: there is none.
    """
    path = Path(source)
    if path.is_file():
        return path
    known = bundled()
    if str(source) in known:
        return known[str(source)]
    alike = _sibling(path) or nearest(str(source), known)
    meant = f"Did you mean {alike}? " if alike else ""
    raise ConfigurationError(
        f"{str(source)!r} is a folder" if path.is_dir() else f"there is no recipe {str(source)!r}",
        hint=f"{meant}Pass a YAML file, or one of: {', '.join(known) or 'none bundled'}",
    )


def _sibling(path: Path) -> str | None:
    """The recipe in the same folder that was probably meant: another suffix, or a similar name."""
    for suffix in _SUFFIXES:
        for other in (path.with_suffix(suffix), path.with_name(f"{path.name}{suffix}")):
            if other.is_file():
                return str(other)
    if not path.parent.is_dir():
        return None
    found = itertools.islice(path.parent.iterdir(), _MOST_FILES)
    recipes = {other.name: other for other in sorted(found) if other.suffix in _SUFFIXES}
    alike = difflib.get_close_matches(path.name, recipes, n=1, cutoff=0.8)
    return str(recipes[alike[0]]) if alike else None


def _gate_faults(gates: JsonValue) -> Iterator[RecipeFault]:
    if not isinstance(gates, list) or not gates:
        return
    # Only here: it imports what a verdict is made of.
    from lawtags_client.runs.gates import gate_fault

    for number, content in enumerate(gates):
        try:
            fault = gate_fault(Gate.model_validate(content), number)
        except ValidationError:
            continue  # Already among the faults of the whole.
        if fault is not None:
            yield fault
