"""Tokenizes texts and conversations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_stack.chat.call_format import CallFormat
from lawtags_stack.chat.messages import Message, Tool, plain_messages, plain_tools
from lawtags_stack.chat.template import ChatTemplate
from lawtags_stack.chat.tokenizer import FastTokenizer

_LARGEST_TEMPLATE = 1 << 20


class PromptEncoder:
    """Tokenizes prompts for one model.

    Args:
        tokenizer: its fast Hugging Face tokenizer.
        template: its chat template, if it is not the tokenizer's own.
    """

    def __init__(self, tokenizer: FastTokenizer, template: ChatTemplate | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template or ChatTemplate(tokenizer)

    def with_template(self, path: Path) -> PromptEncoder:
        """Return an encoder with the same tokenizer and another chat template.

        Args:
            path: a Jinja file.

        Raises:
            ConfigurationError: the file cannot be read, or is too large.
        """
        try:
            with path.open("rb") as stream:
                found = stream.read(_LARGEST_TEMPLATE + 1)
            template = found.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the chat template cannot be read: {error}") from error
        if len(found) > _LARGEST_TEMPLATE:
            raise ConfigurationError(f"the chat template is larger than {_LARGEST_TEMPLATE >> 10} KiB")
        return PromptEncoder(self._tokenizer, self._template.replaced(template))

    @property
    def chats(self) -> bool:
        """Whether the model has a chat template."""
        return self._template.exists

    @property
    def calls(self) -> CallFormat:
        """The model's format for tool calls."""
        return self._template.calls

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize plain prompts, with a beginning-of-text token if the model uses one.

        Raises:
            ConfigurationError: a text is not valid Unicode.
        """
        for text in texts:
            check_unicode(text)
        return [list(ids) for ids in self._tokenizer(list(texts))["input_ids"]] if texts else []

    def chat(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> list[int]:
        """Tokenize a conversation, up to the start of the assistant's turn.

        Args:
            messages: in OpenAI's format, including tool calls and their results.
            tools: the tools that are offered.

        Raises:
            ConfigurationError: the model has no chat template, or the template rejects the messages.
            MessageError: a message or tool is invalid.
        """
        if not self.chats:
            raise ConfigurationError(
                "the model has no chat template", hint="Use /v1/completions with a plain prompt."
            )
        offered = plain_tools(tools)
        prepared = self._template.prepared(plain_messages(list(messages)), offered)
        text = self._template.render(prepared, offered, generation=True)
        check_unicode(text)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def check_unicode(text: str) -> None:
    """Reject text that a tokenizer cannot encode.

    Raises:
        ConfigurationError: it is not valid Unicode.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"the text is not valid Unicode at character {error.start}",
            hint="Remove the unpaired surrogate.",
        ) from error
