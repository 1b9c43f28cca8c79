"""What runs were made with that is not the same in all of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.identity import SourceRecord, recorded_inputs
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.recipe import parse_recipe

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class DifferingKey:
    """A key of the recipe, or another input, whose value is not the same in all runs.

    Attributes:
        key: with dots; ``data`` and ``test`` are the files of questions.
        values: in each run, in words.
    """

    key: str
    values: tuple[str, ...]


def differing_keys(folders: Sequence[Path]) -> list[DifferingKey]:
    """The keys that differ between runs, in the order of the recipe.

    Args:
        folders: of the runs.

    Raises:
        DataError: a ledger is damaged.
    """
    runs = [dict(_inputs(folder)) for folder in folders]
    keys = dict.fromkeys(key for run in runs for key in run)
    found = {key: [_plain(run.get(key)) for run in runs] for key in keys}
    return [
        DifferingKey(key, tuple(map(_words, values)))
        for key, values in found.items()
        if any(value != values[0] for value in values)
    ]


def _inputs(folder: Path) -> Iterator[tuple[str, JsonValue]]:
    ledger = Ledger(folder / "ledger.sqlite")
    yield from _leaves(_recipe(RunFacts.read(ledger).recipe or {}), "")
    inputs = recorded_inputs(ledger, folder)
    if inputs is not None:
        for part, sources in (("data", inputs.data), ("test", inputs.test)):
            if sources is not None:
                yield part, ", ".join(map(_named, sources)) or None


def _recipe(record: JsonObject) -> JsonObject:
    """A recorded recipe, with the defaults that its release did not know."""
    # A record that this release cannot read is compared as it stands.
    with contextlib.suppress(ConfigurationError):
        return parse_recipe(dict(record)).record()
    return record


def _leaves(content: JsonObject, prefix: str) -> Iterator[tuple[str, JsonValue]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            # An empty section says what an absent one says.
            yield f"{prefix}{name}", value or None if isinstance(value, Mapping | list) else value


def _named(source: SourceRecord) -> str:
    digest = f" (sha256 {source.sha256[:8]})" if source.sha256 else ""
    return f"{Path(source.source).name or source.source}{digest}"


def _plain(value: JsonValue) -> JsonValue:
    """A value without keys that are not set."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _words(value: JsonValue) -> str:
    if value is None:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= _SHOWN:
        return text
    # Two long values may differ at their end alone.
    return f"{text[:_SHOWN]}… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:8]})"
