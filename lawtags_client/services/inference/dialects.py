"""How each server is told what an answer must look like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.patterns import any_of

Guided: TypeAlias = Mapping[str, JsonValue] | Sequence[Mapping[str, JsonValue]]

_STRUCTURED = {
    "guided_choice": "choice",
    "guided_regex": "regex",
    "guided_json": "json",
    "guided_grammar": "grammar",
}


class Dialect(Enum):
    """Where in a request a constraint stands."""

    NVEXT = "nvext"
    """``nvext.guided_*``: NIM 1.x."""
    GUIDED = "guided"
    """``guided_*`` at the top level: vLLM before 0.11."""
    STRUCTURED = "structured_outputs"
    """``structured_outputs``: vLLM from 0.11 on, NIM from 2.0 on, the embedded stack."""
    SGLANG = "sglang"
    """``regex``, ``json_schema`` and ``ebnf`` at the top level; JSON in chats as ``response_format``."""
    RESPONSE_FORMAT = "response_format"
    """``response_format`` with a JSON schema: OpenAI, and what imitates it. It knows JSON alone."""


@dataclass(frozen=True, slots=True)
class Form:
    """Fields of a request that constrain its answer.

    Args:
        fields: to be added to the request.
        constraint: which of the constraints they put, under its name of ``guided_*``; None for none.
        value: of that constraint.
    """

    fields: Mapping[str, JsonValue]
    constraint: str | None = None
    value: JsonValue = None


FREE = Form({})


def alternatives(guided: Guided | None) -> list[Mapping[str, JsonValue]]:
    """The ways to put one constraint, the one to be preferred first."""
    return [guided] if isinstance(guided, Mapping) else list(guided or ())


def forms(dialect: Dialect, guided: Guided | None, *, chat: bool) -> list[Form]:
    """The fields that put a constraint in a dialect, in the order in which to try them.

    Args:
        dialect: the server's.
        guided: ``guided_regex`` or the like, and what else the request needs then; or several such, the one
            to be preferred first.
        chat: whether the request is a chat.

    Returns:
        nothing, where the dialect knows none of the constraints.
    """
    wanted = alternatives(guided)
    if dialect is Dialect.SGLANG and chat:
        # A chat's own field for constraints is the response format, which knows JSON alone.
        wanted = sorted(wanted, key=lambda alternative: "guided_json" not in alternative)
    found = []
    for alternative in wanted:
        (name,) = [name for name in alternative if name.startswith("guided_")] or [""]
        fields = _put(dialect, name, alternative.get(name), chat=chat)
        if fields is not None:
            rest = {key: value for key, value in alternative.items() if key != name}
            found.append(Form(rest | fields, name, alternative[name]))
    return found


def _put(dialect: Dialect, name: str, value: JsonValue, *, chat: bool) -> dict[str, JsonValue] | None:
    if name not in _STRUCTURED:
        return None
    if dialect is Dialect.NVEXT:
        return {"nvext": {name: value}}
    if dialect is Dialect.GUIDED:
        return {name: value}
    if dialect is Dialect.STRUCTURED:
        return {"structured_outputs": {_STRUCTURED[name]: value}}
    if dialect is Dialect.RESPONSE_FORMAT or (chat and name == "guided_json"):
        return _response_format(name, value)
    if name == "guided_json":
        return {"json_schema": value if isinstance(value, str) else json.dumps(value)}
    if name == "guided_grammar":
        return {"ebnf": value}
    return {"regex": value if name == "guided_regex" else any_of(choices(value))}


def _response_format(name: str, value: JsonValue) -> dict[str, JsonValue] | None:
    if name != "guided_json":
        return None
    wanted: dict[str, JsonValue] = {"name": "answer", "schema": _schema(value), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


def _schema(value: JsonValue) -> Mapping[str, JsonValue]:
    try:
        schema: JsonValue = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, Mapping):
        raise ConfigurationError(
            "guided_json is not a JSON schema", hint="Pass a dictionary, or its text as JSON."
        )
    return schema


def choices(value: JsonValue) -> list[str]:
    """The texts of a ``guided_choice``.

    Raises:
        ConfigurationError: it is not a list of texts.
    """
    texts = [] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
    found = [text for text in texts if isinstance(text, str)]
    if not found or len(found) < len(texts):
        raise ConfigurationError(
            "guided_choice is not a list of texts", hint='Pass a list like ["yes", "no"].'
        )
    return found


# Each dialect is asked for a text of its own, short enough for any tokenizer, that no model writes unasked.
_PROBES = {
    Dialect.STRUCTURED: "QZ7XJ",
    Dialect.NVEXT: "QZ3VK",
    Dialect.GUIDED: "QZ9WJ",
    Dialect.SGLANG: "QZ4XV",
}


def probe_fields() -> dict[str, JsonValue]:
    """The fields of the one request that tells dialects apart: servers pass over those they do not know."""
    fields: dict[str, JsonValue] = {}
    for dialect, text in _PROBES.items():
        fields |= _put(dialect, "guided_regex", text, chat=False) or {}
    return fields


def probed(text: str) -> Dialect | None:
    """The dialect that constrained an answer to ``probe_fields``; None if it was not constrained."""
    return next((dialect for dialect, wanted in _PROBES.items() if text.strip() == wanted), None)


def unrefused(message: str) -> Dialect | None:
    """The dialect whose fields alone are not named by a server's refusal of ``probe_fields``.

    A server that names one field at a time leaves several, and nothing is known.
    """

    def fields(dialect: Dialect) -> Iterable[str]:
        return _put(dialect, "guided_regex", "", chat=False) or {}

    # A word of its own: "regex" is part of "guided_regex".
    words = set(re.findall(r"\w+", message))
    named = {dialect for dialect in _PROBES if not words.isdisjoint(fields(dialect))}
    left = [dialect for dialect in _PROBES if dialect not in named]
    return left[0] if len(left) == 1 else None
