"""The format in which a model writes tool calls, and its parser."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lawtags_client.json_value import JsonValue
from lawtags_stack.chat.messages import PlainToolCall

_DECODER = json.JSONDecoder()
_ARGUMENTS = ("arguments", "parameters")


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """A tool call.

    Args:
        name: the function.
        arguments: the arguments as JSON text.
    """

    name: str
    arguments: str

    def as_json(self) -> list[str]:
        """The name and the arguments."""
        return [self.name, self.arguments]

    @classmethod
    def from_json(cls, value: Sequence[str]) -> ParsedCall:
        """Create a call from the output of ``as_json``."""
        return cls(*value)


@dataclass(frozen=True, slots=True)
class CallFormat:
    """Tool calls written as JSON objects with text around them.

    An answer with calls is ``lead``, the objects separated by ``between``, then ``tail``. An object is
    ``opening``, the name, ``middle``, the arguments and ``closing``.

    Args:
        between: None if an answer can contain only one call.
        separators: between the items of the arguments, and between a key and its value.
    """

    lead: str = "<tool_call>"
    opening: str = '{"name": "'
    middle: str = '", "arguments": '
    closing: str = "}"
    between: str | None = "</tool_call>\n<tool_call>"
    tail: str = "</tool_call>"
    separators: tuple[str, str] = (", ", ": ")

    @property
    def trigger(self) -> str:
        """The marker that starts the calls of an answer; text without calls never contains it."""
        return self.lead.strip() or self.opening

    def spelled(self, calls: Sequence[PlainToolCall]) -> str:
        """Write calls in the model's format."""
        objects = [
            self.opening
            + json.dumps(call["function"]["name"], ensure_ascii=False)[1:-1]
            + self.middle
            + json.dumps(call["function"]["arguments"], ensure_ascii=False, separators=self.separators)
            + self.closing
            for call in calls
        ]
        return self.lead + (self.between or "").join(objects) + self.tail

    def shown(self, text: str) -> int:
        """Length of the part of an unfinished answer that is certainly text, not the start of a call."""
        place = text.find(self.trigger)
        if place >= 0:
            return place
        for length in range(min(len(self.trigger) - 1, len(text)), 0, -1):
            if text.endswith(self.trigger[:length]):
                return len(text) - length
        return len(text)

    def read(self, text: str, names: Collection[str]) -> tuple[str, list[ParsedCall]]:
        """Split an answer into its text and its calls.

        If the answer calls a tool that was not offered, or no call is complete, all of it is text.

        Args:
            text: the whole answer.
            names: the tools that were offered.
        """
        start = text.find(self.trigger)
        if start < 0:
            return text, []
        calls: list[ParsedCall] = []
        place = start
        while (begin := text.find("{", place)) >= 0 and not self._words(text[place:begin]):
            try:
                found, place = _DECODER.raw_decode(text, begin)
            except (ValueError, RecursionError):
                break  # truncated at the end of the answer; the calls before it are complete
            call = _call(found, names)
            if call is None:
                return text, []
            calls.append(call)
        if not calls:
            return text, []
        rest = self._words(text[place:]) if text.find("{", place) < 0 else ""
        return "\n".join(part for part in (text[:start].strip(), rest) if part), calls

    def _words(self, text: str) -> str:
        """Remove the call markers from a text."""
        for mark in (self.between, self.lead, self.tail, *(self.between or "").split("\n")):
            if mark and mark.strip():
                text = text.replace(mark.strip(), "")
        return text.strip().strip("[],;").strip()


HERMES = CallFormat()
"""The format for models whose chat template does not support tools; several model families learned it."""


def _call(found: JsonValue, names: Collection[str]) -> ParsedCall | None:
    if not isinstance(found, dict) or found.get("name") not in names:
        return None
    arguments: JsonValue = next((found[key] for key in _ARGUMENTS if key in found), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    return ParsedCall(found["name"], json.dumps(arguments, ensure_ascii=False))


def derive_format(alone: str, two: str | None, calls: Sequence[PlainToolCall]) -> CallFormat | None:
    """Derive a template's call format from how it renders one call and two calls.

    Args:
        alone: the assistant's turn with the first call, up to its end marker.
        two: the turn with both calls; None if the template rejects it.
        calls: the two calls.

    Returns:
        None if the calls are not JSON objects with a name and arguments, in this order.
    """
    first = _object(alone, 0, calls[0])
    if first is None:
        return None
    lead, opening, middle, closing, separators, end = first
    tail, between = alone[end:], None
    if two is not None:
        one = _object(two, 0, calls[0])
        other = _object(two, one[-1], calls[1]) if one else None
        if one is None or other is None or two[other[-1] :] != tail:
            return None
        between = other[0]
    return CallFormat(lead, opening, middle, closing, between, tail, separators)


def _object(
    text: str, start: int, call: PlainToolCall
) -> tuple[str, str, str, str, tuple[str, str], int] | None:
    """Return the text before a call, the call's parts, and the position where it ends."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    for separators in ((", ", ": "), (",", ":")):
        spelled = json.dumps(arguments, separators=separators)
        inner = text.find(spelled, start)
        named = text.rfind(name, start, max(inner, start))
        if inner < 0 or named < 0:
            continue
        begin = text.rfind("{", start, named)
        try:
            found, end = _DECODER.raw_decode(text, max(begin, 0))
        except ValueError:
            return None
        if begin < 0 or list(found.values()) != [name, arguments] or next(iter(found)) != "name":
            return None
        after = inner + len(spelled)
        middle = text[named + len(name) : inner]
        return text[start:begin], text[begin:named], middle, text[after:end], separators, end
    return None
