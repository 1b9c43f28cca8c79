"""A model's chat template, with a fallback format if it does not support tools."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from functools import cached_property

from lawtags_client.errors import BadRequestError, ConfigurationError, ResourceLimitError
from lawtags_stack.chat import sandboxed
from lawtags_stack.chat.bounds import is_bounded
from lawtags_stack.chat.call_format import HERMES, CallFormat, derive_format
from lawtags_stack.chat.messages import CalledFunction, Message, PlainToolCall, Tool, uses_tools
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.sandbox.process import Sandbox

_USER: Message = {"role": "user", "content": "quokka"}
_TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "wombat_one",
        "description": "numbat",
        "parameters": {"type": "object", "properties": {"bilby": {"type": "string"}}},
    },
}


def _call(index: int, name: str, word: str) -> PlainToolCall:
    function: CalledFunction = {"name": name, "arguments": {"bilby": word, "count": index}}
    return {"id": f"call{index:05d}", "type": "function", "function": function}


_CALLS = (_call(0, "wombat_one", "dingo"), _call(1, "wombat_two", "possum"))


class TemplateError(ConfigurationError):
    """A chat template rejects a conversation."""

    def __init__(self, reason: object) -> None:
        message = f"the chat template rejected the messages: {reason}"
        super().__init__(message, hint="Check the roles and their order.")


class ChatTemplate:
    """Renders conversations for one model.

    If the model's template supports tools, calls and their results, it renders them. Otherwise tools are sent
    as JSON in the system message (or in the first user message, if the template accepts no system message),
    calls in the assistant's text as ``<tool_call>{"name": ..., "arguments": ...}</tool_call>``, and results
    in a user message as ``<tool_response>...</tool_response>``.

    Args:
        tokenizer: the model's fast Hugging Face tokenizer.
        sandbox: renders templates that may not terminate; None creates one.
    """

    def __init__(self, tokenizer: FastTokenizer, sandbox: Sandbox | None = None) -> None:
        self._tokenizer = tokenizer
        self._sandbox = sandbox or Sandbox(sandboxed.MODULE)

    def replaced(self, template: str) -> ChatTemplate:
        """Return a renderer for the same tokenizer with another template."""
        tokenizer = copy.copy(self._tokenizer)
        tokenizer.chat_template = template
        return ChatTemplate(tokenizer, self._sandbox)

    @property
    def exists(self) -> bool:
        """Whether the model has a template."""
        return bool(self._tokenizer.chat_template)

    @cached_property
    def native_calls(self) -> CallFormat | None:
        """The template's own call format; None if it lacks tool support, or does not write calls as JSON."""
        try:
            tools = self._raw([_USER], [_TOOL], generation=True)
            before = self._raw([_USER], [_TOOL], generation=True)
            one = self._turn(before, _CALLS[:1])
            result = {
                "role": "tool",
                "content": "echidna",
                "name": "wombat_one",
                "tool_call_id": _CALLS[0]["id"],
            }
            asked = {"role": "assistant", "content": "", "tool_calls": [_CALLS[0]]}
            answered = self._raw([_USER, asked, result], [_TOOL], generation=True)
        except TemplateError:
            return None
        if one is None or not all(word in tools for word in ("wombat_one", "numbat", "bilby")):
            return None
        if "echidna" not in answered:
            return None
        try:
            two = self._turn(before, _CALLS)
        except TemplateError:
            two = None
        return derive_format(one, two, _CALLS)

    @property
    def calls(self) -> CallFormat:
        """The call format of this model."""
        return self.native_calls or HERMES

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template renders a system message."""
        try:
            return "numbat" in self._raw([{"role": "system", "content": "numbat"}, _USER], None)
        except TemplateError:
            return False

    def prepared(self, messages: Sequence[Message], tools: Sequence[Tool] | None) -> list[Message]:
        """Rewrite messages for the template; they stay unchanged if it supports tools.

        Args:
            messages: in the form of ``plain_messages``.
            tools: the tools that are offered.
        """
        if not uses_tools(messages, tools) or self.native_calls is not None:
            return list(messages)
        found: list[Message] = []
        for message in messages:
            if message["role"] == "tool":
                _add_result(found, message["content"])
            elif "tool_calls" in message:
                spelled = HERMES.spelled(message["tool_calls"])
                text = "\n".join(part for part in (message["content"], spelled) if part)
                found.append({"role": message["role"], "content": text})
            else:
                found.append(dict(message))
        return self._instructed(found, tools) if tools else found

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None, *, generation: bool = False
    ) -> str:
        """Render prepared messages.

        Args:
            messages: the output of ``prepared``, or a prefix of it.
            tools: the tools passed to ``prepared``.
            generation: whether to append the start of the assistant's answer.

        Raises:
            TemplateError: the template rejects them.
        """
        return self._raw(messages, tools if self.native_calls is not None else None, generation=generation)

    def _instructed(self, messages: list[Message], tools: Sequence[Tool]) -> list[Message]:
        text = _instruction(tools)
        first = messages[0] if messages else None
        if first is not None and first["role"] == "system":
            together = "\n\n".join(part for part in (first["content"], text) if part)
            return [{**first, "content": together}, *messages[1:]]
        if self.takes_system:
            return [{"role": "system", "content": text}, *messages]
        if first is not None and first["role"] == "user":
            return [{**first, "content": f"{text}\n\n{first['content']}"}, *messages[1:]]
        return [{"role": "user", "content": text}, *messages]

    def _turn(self, before: str, calls: Sequence[PlainToolCall]) -> str | None:
        """Render a turn with calls, up to the marker that ends the turn."""
        message = {"role": "assistant", "content": "", "tool_calls": list(calls)}
        whole = self._raw([_USER, message], [_TOOL])
        if not whole.startswith(before):
            return None
        turn = whole[len(before) :]
        last = turn.rfind("}") + 1
        ends = [place for mark in self._tokenizer.all_special_tokens if (place := turn.find(mark, last)) >= 0]
        turn = turn[: min(ends)] if ends else turn.rstrip("\n")
        # Special tokens never appear in an answer, so calls could not be parsed from it.
        return None if any(mark in turn for mark in self._tokenizer.all_special_tokens) else turn

    def _raw(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None, *, generation: bool = False
    ) -> str:
        from jinja2 import TemplateError as Refused

        shown = list(tools) if tools else None
        try:
            template = self._tokenizer.get_chat_template(tools=shown)
            if not is_bounded(template):
                return self._sandboxed(template, messages, shown, generation)
            text = self._tokenizer.apply_chat_template(
                list(messages),
                tools=shown,
                tokenize=False,
                add_generation_prompt=generation,
            )
        except (Refused, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TemplateError(error) from error
        return str(text)

    def _sandboxed(
        self, template: str, messages: Sequence[Message], tools: list[Tool] | None, generation: bool
    ) -> str:
        """Render a template that may not terminate, in the sandbox."""
        given = [{name: value for name, value in each.items() if value is not None} for each in messages]
        values: dict[str, object] = {
            "messages": given,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": generation,
            **self._tokenizer.special_tokens_map,
        }
        try:
            return str(self._sandbox.call("render", {"template": template, "values": values}))
        except (BadRequestError, ResourceLimitError) as error:
            raise TemplateError(error.message) from error


def _instruction(tools: Sequence[Tool]) -> str:
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    form = '<tool_call>{"name": <name>, "arguments": <object>}</tool_call>'
    return f"Tools:\n{listed}\nTo call one, answer {form}"


def _add_result(messages: list[Message], content: str) -> None:
    """Add a tool result to the last user message, since many templates require alternating roles."""
    text = f"<tool_response>{content}</tool_response>"
    if messages and messages[-1].get("results"):
        messages[-1] = {**messages[-1], "content": f"{messages[-1]['content']}\n{text}"}
    else:
        messages.append({"role": "user", "content": text, "results": True})
