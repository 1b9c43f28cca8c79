"""From texts and conversations to token ids."""

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
    """Encodes prompts for one model.

    Args:
        tokenizer: its fast Hugging Face tokenizer.
        template: its chat template, where that is not the tokenizer's own.
    """

    def __init__(self, tokenizer: FastTokenizer, template: ChatTemplate | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template or ChatTemplate(tokenizer)

    def with_template(self, path: Path) -> PromptEncoder:
        """The same tokenizer with another chat template.

        Args:
            path: a file with a template in Jinja.

        Raises:
            ConfigurationError: it cannot be read, or is too large.
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
        """How the model writes calls of tools."""
        return self._template.calls

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of plain prompts, with a beginning-of-text token where the model wants one.

        Raises:
            ConfigurationError: a text is not valid Unicode.
        """
        for text in texts:
            check_unicode(text)
        return [list(ids) for ids in self._tokenizer(list(texts))["input_ids"]] if texts else []

    def chat(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> list[int]:
        """The tokens of a conversation, ready for the assistant's turn.

        Args:
            messages: in OpenAI's form, calls of tools and their results among them.
            tools: what is offered.

        Raises:
            ConfigurationError: the model has no chat template, or the template refuses the messages.
            MessageError: a message or tool cannot be understood.
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
    """Refuse a text that no tokenizer can read.

    Raises:
        ConfigurationError: it is not valid Unicode.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"the text is not valid Unicode at character {error.start}",
            hint="It contains half of a surrogate pair.",
        ) from error
