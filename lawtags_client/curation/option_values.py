"""Building options from a decoded recipe, with errors that name the option."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from lawtags_client.errors import ConfigurationError

T = TypeVar("T")

_LARGEST_INTEGER = 2**53 - 1
_NO_GROUPS: Mapping[str, type[object]] = MappingProxyType({})


def build_options(
    cls: type[T], values: object, where: str, groups: Mapping[str, type[object]] = _NO_GROUPS
) -> T:
    """Build a dataclass of options from decoded values, checking names and types.

    Args:
        cls: the dataclass.
        values: option to value.
        where: the dotted name of the dataclass in a recipe, for error messages.
        groups: options that are dataclasses themselves.

    Raises:
        ConfigurationError: an option is unknown, or a value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of options", hint="Write one option per line.")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in values if name not in fields)
    if unknown:
        raise ConfigurationError(
            f"unknown options of {where}: {', '.join(unknown)}", hint=f"Known: {', '.join(fields)}."
        )
    read: dict[str, object] = {}
    for name, value in values.items():
        place = f"{where}.{name}"
        group = groups.get(name)
        read[name] = (
            build_options(group, value, place) if group else _value(str(fields[name].type), value, place)
        )
    return cls(**read)


def _value(kind: str, value: object, place: str) -> object:
    # Recipes are YAML: without this check, a wrong type would surface much later, in a worker.
    def wrong(expected: str) -> ConfigurationError:
        # A key of digits alone is a number in YAML, but still a secret.
        shown = "Put it in quotes." if place.endswith(".key") else f"It is {value!r}."
        return ConfigurationError(f"{place} must be {expected}", hint=shown)

    optional = kind.endswith("| None")
    bare = kind.removesuffix("| None").strip()
    if value is None:
        if optional:
            return None
        raise wrong("given")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if bare == "bool" and not isinstance(value, bool):
        raise wrong("true or false")
    if bare == "int" and (not number or not isinstance(value, int)):
        raise wrong("a whole number")
    if bare == "float" and not number:
        raise wrong("a number")
    if bare in ("int", "float") and not math.isfinite(value):  # type: ignore[arg-type]
        raise wrong("a finite number")
    if bare == "int" and abs(value) > _LARGEST_INTEGER:  # type: ignore[arg-type]
        raise wrong(f"at most {_LARGEST_INTEGER}")
    if bare.startswith("tuple["):
        if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
            raise wrong("a list of strings")
        return tuple(value)
    if bare.startswith("Mapping["):
        if not isinstance(value, Mapping) or not all(
            isinstance(part, str) for pair in value.items() for part in pair
        ):
            raise wrong("a mapping of strings to strings")
        return MappingProxyType(dict(value))
    if (
        bare == "str" or bare in ("Links", "Action", "Format", "OnBadRow", "Order", "SplitBy")
    ) and not isinstance(value, str):
        raise wrong("a string")
    return value
