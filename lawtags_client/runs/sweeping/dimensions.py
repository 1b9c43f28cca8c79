"""The dimensions of a sweep: keys of a recipe, and the values that each of them takes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

import yaml

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.runs.recipe_faults import nearest
from lawtags_client.runs.recipe_keys import recipe_keys
from lawtags_client.runs.sweeping.reach import SWEPT, why_not

_HINT = "For example: --over learning_rate=1e-4,3e-4 adapter_dim=8,32 seed=1,2,3"
# Commas between values, but not those within a list.
_COMMA = re.compile(r",(?![^\[\]]*\])")
# YAML reads these words as true and false; a recipe has them as words.
_WORDS = frozenset({"on", "off", "yes", "no"})


def parse_dimensions(words: Iterable[str]) -> dict[str, list[JsonValue]]:
    """The values of each dimension, by its dotted key.

    Args:
        words: each ``key=value,value``, a list in brackets. A key without its section is one of ``training``,
            or of the only other section that has it.

    Raises:
        ConfigurationError: a word is of another form, or its key cannot be swept.
    """
    known = [key.name for key in recipe_keys() if not key.section and "[]" not in key.name]
    found: dict[str, list[JsonValue]] = {}
    for word in words:
        asked, equals, listed = word.partition("=")
        values = [_value(word, part) for part in _COMMA.split(listed) if part.strip()]
        if not equals or not values:
            raise ConfigurationError(f"{word!r} is not of the form key=value,value", hint=_HINT)
        key = _key(asked.strip(), known)
        if (reason := why_not(key)) is not None:
            raise ConfigurationError(
                f"{key} cannot be swept: {reason}", hint=f"What can be swept: keys of {SWEPT}."
            )
        if key in found:
            raise ConfigurationError(f"{key} is swept twice", hint="List all of its values once.")
        if len({json.dumps(value) for value in values}) < len(values):
            raise ConfigurationError(f"{word!r} has a value twice", hint="List each value once.")
        found[key] = values
    if not found:
        raise ConfigurationError("there is nothing to sweep over", hint=_HINT)
    return found


def _key(asked: str, known: Collection[str]) -> str:
    """The dotted key that a word means."""
    if asked in known:
        return asked
    if f"training.{asked}" in known:
        return f"training.{asked}"
    # A section of gates is a list, and has no keys of its own.
    if asked.partition(".")[0] == "gates":
        return "gates"
    ends = [key for key in known if key.endswith(f".{asked}")]
    swept = [key for key in ends if why_not(key) is None]
    if len(swept) > 1:
        raise ConfigurationError(
            f"several sections have a key {asked}", hint=f"Write one of: {', '.join(swept)}."
        )
    if ends:
        return (swept or ends)[0]
    raise ConfigurationError(f"there is no key {asked}", hint=f"{_meant(asked, known)}{_HINT}")


def _meant(asked: str, known: Collection[str]) -> str:
    section, _, option = asked.rpartition(".")
    beside = [key for key in known if section and key.rpartition(".")[0] == section]
    names = {key.rpartition(".")[2]: key for key in reversed(beside or list(known)) if why_not(key) is None}
    found = nearest(option, names)
    if found is None:
        return ""
    key = names[found]
    return f"Did you mean {found if key == f'training.{found}' else key}? "


def _value(word: str, text: str) -> JsonValue:
    if text.strip().lower() in _WORDS:
        return text.strip()
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigurationError(f"{word!r} has a value that is not YAML", hint=_HINT) from None
    if isinstance(value, str):
        # YAML takes 1e-4, without a point, for text.
        try:
            return float(value)
        except ValueError:
            return value
    if value is None or isinstance(value, int | float | bool):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return list(value)
    raise ConfigurationError(
        f"{word!r} has a value that is no number, no word and no list of words", hint=_HINT
    )
