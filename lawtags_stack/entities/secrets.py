"""Keeping secrets out of what is shown."""

from __future__ import annotations

from typing import Any

MASK = "******"
_DEEPEST = 200
_SECRETS = frozenset({"api_key", "hf_token"})


def masked(value: Any, depth: int = 0) -> Any:
    """A document in which ``api_key`` and ``hf_token`` read ``******`` wherever they are set.

    What is nested more than 200 levels deep, as rows of data sets may be, is left out.
    """
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {
            name: MASK if name in _SECRETS and inner is not None else masked(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(each, depth + 1) for each in value]
    return value
