"""``--set a.b=value``: single values of a recipe or of options, replaced on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from lawtags_client.errors import ConfigurationError


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Turn ``a.b=value`` words into a nested mapping; values are read as YAML.

    Raises:
        ConfigurationError: a word has no value, or its value is no YAML.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"--set {setting}: no value", hint="Write it as --set training.epochs=3")
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError as problem:
            raise ConfigurationError(f"--set {setting}: {problem}") from None
        for part in reversed(key.split(".")):
            read = {part: read}
        overrides = merged(overrides, read)
    return overrides


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, mappings within mappings included."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
