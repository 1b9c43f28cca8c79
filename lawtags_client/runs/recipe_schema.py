"""The JSON schema of a recipe, for editors that complete and check YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.recipe_curation import SECTION
from lawtags_client.runs.recipe_keys import RecipeKey, option_schema, recipe_keys

FILE = "lawtags-recipe.schema.json"
"""What the schema is called beside a recipe."""

MODELINE = f"# yaml-language-server: $schema=./{FILE}\n"
"""The line of a recipe by which editors find its schema."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """The schema, with the meaning of each key."""
    from lawtags_client.curation import CurationOptions

    schema, curation = Recipe.model_json_schema(), option_schema(CurationOptions)
    definitions = schema["$defs"] | curation.pop("$defs") | {"CurationOptions": curation}
    schema["properties"][SECTION] = {"$ref": "#/$defs/CurationOptions"}
    for each in (schema, *definitions.values()):
        each.pop("description", None)
        if each.get("type") == "object":
            each["additionalProperties"] = False
    for key in recipe_keys():
        _describe(schema, definitions, key)
    _leave_out_titles(schema)
    _leave_out_titles(definitions)
    # YAML reads an unquoted off as false.
    tune = definitions["EncoderSection"]["properties"]["tune"]
    tune["enum"].append(False)
    del tune["type"]
    return {"$schema": _DIALECT, "title": "lawtags recipe", **schema, "$defs": definitions}


def _describe(schema: dict[str, Any], definitions: dict[str, Any], key: RecipeKey) -> None:
    place = schema
    *sections, name = key.name.replace("[]", "").split(".")
    for section in sections:
        found = place["properties"][section]
        reference = found.get("$ref") or found.get("items", {}).get("$ref") or _first(found)
        place = definitions[reference.rpartition("/")[2]]
    wire = f" Sent to v1 as {key.v1}." if key.v1 else ""
    place["properties"][name]["description"] = key.meaning + wire


def _first(shape: dict[str, Any]) -> str:
    return next(str(each["$ref"]) for each in shape["allOf"])


def _leave_out_titles(schema: dict[str, Any]) -> None:
    """Titles of pydantic repeat the names of keys, and hide the descriptions in editors."""
    for each in _objects(schema):
        if isinstance(each.get("title"), str):
            del each["title"]


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
