"""The reference page of a recipe's keys, written from the classes that read them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from lawtags_client.json_value import JsonValue
from lawtags_client.runs.recipe_keys import RecipeKey, recipe_keys

_HEAD = """# Keys of a recipe

<!-- Written by scripts/write_recipe_reference.py; do not edit. -->

Every key, with its default and meaning. The columns v1 and Helix name the field of the request that
carries it to NeMo Microservices v1 or NeMo Helix; a key without one stays on your machine.
`lawtags recipe check FILE` checks a recipe, and `lawtags recipe schema` prints the
[JSON schema](recipe.schema.json) for editors.

"""


def reference_page() -> str:
    """The page, in Markdown."""
    keys = recipe_keys()
    sections = [key for key in keys if key.section]
    parts = [_HEAD, _table([key for key in keys if _parent(key) == ""])]
    for section in sections:
        own = [key for key in keys if _parent(key) == section.name]
        required = "" if not section.required else " It must be there."
        parts.append(f"\n## {section.name}\n\n{_sentence(section.meaning)}{required}\n\n{_table(own)}")
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _parent(key: RecipeKey) -> str:
    return key.name.rpartition(".")[0].removesuffix("[]")


def _table(keys: Iterable[RecipeKey]) -> str:
    keys = list(keys)
    wired = any(key.v1 or key.helix for key in keys)
    head = ["key", "value", "default", "meaning", *(["v1", "Helix"] if wired else [])]
    rows = [
        [
            f"`{key.name.rpartition('.')[2]}`",
            f"[section](#{key.name.replace('.', '')})" if key.section else key.kind,
            _default(key),
            key.meaning,
            *([_field(key.v1), _field(key.helix)] if wired else []),
        ]
        for key in keys
    ]
    return "\n".join(
        [
            _row(head),
            _row(["---"] * len(head)),
            *(_row([cell.replace("|", "\\|") for cell in r]) for r in rows),
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _default(key: RecipeKey) -> str:
    if key.required:
        return "required"
    return "" if key.section or key.default in (None, "", [], {}) else _written(key.default)


def _written(value: JsonValue) -> str:
    if isinstance(value, list):
        return ", ".join(_written(each) for each in value)
    # Quotes only where spaces would be lost otherwise.
    quoted = isinstance(value, str) and value != value.strip()
    return f"`{json.dumps(value) if quoted or not isinstance(value, str) else value}`"


def _field(name: str | None) -> str:
    if name is None:
        return "not sent"
    if name.startswith("none; "):
        return name.removeprefix("none; ")
    field, space, note = name.partition(" (")
    return ", ".join(f"`{each}`" for each in field.split(", ")) + (f"{space}{note}" if space else "")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
