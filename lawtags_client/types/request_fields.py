"""The fields of requests as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from lawtags_client.json_value import JsonValue
from lawtags_client.types.inference import (
    ChatMessage,
    NvExt,
    ResponseFormat,
    StreamOptions,
    StructuredOutputs,
)


class SamplingFields(TypedDict, total=False):
    """What chats and completions share; see ``SamplingRequest``."""

    model: str
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    n: int
    seed: int
    stop: str | list[str]
    stream_options: StreamOptions
    frequency_penalty: float
    presence_penalty: float
    logit_bias: dict[str, float]
    ignore_eos: bool
    user: str
    nvext: NvExt
    response_format: ResponseFormat
    structured_outputs: StructuredOutputs
    guided_json: Mapping[str, JsonValue] | str
    guided_choice: list[str]
    guided_regex: str
    guided_grammar: str


class ChatFields(SamplingFields, total=False):
    """The fields of a chat; ``model`` and ``messages`` are required. See ``ChatCompletionRequest``."""

    messages: Sequence[ChatMessage | Mapping[str, JsonValue]]
    logprobs: bool
    top_logprobs: int
    tools: Sequence[Mapping[str, JsonValue]]
    tool_choice: str | Mapping[str, JsonValue]
    parallel_tool_calls: bool
    max_completion_tokens: int


class CompletionFields(SamplingFields, total=False):
    """The fields of a completion; ``model`` and ``prompt`` are required. See ``CompletionRequest``."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int
    echo: bool
    best_of: int
    suffix: str


class EmbeddingFields(TypedDict, total=False):
    """The fields of a request for vectors; ``model`` and ``input`` are required. See ``EmbeddingRequest``."""

    model: str
    input: str | list[str]
    input_type: str
    encoding_format: str
    truncate: str
    dimensions: int
    user: str


class ClassifyFields(TypedDict, total=False):
    """The fields of a classification, both of them required. See ``ClassifyRequest``."""

    model: str
    input: str | list[str]
