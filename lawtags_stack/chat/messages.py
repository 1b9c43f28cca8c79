"""Normalizes the messages and tools of a conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue


class CalledFunction(TypedDict):
    """The function of a call and its arguments."""

    name: str
    arguments: JsonValue


class PlainToolCall(TypedDict):
    """A tool call in a message."""

    id: NotRequired[str]
    type: NotRequired[str]
    function: CalledFunction


Message = dict[str, Any]
Tool = dict[str, Any]


class MessageError(DataError):
    """A message or tool is invalid; ``field`` is its path, and ``reason`` the cause without the path."""

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason, field=field)
        self.reason = reason


def plain_messages(messages: object) -> list[Message]:
    """Normalize messages: the content is text, and the arguments of calls are objects.

    Parts of text are joined, the legacy ``function_call`` becomes a tool call, and arguments in JSON text are
    parsed. Ids are renumbered: calls and results also match by order, and templates differ in the ids they
    accept.

    Args:
        messages: as in OpenAI's API and in training rows.

    Raises:
        MessageError: a message is malformed, or contains something other than text and calls.
    """
    if not isinstance(messages, list) or not all(isinstance(each, Mapping) for each in messages):
        raise MessageError("the field must be a list of objects with role and content", "messages")
    found: list[Message] = []
    numbers = _Numbers()
    for index, each in enumerate(messages):
        field = f"messages[{index}]"
        message = {name: value for name, value in each.items() if value is not None}
        if not isinstance(message.get("role"), str):
            raise MessageError("the message has no role", f"{field}.role")
        if message["role"] == "function":
            message["role"] = "tool"
        calls = _calls(message, field, numbers)
        message["content"] = plain_text(message.get("content"), f"{field}.content")
        if calls:
            message["tool_calls"] = calls
        if message["role"] == "tool":
            message["tool_call_id"] = numbers.result(message.get("tool_call_id"))
        found.append(message)
    return found


def plain_tools(tools: object) -> list[Tool] | None:
    """Normalize tools to OpenAI's format; None if there are none.

    Raises:
        MessageError: a tool is malformed.
    """
    if not tools:
        return None
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise MessageError("the field must be a list of tools", "tools")
    found = []
    for index, tool in enumerate(tools):
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise MessageError("the tool has no function with a name", f"tools[{index}]")
        parameters = function.get("parameters")
        if parameters is not None and not isinstance(parameters, Mapping):
            raise MessageError("the parameters must be a JSON schema", f"tools[{index}].function.parameters")
        found.append({"type": "function", "function": dict(function)})
    return found


def plain_text(content: object, field: str) -> str:
    """Return the text of a message's content, which may be a list of parts.

    Args:
        content: a text, a list of parts, or None for no text.
        field: its path, for error messages.

    Raises:
        MessageError: the content is malformed, or a part is not text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise MessageError("the content must be text or a list of parts", field)
    return "".join(_part(part, f"{field}[{index}]") for index, part in enumerate(content))


def _part(part: object, field: str) -> str:
    if not isinstance(part, Mapping):
        raise MessageError("the part must be an object with type and text", field)
    kind, text = part.get("type"), part.get("text")
    if kind != "text":
        shown = f"; it is {kind[:80]!r}" if isinstance(kind, str) else ""
        raise MessageError(f"only text is supported, so the type must be 'text'{shown}", f"{field}.type")
    if not isinstance(text, str):
        raise MessageError("the field must be text", f"{field}.text")
    return text


def uses_tools(messages: Sequence[Message], tools: Sequence[Tool] | None) -> bool:
    """Whether a conversation contains tools, calls or call results."""
    return bool(tools) or any("tool_calls" in each or each["role"] == "tool" for each in messages)


class _Numbers:
    """Sequential call ids of nine letters and digits, the format that the strictest templates require."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._open: list[str] = []
        self._count = 0

    def call(self, sent: object) -> str:
        identity = f"call{self._count:05d}"
        self._count += 1
        self._known[str(sent)] = identity
        self._open.append(identity)
        return identity

    def result(self, sent: object) -> str:
        identity = self._known.get(str(sent)) if sent is not None else None
        if identity is None:
            identity = self._open[0] if self._open else "call00000"
        if identity in self._open:
            self._open.remove(identity)
        return identity


def _calls(message: Message, field: str, numbers: _Numbers) -> list[PlainToolCall]:
    sent = message.pop("tool_calls", None) or []
    legacy = message.pop("function_call", None)
    if legacy is not None and not sent:
        sent = [{"function": legacy}]
    if not isinstance(sent, list):
        raise MessageError("the field must be a list of calls", f"{field}.tool_calls")
    found: list[PlainToolCall] = []
    for index, call in enumerate(sent):
        place = f"{field}.tool_calls[{index}]"
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise MessageError("the call has no function with a name", f"{place}.function.name")
        arguments = _arguments(function.get("arguments"), f"{place}.function.arguments")
        identity = numbers.call(call.get("id"))
        spoken: CalledFunction = {"name": function["name"], "arguments": arguments}
        found.append({"id": identity, "type": "function", "function": spoken})
    return found


def _arguments(sent: object, field: str) -> Message:
    if isinstance(sent, str):
        try:
            sent = json.loads(sent) if sent.strip() else {}
        except (ValueError, RecursionError) as error:
            raise MessageError(f"the arguments are not valid JSON: {error}", field) from error
    if sent is None:
        return {}
    if not isinstance(sent, Mapping):
        raise MessageError("the arguments must be a JSON object, or a string that contains one", field)
    return dict(sent)
