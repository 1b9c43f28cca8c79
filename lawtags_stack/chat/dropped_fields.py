"""Detects parts of a conversation that a chat template silently drops."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from lawtags_stack.chat.messages import Message, PlainToolCall, Tool
from lawtags_stack.chat.template import ChatTemplate, TemplateError


class DroppedFieldCheck:
    """Finds the first field of a conversation that a template drops.

    To see which fields a template renders, it renders a conversation of the same shape with a marker in
    each field; the result is cached per shape. To see what it cuts from a text, the output is searched for
    the text's lines.

    Args:
        template: the model's chat template.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._shapes: dict[tuple[object, ...], str | None] = {}

    def find(self, messages: Sequence[Message], tools: Sequence[Tool] | None, text: str) -> str | None:
        """Return the dropped field, e.g. ``messages[0].content``, or None if everything is rendered.

        Args:
            messages: in the form of ``plain_messages``.
            tools: the tools that are offered.
            text: the rendered conversation.
        """
        shape = (len(tools or ()), *(_shape(message) for message in messages))
        if shape not in self._shapes:
            self._shapes[shape] = self._dropped_by_shape(messages, tools)
        return self._shapes[shape] or self._dropped_from_texts(messages, text)

    def _dropped_by_shape(self, messages: Sequence[Message], tools: Sequence[Tool] | None) -> str | None:
        marked, places = _marked(messages)
        offered = [_marked_tool(index, tool, places) for index, tool in enumerate(tools or ())]
        try:
            text = self._template.render(self._template.prepared(marked, offered), offered)
        except TemplateError:
            return None  # some templates reject markers; the search for the texts still applies
        return next((field for field, mark in places if mark not in text), None)

    def _dropped_from_texts(self, messages: Sequence[Message], text: str) -> str | None:
        last = max((n for n, each in enumerate(messages) if each["role"] == "assistant"), default=-1)
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and index != last:
                continue  # templates may cut reasoning; markers prove the rest is shown
            if not all(_shown(line, text) for line in message["content"].splitlines()):
                return f"messages[{index}].content"
        for index, place, call in _numbered_calls(messages):
            if not all(_shown(each, text) for each in _leaves(call["function"]["arguments"])):
                return f"messages[{index}].tool_calls[{place}].function.arguments"
        return None


def _shape(message: Message) -> tuple[str, bool, int]:
    return message["role"], bool(message["content"]), len(message.get("tool_calls", ()))


def _marked(messages: Sequence[Message]) -> tuple[list[Message], list[tuple[str, str]]]:
    marked: list[Message] = []
    places: list[tuple[str, str]] = []

    def mark(field: str) -> str:
        places.append((field, f"zq{len(places)}qz"))
        return places[-1][1]

    for index, message in enumerate(messages):
        copy = dict(message)
        if message["content"]:
            copy["content"] = mark(f"messages[{index}].content")
        if "tool_calls" in message:
            copy["tool_calls"] = [
                {
                    **call,
                    "function": {
                        "name": mark(f"messages[{index}].tool_calls[{place}].function.name"),
                        "arguments": {"a": mark(f"messages[{index}].tool_calls[{place}].function.arguments")},
                    },
                }
                for place, call in enumerate(message["tool_calls"])
            ]
        marked.append(copy)
    return marked, places


def _marked_tool(index: int, tool: Tool, places: list[tuple[str, str]]) -> Tool:
    places.append((f"tools[{index}].function.name", f"zq{len(places)}qz"))
    return {**tool, "function": {**tool["function"], "name": places[-1][1]}}


def _numbered_calls(messages: Sequence[Message]) -> Iterator[tuple[int, int, PlainToolCall]]:
    for index, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls", ())):
            yield index, place, call


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield from value.splitlines()
    else:
        yield json.dumps(value)


def _shown(line: str, text: str) -> bool:
    line = line.strip()
    return line in text or any(json.dumps(line, ensure_ascii=ascii)[1:-1] in text for ascii in (False, True))
