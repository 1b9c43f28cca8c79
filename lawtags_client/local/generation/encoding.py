"""From texts and conversations to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lawtags_client.errors import ConfigurationError


class Encoder:
    """Encodes prompts for one model.

    Args:
        tokenizer: its fast Hugging Face tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def chats(self) -> bool:
        """Whether the model has a chat template."""
        return bool(self._tokenizer.chat_template)

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of plain prompts, with a beginning-of-text token where the model wants one."""
        return [list(ids) for ids in self._tokenizer(list(texts))["input_ids"]] if texts else []

    def chat(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any] | None = None) -> list[int]:
        """The tokens of a conversation, ready for the assistant's turn.

        Raises:
            ConfigurationError: the model has no chat template, or the template refuses the messages.
        """
        from jinja2 import TemplateError

        if not self.chats:
            raise ConfigurationError(
                "the model has no chat template", hint="Use /v1/completions with a plain prompt."
            )
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise ConfigurationError(
                f"the chat template refuses the messages: {error}", hint="Check roles and their order."
            ) from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
