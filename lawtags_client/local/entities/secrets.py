"""Keeping secrets out of what is shown."""

from __future__ import annotations

from typing import Any

MASK = "******"
_SECRETS = frozenset({"api_key", "hf_token"})


def masked(value: Any) -> Any:
    """A document in which ``api_key`` and ``hf_token`` read ``******`` wherever they are set."""
    if isinstance(value, dict):
        return {
            name: MASK if name in _SECRETS and inner is not None else masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(each) for each in value]
    return value
