"""Masks secrets in responses."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue

MASK = "******"
_DEEPEST = 200
_SECRETS = frozenset({"api_key", "hf_token"})


def masked(document: JsonObject) -> JsonObject:
    """Replace the values of ``api_key`` and ``hf_token`` with ``******`` in a document.

    Values nested more than 200 levels deep are dropped.
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
