"""Holding answers to calls of tools: a grammar for each choice of tools, with their schemas in it."""

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
    """A choice in a message between processes."""

    mode: Choice
    name: NotRequired[str | None]
    parallel: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which calls an answer may or must have.

    Args:
        mode: ``auto`` leaves it to the model, ``none`` forbids calls, ``required`` asks for one at least.
        name: the one function that may be called; None allows all.
        parallel: whether an answer may have more than one call.
    """

    mode: Choice = "auto"
    name: str | None = None
    parallel: bool = True

    @classmethod
    def from_json(cls, value: ToolChoiceFields) -> ToolChoice:
        """Read what a message between processes holds."""
        return cls(value["mode"], value.get("name"), bool(value.get("parallel", True)))


def call_grammar(
    tools: Sequence[Tool], choice: ToolChoice, form: CallFormat, *, open_arguments: bool = False
) -> str:
    """A grammar in llguidance's dialect of Lark.

    Args:
        tools: what is offered.
        choice: which calls there may or must be.
        form: how they are written.
        open_arguments: hold the arguments to JSON objects, but not to their schemas.
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
        # Nothing marks the beginning of a call: any other text may begin like one.
        return "\n".join(["start: calls | TEXT", *rules, text, ""])
    # A lazy lexeme ends at the first trigger, so an answer that begins a call goes on as one.
    behind = form.lead.partition(form.trigger)[2]
    head = f"head[lazy]: TEXT {_literal(form.trigger)}"
    return "\n".join([f"start: head {_literal(behind)} calls | tail", head, "tail: TEXT", *rules, text, ""])


def _literal(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _pattern(text: str) -> str:
    """A text as a regular expression of Lark, in which a slash ends the expression."""
    return "".join(f"\\{each}" if each in "\\.+*?()|[]{}^$/" else each for each in text)


def _styled(schema: JsonObject, form: CallFormat) -> JsonObject:
    """A schema that is to be written as the template writes arguments; unknown keywords do not matter."""
    item, key = form.separators
    style: JsonObject = {
        "whitespace_flexible": False,
        "item_separator": item,
        "key_separator": key,
        "lenient": True,
    }
    return {**({"type": "object"} if "type" not in schema else {}), **schema, "x-guidance": style}
