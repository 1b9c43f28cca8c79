"""``--set a.b=value``: single values of a recipe or of options, replaced on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonRow, JsonValue
from lawtags_client.runs.recipe import merged, nested


def parse_settings(settings: Iterable[str]) -> JsonRow:
    """Turn ``a.b=value`` words into a nested mapping; values are read as YAML.

    Raises:
        ConfigurationError: a word is not of this form, or its value is not YAML.
    """
    overrides: JsonRow = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        parts = key.split(".")
        if not equals or not all(parts):
            raise ConfigurationError(
                f"--set {key}: expected the form a.b=value", hint="Write it as --set training.epochs=3"
            )
        try:
            read: JsonValue = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            # The value may be a secret, so it is not repeated.
            raise ConfigurationError(
                f"--set {key}: the value is not YAML ({type(problem).__name__})", hint="Put it in quotes."
            ) from None
        overrides = merged(overrides, nested({key: read}))
    return overrides
