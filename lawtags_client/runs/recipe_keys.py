"""Every key of a recipe: its type, default and meaning, and what it is called on the wire.

All of it comes from the classes that read a recipe, so reference page and schema cannot differ from it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from lawtags_client.json_value import JsonValue
from lawtags_client.platform.helix_jobs import helix_names
from lawtags_client.runs.hyperparameters import V1_NAMES
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.recipe_curation import SECTION, groups_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic.fields import FieldInfo

_OTHER_V1: Mapping[str, str] = {
    "model.config": "config",
    "model.output": "output_model",
    "dataset.name": "dataset",
    "evaluation.platform_rows": "params.limit_samples (evaluation config)",
}
_OTHER_HELIX: Mapping[str, str] = {
    "model.config": "spec.model",
    "model.output": "spec.output.name",
    "dataset.name": "spec.dataset.training",
    "evaluation.platform_rows": "spec.params.limit_samples (evaluation job)",
}
_OF_CONFIG: Mapping[str, str] = {
    "training.micro_batch_size": "none; the config's training_options",
    "training.precision": "none; training_precision of the config",
    "training.max_seq_length": "none; max_seq_length of the config",
    "training.gradient_clip": "none; fixed by the platform",
}
_SCHEMAS: Mapping[str, str] = {"array": "list", "boolean": "true or false", "integer": "whole number"}
_ENTRY = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {8}.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeKey:
    """A key of a recipe.

    Args:
        name: with dots.
        kind: what its value is, in words.
        default: its value if it is left out.
        required: whether it must not be left out.
        meaning: what it does.
        v1: the field of the request to NeMo Microservices v1; None if it is not sent.
        helix: the field of the request to NeMo Helix; None if it is not sent.
        section: whether it holds further keys.
    """

    name: str
    kind: str
    default: JsonValue
    required: bool
    meaning: str
    v1: str | None = None
    helix: str | None = None
    section: bool = False


def recipe_keys() -> list[RecipeKey]:
    """All keys, in the order of the classes."""
    return list(_keys(Recipe, ""))


def meanings(cls: type[object]) -> dict[str, str]:
    """What a class says of its attributes, or of its arguments, by name."""
    text = inspect.getdoc(cls) or ""
    _, _, part = text.partition("Attributes:\n")
    if not part:
        _, _, part = text.partition("Args:\n")
    part = re.split(r"^\w+:\n", part, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: _unmarked(words) for name, words in _ENTRY.findall(part)}


def _unmarked(words: str) -> str:
    """Words of a docstring as Markdown."""
    plain = re.sub(r",? see\s+:\w+:`~?[\w.]+`", "", words)
    return " ".join(plain.replace("``", "`").split())


def _keys(model: type[BaseModel], prefix: str) -> Iterator[RecipeKey]:
    said, shapes = meanings(model), model.model_json_schema()
    for name, field in model.model_fields.items():
        place = f"{prefix}{name}"
        inner: object = next(iter(get_args(field.annotation)), field.annotation)
        part = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
        options = place == SECTION
        yield RecipeKey(
            name=place,
            kind="section" if part or options else _kind(shapes["properties"][name], shapes),
            default=None if part or options else _default(field),
            required=field.is_required(),
            meaning=said.get(name, ""),
            v1=_v1(place),
            helix=_helix(place),
            section=part is not None or options,
        )
        if options:
            from lawtags_client.curation import CurationOptions

            yield from _options(CurationOptions, f"{place}.")
        elif part is not None:
            yield from _keys(part, f"{place}[]." if get_args(field.annotation) else f"{place}.")


def _options(cls: type[DataclassInstance], prefix: str) -> Iterator[RecipeKey]:
    said, groups = meanings(cls), groups_of(cls)
    shapes = option_schema(cls)
    for field in dataclasses.fields(cls):
        place = f"{prefix}{field.name}"
        group = groups.get(field.name)
        yield RecipeKey(
            name=place,
            kind="section" if group else _kind(shapes["properties"][field.name], shapes),
            default=None if group else _plain(_value(field)),
            required=False,
            meaning=_first_sentence(group) if group else said.get(field.name, ""),
            section=group is not None,
        )
        if group:
            yield from _options(group, f"{place}.")


def option_schema(cls: type[DataclassInstance]) -> dict[str, Any]:
    """The JSON schema of a dataclass of options, as pydantic derives it from its types."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls).json_schema()


def _first_sentence(cls: type[object]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n\n")[0]


def _v1(place: str) -> str | None:
    section, _, key = place.partition(".")
    if section == "training" and key in V1_NAMES:
        return f"hyperparameters.{V1_NAMES[key]}"
    return _OTHER_V1.get(place) or _OF_CONFIG.get(place)


def _helix(place: str) -> str | None:
    section, _, key = place.partition(".")
    names = helix_names()
    name = names.get(V1_NAMES.get(key, key)) if section == "training" else None
    if name is not None:
        return ", ".join(f"spec.{part}" for part in name.split(", "))
    return _OTHER_HELIX.get(place)


def _kind(shape: Mapping[str, object], shapes: Mapping[str, object]) -> str:
    if "$ref" in shape:
        definitions = shapes.get("$defs")
        name = str(shape["$ref"]).rpartition("/")[2]
        found = definitions.get(name) if isinstance(definitions, Mapping) else None
        return _kind(found, shapes) if isinstance(found, Mapping) else name
    if isinstance(choices := shape.get("enum"), list):
        return ", ".join(f"`{each}`" for each in choices)
    if "const" in shape:
        return f"`{shape['const']}`"
    if isinstance(several := shape.get("anyOf"), list):
        kinds = [_kind(each, shapes) for each in several if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = str(shape.get("type", "any"))
    if kind == "object":
        return "mapping"
    bounds = _bounds(shape)
    return _SCHEMAS.get(kind, kind) + (f", {bounds}" if bounds else "")


def _bounds(shape: Mapping[str, object]) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
    }
    return ", ".join(text.format(shape[name]) for name, text in words.items() if name in shape)


def _default(field: FieldInfo) -> JsonValue:
    return None if field.is_required() else _plain(field.get_default(call_default_factory=True))


def _value(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    assert value is None or isinstance(value, str | int | float | bool)
    return value
