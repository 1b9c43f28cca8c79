"""Wire models of inference: models, chat, completions, embeddings, streaming chunks, NIM extensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field, PrivateAttr

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import Items, WireModel, WireRequest

Role: TypeAlias = Literal["system", "user", "assistant", "tool", "function"] | str
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"] | str


class NvExt(WireModel):
    """NIM's extensions: generation constrained to a schema, a list, a pattern or a grammar."""

    guided_json: Mapping[str, JsonValue] | str | None = None
    guided_choice: list[str] | None = None
    guided_regex: str | None = None
    guided_grammar: str | None = None
    guided_whitespace_pattern: str | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool | None = None


class StructuredOutputs(WireModel):
    """A constraint on an answer, for vLLM from 0.11 and NIM from 2.0; one of the fields at a time.

    Args:
        choice: the texts allowed.
        regex: a regular expression.
        schema_: a JSON schema, ``json`` on the wire.
        grammar: a context-free grammar.
        json_object: any JSON object.
        whitespace_pattern: what stands between the parts of JSON.
    """

    choice: list[str] | None = None
    regex: str | None = None
    schema_: Mapping[str, JsonValue] | str | None = Field(default=None, alias="json")
    grammar: str | None = None
    json_object: bool | None = None
    whitespace_pattern: str | None = None


class ResponseFormat(WireModel):
    """The form an answer must have."""

    type: Literal["text", "json_object", "json_schema"] | str
    json_schema: Mapping[str, JsonValue] | None = None


class StreamOptions(WireModel):
    """What a stream carries beyond the text."""

    include_usage: bool | None = None


class FunctionCall(WireModel):
    """A function the model wants called."""

    name: str | None = None
    arguments: str | Mapping[str, JsonValue] | None = None


class ToolCall(WireModel):
    """A tool the model wants called; in a stream it comes in pieces, by ``index``."""

    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    index: int | None = None


class ChatMessage(WireModel):
    """One message of a conversation; content is text or a list of parts."""

    role: Role = "user"
    content: str | list[Mapping[str, JsonValue]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class SamplingRequest(WireRequest):
    """What chat and completion requests share."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = None
    user: str | None = None
    nvext: NvExt | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: Mapping[str, JsonValue] | str | None = None
    guided_choice: list[str] | None = None
    guided_regex: str | None = None
    guided_grammar: str | None = None


class ChatCompletionRequest(SamplingRequest):
    """``POST /v1/chat/completions``."""

    messages: list[ChatMessage]
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Mapping[str, JsonValue]] | None = None
    tool_choice: str | Mapping[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = None


class CompletionRequest(SamplingRequest):
    """``POST /v1/completions``; ``logprobs`` is a number of alternatives."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None


class Usage(WireModel):
    """Tokens read and written."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class TopLogprob(WireModel):
    """An alternative token."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A generated token with its alternatives."""

    top_logprobs: Items[TopLogprob] = Field(default_factory=list)


class ChoiceLogprobs(WireModel):
    """Log-probabilities of a chat answer."""

    content: Items[TokenLogprob] = Field(default_factory=list)


class Choice(WireModel):
    """One answer, and what the client found out about it."""

    _held: bool | None = PrivateAttr(default=None)

    @property
    def held(self) -> bool | None:
        """Whether the server enforced the constraint of the request; None if that is not known."""
        return self._held

    def mark(self, held: bool | None) -> None:
        """Record whether the server enforced the constraint."""
        self._held = held


class ChatChoice(Choice):
    """One answer in a chat."""

    index: int = 0
    message: ChatMessage
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    logprobs: ChoiceLogprobs | None = None

    @property
    def text(self) -> str:
        """Its text."""
        content = self.message.content
        return content if isinstance(content, str) else ""


class ChatCompletion(WireModel):
    """The answer to a chat request."""

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: Items[ChatChoice] = Field(default_factory=list)
    usage: Usage | None = None
    system_fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.choices[0].text if self.choices else ""


class Delta(WireModel):
    """What one chunk adds to a chat answer."""

    role: Role | None = None
    content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatChunkChoice(WireModel):
    """One answer's part of a chunk."""

    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(WireModel):
    """One event of a streamed chat."""

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: Items[ChatChunkChoice] = Field(default_factory=list)
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The text that this chunk adds to the first answer."""
        return (self.choices[0].delta.content or "") if self.choices else ""


class CompletionLogprobs(WireModel):
    """Log-probabilities of a completion, one entry a token; the first may be null."""

    tokens: Items[str] = Field(default_factory=list)
    token_logprobs: Items[float | None] = Field(default_factory=list)
    top_logprobs: Items[dict[str, float] | None] = Field(default_factory=list)
    text_offset: Items[int] = Field(default_factory=list)


class CompletionChoice(Choice):
    """One completion; in a stream, one piece of it."""

    index: int = 0
    text: str = ""
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    logprobs: CompletionLogprobs | None = None


class Completion(WireModel):
    """The answer to a completion request."""

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: Items[CompletionChoice] = Field(default_factory=list)
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The text of the first completion."""
        return self.choices[0].text if self.choices else ""


class CompletionChunk(Completion):
    """One event of a streamed completion."""


class EmbeddingRequest(WireRequest):
    """``POST /v1/embeddings``; asymmetric models need ``input_type``."""

    model: str
    input: str | list[str]
    input_type: Literal["query", "passage"] | str | None = None
    encoding_format: Literal["float", "base64"] | str | None = None
    truncate: Literal["NONE", "START", "END"] | str | None = None
    dimensions: int | None = None
    user: str | None = None


class Embedding(WireModel):
    """One vector."""

    index: int = 0
    embedding: list[float] | str
    object: str | None = None


class EmbeddingResponse(WireModel):
    """The answer to an embedding request."""

    data: Items[Embedding] = Field(default_factory=list)
    model: str | None = None
    usage: Usage | None = None
    object: str | None = None


class ClassifyRequest(WireRequest):
    """``POST /v1/classify``; the API leaves open what comes back."""

    model: str
    input: str | list[str]


class ServedModel(WireModel):
    """A model that inference lists; ``parent`` is the base of an adapter."""

    id: str
    object: str | None = None
    created: int | None = None
    owned_by: str | None = None
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


class ServedModels(WireModel):
    """``GET /v1/models`` of inference; neither paged nor filtered."""

    object: str | None = None
    data: Items[ServedModel] = Field(default_factory=list)
