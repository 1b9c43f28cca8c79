"""Size limits of requests, checked before a model is loaded or text is tokenized."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from lawtags_client.errors import BadRequestError
from lawtags_client.types.inference import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    SamplingRequest,
)

_log = logging.getLogger(__name__)

MOST_CHARACTERS = 1 << 19
"""Per prompt, text, or all messages of a chat: several times the longest context."""
MOST_CHARACTERS_TOGETHER = 1 << 22
MOST_TOKENS = 1 << 17
MOST_PROMPTS = 1024
MOST_CHOICES = 1024
"""Prompts times answers per prompt."""
MOST_MESSAGES = 4096
MOST_GUIDED_CHOICES = 10_000
MOST_CONSTRAINT_CHARACTERS = 1 << 17
"""Per grammar, regular expression or schema; longer ones take seconds to compile."""
MOST_TOOL_CHARACTERS = 1 << 18
MOST_STOP_CHARACTERS = 1000


def check_completion(request: CompletionRequest) -> None:
    """Reject a completion request that exceeds a limit.

    Raises:
        BadRequestError: a limit is exceeded; the message names the field and the limit.
    """
    prompts = _prompts(request.prompt)
    _check("prompt", len(prompts), MOST_PROMPTS, "prompts")
    for prompt in prompts:
        unit, most = ("characters", MOST_CHARACTERS) if isinstance(prompt, str) else ("tokens", MOST_TOKENS)
        _check("prompt", len(prompt), most, unit)
    _check("prompt", sum(map(len, prompts)), MOST_CHARACTERS_TOGETHER, "characters in all prompts")
    if len(prompts) > 1:
        _check("n", len(prompts) * (request.n or 1), MOST_CHOICES, "answers to all prompts")
    _check_common(request)


def check_chat(request: ChatCompletionRequest) -> None:
    """Reject a chat request that exceeds a limit. Raises as ``check_completion``."""
    _check("messages", len(request.messages), MOST_MESSAGES, "messages")
    spoken = sum(_length(message.content) for message in request.messages)
    called = sum(_length([call.model_dump() for call in each.tool_calls or ()]) for each in request.messages)
    _check("messages", spoken + called, MOST_CHARACTERS, "characters")
    _check("tools", _length(request.tools), MOST_TOOL_CHARACTERS, "characters of JSON")
    _check_common(request)


def check_embedding(request: EmbeddingRequest) -> None:
    """Reject an embedding request that exceeds a limit. Raises as ``check_completion``."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    for text in texts:
        _check("input", len(text), MOST_CHARACTERS, "characters")
    _check("input", sum(map(len, texts)), MOST_CHARACTERS_TOGETHER, "characters in all texts")


def _check_common(request: SamplingRequest) -> None:
    for holder in (request, request.nvext, request.structured_outputs):
        for name in ("guided_choice", "choice"):
            choices = getattr(holder, name, None)
            if choices is not None:
                _check(name, len(choices), MOST_GUIDED_CHOICES, "choices")
                _check(name, sum(map(len, choices)), MOST_CHARACTERS, "characters")
        for name in ("guided_grammar", "guided_regex", "guided_json", "grammar", "regex", "schema_"):
            source = _length(getattr(holder, name, None))
            _check(name.rstrip("_"), source, MOST_CONSTRAINT_CHARACTERS, "characters")
    if request.response_format is not None:
        schema = request.response_format.json_schema
        _check("response_format", _length(schema), MOST_CONSTRAINT_CHARACTERS, "characters of JSON")
    for text in [request.stop] if isinstance(request.stop, str) else request.stop or ():
        _check("stop", len(text), MOST_STOP_CHARACTERS, "characters")


def _prompts(prompt: str | list[str] | list[int] | list[list[int]]) -> Sequence[str | list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    if prompt and isinstance(prompt[0], int):
        return [prompt]
    return [each for each in prompt if isinstance(each, str | list)]


def _length(value: object) -> int:
    if value is None:
        return 0
    return len(value) if isinstance(value, str) else len(json.dumps(value, ensure_ascii=False))


def _check(field: str, size: int, most: int, unit: str) -> None:
    if size > most:
        message = f"{field} has {size} {unit}; at most {most} are allowed"
        _log.warning("rejected a request: %s", message)
        raise BadRequestError(message)
