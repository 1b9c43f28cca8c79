"""A model's ``config.json``, which anyone may have written, read as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue

_MOST_BYTES = 16 << 20
_MOST_TOKENS = 1 << 40


def read_model_config(path: Path) -> dict[str, JsonValue]:
    """The content of a ``config.json``.

    Raises:
        DataError: it cannot be read, is too large, or is not a JSON object.
    """
    hint = "Download the model again."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"is larger than {_MOST_BYTES >> 20} MB", path=path, hint=hint)
        found: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", path=path, hint=hint) from error
    if not isinstance(found, dict):
        raise DataError("is not a JSON object", path=path, hint=hint)
    return found


def context_length(config: Mapping[str, JsonValue]) -> int | None:
    """The number of tokens that a model was made for; None if its config does not say.

    Args:
        config: as ``read_model_config`` returns it.
    """
    value = config.get("max_position_embeddings")
    return value if type(value) is int and 0 < value <= _MOST_TOKENS else None
