"""Keeping secrets out of what is shown."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue

MASK = "******"
_DEEPEST = 200
_SECRETS = frozenset({"api_key", "hf_token"})


def masked(document: JsonObject) -> JsonObject:
    """A document in which ``api_key`` and ``hf_token`` read ``******`` wherever they are set.

    What is nested more than 200 levels deep, as rows of data sets may be, is left out.
    """
    return _object(document, 0)


def _object(document: JsonObject, depth: int) -> JsonObject:
    return {
        name: MASK if name in _SECRETS and inner is not None else _masked(inner, depth + 1)
        for name, inner in document.items()
    }


def _masked(value: JsonValue, depth: int) -> JsonValue:
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return _object(value, depth)
    if isinstance(value, list):
        return [_masked(each, depth + 1) for each in value]
    return value
