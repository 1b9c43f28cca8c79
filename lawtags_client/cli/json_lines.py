"""Objects as lines of strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from lawtags_client.terminal import escape_controls


def json_line(value: Mapping[str, object]) -> str:
    """An object as one line of strict JSON that cannot steer a terminal."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str)
    return escape_controls(text) + "\n"


def _finite(value: object) -> object:
    # JSON has neither NaN nor infinity, and a diverged training has both.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
