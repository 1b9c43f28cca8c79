"""Protocols for the parts of Hugging Face's fast tokenizers that the stack uses; transformers is untyped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NotRequired, Protocol, TypedDict, overload


class TokenizedText(TypedDict):
    """The tokens of one text."""

    input_ids: list[int]
    offset_mapping: NotRequired[list[tuple[int, int]]]


class TokenizedTexts(TypedDict):
    """The tokens of several texts."""

    input_ids: list[list[int]]


class TokenizerBackend(Protocol):
    """The Rust part of a fast tokenizer."""

    def to_str(self) -> str:
        """The content of ``tokenizer.json``."""
        ...


class FastTokenizer(Protocol):
    """A fast Hugging Face tokenizer (``transformers.PreTrainedTokenizerFast``)."""

    is_fast: bool
    chat_template: str | None
    model_max_length: int
    eos_token_id: int | None
    bos_token_id: int | None
    pad_token_id: int | None
    all_special_ids: Sequence[int]
    all_special_tokens: Sequence[str]
    special_tokens_map: Mapping[str, str]
    backend_tokenizer: TokenizerBackend

    @overload
    def __call__(
        self, text: str, *, add_special_tokens: bool = True, return_offsets_mapping: bool = False
    ) -> TokenizedText: ...

    @overload
    def __call__(self, text: list[str], *, add_special_tokens: bool = True) -> TokenizedTexts: ...

    def convert_ids_to_tokens(self, ids: int) -> str | None:
        """The token as it is written in the vocabulary."""
        ...

    def get_chat_template(self, *, tools: Sequence[Mapping[str, object]] | None) -> str:
        """The chat template, with or without tools."""
        ...

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, object]],
        *,
        tools: Sequence[Mapping[str, object]] | None,
        tokenize: bool,
        add_generation_prompt: bool,
    ) -> str:
        """Render a conversation."""
        ...
