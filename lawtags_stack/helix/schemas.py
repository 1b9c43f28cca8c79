"""Request bodies of NeMo Helix, as pydantic types built from the schemas of its OpenAPI document."""

from __future__ import annotations

import enum
import functools
import json
from importlib.resources import files
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, ValidationError, create_model

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.checks import CHECKS
from lawtags_stack.helix.refusals import InvalidBodyError

NAME_PATTERN = r"^[a-z](?!.*--)[a-z0-9\-@.+_]{1,62}(?<!-)$"
_SEVEN_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Defaults that the service fills in, but its document does not declare.
_UNDECLARED: dict[tuple[str, str], JsonValue] = {
    ("UnslothLoRAParams", "target_modules"): [*_SEVEN_PROJECTIONS],
}
_FILLED_IN = {
    ("AutomodelTrainingSpec", "lora"): "AutomodelLoRAParams",
    ("UnslothTrainingSpec", "lora"): "UnslothLoRAParams",
}
_CONSTRAINTS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
}
_SCALARS: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_EMPTY: dict[str, type] = {"array": list, "object": dict}
_MOST_FAULTS = 100


def read_body(schema: str, value: JsonValue) -> JsonObject:
    """Validate a body, and return it with all defaults filled in.

    Args:
        schema: name of its schema in the OpenAPI document.
        value: the decoded JSON.

    Raises:
        InvalidBodyError: it is invalid; lists the faults as the real service does.
    """
    found: JsonObject = _validated(schema, value).model_dump(mode="json", by_alias=True)
    return found


def read_sent(schema: str, value: JsonValue) -> JsonObject:
    """Validate a body, and return only the fields that were sent.

    Raises:
        InvalidBodyError: see ``read_body``.
    """
    found: JsonObject = _validated(schema, value).model_dump(mode="json", exclude_unset=True, by_alias=True)
    return found


def body_type(schema: str) -> type[BaseModel]:
    """The pydantic type of a schema, built on first use."""
    kind: type[BaseModel] = _named(schema)
    return kind


def _validated(schema: str, value: JsonValue) -> BaseModel:
    try:
        return body_type(schema).model_validate(value, from_attributes=True)
    except ValidationError as error:
        faults = error.errors(include_url=False)[:_MOST_FAULTS]
        raise InvalidBodyError(
            [{**fault, "loc": ["body", *fault["loc"]], **_context(fault.get("ctx"))} for fault in faults]
        ) from None


def _context(context: dict[str, Any] | None) -> dict[str, Any]:
    if context is None:
        return {}
    plain = {key: {} if isinstance(each, Exception) else each for key, each in context.items()}
    return {"ctx": plain}


@functools.cache
def _schemas() -> dict[str, Any]:
    text = files("lawtags_stack.helix").joinpath("schemas.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@functools.cache
def _named(name: str) -> Any:
    schema = _schemas()[name]
    if "enum" in schema:
        return enum.Enum(name, {each: each for each in schema["enum"]}, type=str)
    if "properties" not in schema:
        # A type of its own, since errors name it.
        base: Any = RootModel[_kind(schema)]  # type: ignore[misc]
        return create_model(name, __base__=base)
    fields: dict[str, Any] = {}
    for field, described in schema["properties"].items():
        required = field in schema.get("required", ())
        default = ... if required else _default(name, field, described)
        fields[field] = (_kind(described), default)
    extra: Literal["allow", "ignore", "forbid"] = "ignore"
    if "additionalProperties" in schema:
        extra = "allow" if schema["additionalProperties"] else "forbid"
    config = ConfigDict(extra=extra, regex_engine="python-re", protected_namespaces=(), populate_by_name=True)
    base = type(name, (BaseModel,), {"model_config": config, "__module__": __name__})
    return create_model(name, __base__=base, __validators__=CHECKS.get(name, {}), **_aliased(fields))


def _aliased(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields whose names pydantic reserves, under another name with an alias."""
    found: dict[str, Any] = {}
    for name, (kind, default) in fields.items():
        if name in ("schema", "json", "copy") or name.startswith("_"):
            alias = Field(default if not callable(default) else ..., alias=name, serialization_alias=name)
            found[f"{name.strip('_')}_"] = (kind, alias)
        else:
            found[name] = (kind, default)
    return found


def _default(owner: str, field: str, described: dict[str, Any]) -> Any:
    if (owner, field) in _UNDECLARED:
        default = _UNDECLARED[owner, field]
        return Field(default_factory=lambda: default)
    if (owner, field) in _FILLED_IN:
        return Field(default_factory=_named(_FILLED_IN[owner, field]))
    if "default" in described:
        return Field(described["default"], validate_default=True)
    if "$ref" in described:
        kind = _kind(described)
        return Field(default_factory=kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    made = _EMPTY.get(described.get("type", ""))
    return None if made is None else Field(default_factory=made)


def _kind(schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _named(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return Literal[schema["const"]]
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        kind: Any = Union[tuple(_kind(each) for each in alternatives)]  # noqa: UP007
        if "discriminator" in schema:
            return Annotated[kind, Discriminator(schema["discriminator"]["propertyName"])]
        return kind
    return _constrained(_plain_kind(schema), schema)


def _plain_kind(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "null":
        return None
    if kind == "array":
        return list.__class_getitem__(_kind(schema["items"]) if "items" in schema else Any)
    if kind == "object":
        described = schema.get("additionalProperties", True)
        values = _kind(described) if isinstance(described, dict) else Any
        return dict.__class_getitem__((str, values))
    return _SCALARS.get(str(kind), Any)


def _constrained(kind: Any, schema: dict[str, Any]) -> Any:
    limits = {_CONSTRAINTS[key]: schema[key] for key in _CONSTRAINTS if key in schema}
    if limits.get("pattern") == NAME_PATTERN:
        limits.pop("max_length", None)  # part of the pattern, and reported as such
    if kind is int:
        limits = {key: int(each) for key, each in limits.items()}
    return Annotated[kind, Field(**limits)] if limits else kind
