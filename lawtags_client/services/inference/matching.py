"""Whether a text is what it was asked to be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from lawtags_client.services.inference.dialects import Form, choices

__all__ = ["matches_constraint"]

_NO_JSON = object()
_NUMBERS = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": _NUMBERS,
    "number": _NUMBERS,
}
_LOOKED_AT = {"type", "enum", "required", "properties", "additionalProperties", "title", "description"}
# A longer text is no answer to any constraint of ours, and would take long to compare.
_MOST_CHARACTERS = 20_000


def matches_constraint(text: str, form: Form, cut: bool) -> bool | None:
    """Compare a text with the constraint of a form.

    Args:
        text: the answer.
        form: what was asked for.
        cut: whether the text was cut off before its end.

    Returns:
        None, where it cannot be told: a grammar, a pattern in another syntax, the beginning of a match, JSON
        of the right type.
    """
    text = text.strip()
    if form.constraint == "guided_choice":
        if cut and not text:
            return None
        return any(
            choice.strip().startswith(text) if cut else choice.strip() == text
            for choice in choices(form.value)
        )
    if form.constraint == "guided_json":
        return _may_be(text, form.value, cut)
    regex = form.value if form.constraint == "guided_regex" else None
    if isinstance(regex, str) and not cut and len(text) <= _MOST_CHARACTERS:
        pattern = _compiled(regex)
        # Blanks at either end may be part of the pattern, or of how the server shows answers.
        return pattern and any(pattern.fullmatch(each) is not None for each in (text, f" {text}"))
    return None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _may_be(text: str, schema: object, cut: bool) -> bool | None:
    """False where a text cannot follow a schema by its type, its values or its required keys."""
    if isinstance(schema, str):
        schema = _json(schema)
    rules = schema if isinstance(schema, dict) else {}
    if cut:
        opening = {"object": "{", "array": "[", "string": '"'}.get(str(rules.get("type")))
        return False if text and opening is not None and not text.startswith(opening) else None
    value = _json(text)
    if value is _NO_JSON:
        return False
    if not _follows(value, rules):
        return False
    return True if _is_plain(rules) else None


def _is_plain(rules: Mapping[str, object]) -> bool:
    """Whether a schema has no rules but those that are looked at."""
    properties = rules.get("properties", {})
    return (
        rules.keys() <= _LOOKED_AT
        and (rules.get("type") is None or str(rules["type"]) in _TYPES)
        and isinstance(rules.get("additionalProperties", True), bool)
        and isinstance(properties, dict)
        and all(isinstance(inner, dict) and _is_plain(inner) for inner in properties.values())
    )


def _follows(value: object, rules: Mapping[str, object]) -> bool:
    types = _TYPES.get(str(rules.get("type")))
    if types is not None and not isinstance(value, types):
        return False
    if isinstance(value, bool) and types == _NUMBERS:
        return False
    if isinstance(values := rules.get("enum"), list) and value not in values:
        return False
    if not isinstance(value, dict):
        return True
    required, properties = rules.get("required"), rules.get("properties")
    if isinstance(required, list) and not all(key in value for key in required):
        return False
    known = properties if isinstance(properties, dict) else {}
    if rules.get("additionalProperties") is False and not all(key in known for key in value):
        return False
    pairs = ((value[key], inner) for key, inner in known.items() if key in value)
    return all(_follows(each, inner) for each, inner in pairs if isinstance(inner, dict))


@lru_cache(maxsize=32)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None
