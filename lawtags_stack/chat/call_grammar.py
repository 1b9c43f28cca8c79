"""Grammars that constrain an answer to valid tool calls, including the schemas of the tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from lawtags_client.json_value import JsonObject
from lawtags_stack.chat.call_format import CallFormat
from lawtags_stack.chat.messages import Tool

Choice = Literal["auto", "none", "required"]
_ANY: JsonObject = {"type": "object"}


class ToolChoiceFields(TypedDict):
    """A tool choice in a message between processes."""

    mode: Choice
    name: NotRequired[str | None]
    parallel: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which calls an answer may or must contain.

    Args:
        mode: ``auto`` lets the model decide, ``none`` forbids calls, ``required`` requires at least one.
        name: the only function that may be called; None allows all.
        parallel: whether an answer may contain more than one call.
    """

    mode: Choice = "auto"
    name: str | None = None
    parallel: bool = True

    @classmethod
    def from_json(cls, value: ToolChoiceFields) -> ToolChoice:
        """Create a tool choice from a message between processes."""
        return cls(value["mode"], value.get("name"), bool(value.get("parallel", True)))


def call_grammar(
    tools: Sequence[Tool], choice: ToolChoice, form: CallFormat, *, open_arguments: bool = False
) -> str:
    """Build a grammar in llguidance's dialect of Lark.

    Args:
        tools: the tools that are offered.
        choice: which calls are allowed or required.
        form: the model's call format.
        open_arguments: require the arguments to be JSON objects, without enforcing their schemas.
    """
    text = "TEXT: /(.|\\n)*/"
    if choice.mode == "none":
        barred = _pattern(form.trigger)
        return f"start: TEXT\nTEXT: /(.|\\n)*/ & ~/(.|\\n)*{barred}(.|\\n)*/\n"
    offered = [tool["function"] for tool in tools if choice.name in (None, tool["function"]["name"])]
    more = f"({_literal(form.between)} call)*" if choice.parallel and form.between is not None else ""
    names = " | ".join(f"call_{index}" for index in range(len(offered)))
    rules = [f"calls: call {more} {_literal(form.tail)}", f"call: {names}"]
    for index, function in enumerate(offered):
        schema = _ANY if open_arguments else function.get("parameters") or _ANY
        head = form.opening + json.dumps(function["name"], ensure_ascii=False)[1:-1] + form.middle
        rules.append(f"call_{index}: {_literal(head)} arguments_{index} {_literal(form.closing)}")
        rules.append(f"arguments_{index}: %json {json.dumps(_styled(schema, form))}")
    if choice.mode == "required":
        return "\n".join([f"start: {_literal(form.lead)} calls", *rules, ""])
    if not form.lead.strip():
        # The call has no opening marker, so any other text may start like one.
        return "\n".join(["start: calls | TEXT", *rules, text, ""])
    # A lazy lexeme ends at the first trigger, so an answer that starts a call must complete it.
    behind = form.lead.partition(form.trigger)[2]
    head = f"head[lazy]: TEXT {_literal(form.trigger)}"
    return "\n".join([f"start: head {_literal(behind)} calls | tail", head, "tail: TEXT", *rules, text, ""])


def _literal(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _pattern(text: str) -> str:
    """Escape a text as a Lark regular expression, which a slash would end."""
    return "".join(f"\\{each}" if each in "\\.+*?()|[]{}^$/" else each for each in text)


def _styled(schema: JsonObject, form: CallFormat) -> JsonObject:
    """Add the template's JSON separators to a schema; llguidance ignores unknown keywords."""
    item, key = form.separators
    style: JsonObject = {
        "whitespace_flexible": False,
        "item_separator": item,
        "key_separator": key,
        "lenient": True,
    }
    return {**({"type": "object"} if "type" not in schema else {}), **schema, "x-guidance": style}
