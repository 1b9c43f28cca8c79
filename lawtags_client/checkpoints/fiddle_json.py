"""The ``io.json`` of NeMo 2: a configuration in the JSON of the library Fiddle, written without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lawtags_client.json_value import JsonValue

_FIDDLE = "fiddle._src.config"


@dataclass(frozen=True, slots=True)
class Importable:
    """A class, function or constant of Python.

    Args:
        name: module and name, joined by a dot.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Configured:
    """A class with arguments.

    Args:
        kind: the class: module and name, joined by a dot.
        arguments: name to value.
    """

    kind: str
    arguments: Mapping[str, ConfigValue]


ConfigValue = str | int | float | bool | None | tuple[int, ...] | Sequence[str] | Importable | Configured


def fiddle_json(root: Configured) -> dict[str, JsonValue]:
    """What ``fiddle.serialization.dump_json`` writes for a configuration.

    Args:
        root: the configuration.
    """
    objects: dict[str, JsonValue] = {}
    reference = _written(root, "<root>", objects)
    counts: dict[str, JsonValue] = dict.fromkeys(objects, 1)
    return {"root": reference, "objects": objects, "refcounts": counts, "version": "0.0.1"}


def _written(value: ConfigValue, path: str, objects: dict[str, JsonValue]) -> JsonValue:
    if isinstance(value, Importable):
        return _imported(value.name) | {"paths": [path]}
    if isinstance(value, Configured):
        return _refer(_config(value, path, objects), value.kind.rpartition(".")[2], objects)
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        items: list[JsonValue] = [
            [f"Index(index={place})", _leaf(each, f"{path}[{place}]")] for place, each in enumerate(value)
        ]
        made: dict[str, JsonValue] = {"type": _imported(f"builtins.{kind}"), "items": items}
        return _refer(made | {"metadata": None, "paths": [path]}, kind, objects)
    return _leaf(value, path)


def _leaf(value: object, path: str) -> dict[str, JsonValue]:
    plain = value if isinstance(value, str | int | float | bool | None) else str(value)
    return {"type": "leaf", "value": plain, "paths": [path]}


def _imported(name: str) -> dict[str, JsonValue]:
    module, _, symbol = name.rpartition(".")
    return {"type": "pyref", "module": module, "name": symbol}


def _refer(made: JsonValue, hint: str, objects: dict[str, JsonValue]) -> JsonValue:
    key = f"{hint.lower()}_{1 + sum(name.startswith(hint.lower()) for name in objects)}"
    objects[key] = made
    return {"type": "ref", "key": key}


def _config(value: Configured, path: str, objects: dict[str, JsonValue]) -> JsonValue:
    items: list[JsonValue] = [
        [f"Attr(name='{name}')", _written(each, f"{path}.{name}", objects)]
        for name, each in value.arguments.items()
    ]
    names: list[JsonValue] = [[f"Index(index={place})", name] for place, name in enumerate(value.arguments)]
    nothing: dict[str, JsonValue] = {"type": _imported("builtins.tuple"), "items": [], "metadata": None}
    empty: dict[str, JsonValue] = {"type": _imported("builtins.dict"), "items": [], "metadata": nothing}
    metadata: dict[str, JsonValue] = {
        "type": _imported(f"{_FIDDLE}.BuildableTraverserMetadata"),
        "items": [
            ["Attr(name='fn_or_cls')", _imported(value.kind)],
            ["Attr(name='argument_names')", nothing | {"items": names}],
            ["Attr(name='argument_tags')", empty],
            ["Attr(name='argument_history')", empty],
        ],
        "metadata": _imported(f"{_FIDDLE}.BuildableTraverserMetadata"),
    }
    return {"type": _imported(f"{_FIDDLE}.Config"), "items": items, "metadata": metadata, "paths": [path]}
