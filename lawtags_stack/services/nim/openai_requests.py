"""Converts OpenAI requests to worker requests; rejects unsupported parameters with a reason."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.inference import (
    ChatCompletionRequest,
    ChatMessage,
    CompletionRequest,
    SamplingRequest,
    StructuredOutputs,
)
from lawtags_stack.chat.messages import MessageError, plain_text
from lawtags_stack.engines.generation.request import Constraint, Sampling
from lawtags_stack.processes.frames import Message
from lawtags_stack.services.nim.limits import check_chat, check_completion
from lawtags_stack.services.nim.parameters import (
    check_chat_parameters,
    check_completion_parameters,
    extension,
)
from lawtags_stack.services.nim.tools import tool_choice

MOST_LOGPROBS = 20
MOST_ANSWERS = 128
DEFAULT_COMPLETION_TOKENS = 16
_GUIDED = ("guided_json", "guided_choice", "guided_regex", "guided_grammar")
_SPEAKERS = ("system", "developer", "user")
"""Roles whose messages must have content; other roles may call tools instead."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """A parsed request.

    Args:
        message: the fields of the worker's ``generate`` message.
        answers: number of answers.
        stream: whether to stream them.
        include_usage: whether a stream ends with token counts.
    """

    message: Message
    answers: int
    stream: bool
    include_usage: bool


def parse_completion(request: CompletionRequest) -> WorkerRequest:
    """Parse a completion request.

    Raises:
        BadRequestError: a parameter is invalid or unsupported.
    """
    check_completion(request)
    check_completion_parameters(request)
    prompts = _prompts(request.prompt)
    logprobs = request.logprobs
    extra = request.model_extra or {}
    if logprobs is not None and extra.get("top_logprobs") is not None:
        logprobs = extra["top_logprobs"]
        if isinstance(logprobs, bool) or not isinstance(logprobs, int):
            raise BadRequestError("top_logprobs must be an integer")
    limit = DEFAULT_COMPLETION_TOKENS if request.max_tokens is None else request.max_tokens
    sampling = _sampling(request, limit, logprobs)
    return _worker_request(request, {"prompts": prompts, "sampling": sampling}, len(prompts))


def parse_chat(request: ChatCompletionRequest) -> WorkerRequest:
    """Parse a chat request.

    Raises:
        BadRequestError: a parameter is invalid or unsupported.
    """
    check_chat(request)
    check_chat_parameters(request)
    if not request.messages:
        raise BadRequestError("messages must not be empty")
    if request.top_logprobs is not None and not request.logprobs:
        raise BadRequestError("top_logprobs needs logprobs to be true")
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    # If both are sent, they are equal (checked above).
    limit = request.max_completion_tokens if request.max_tokens is None else request.max_tokens
    message: Message = {
        "messages": [_plain_message(index, each) for index, each in enumerate(request.messages)],
        "sampling": _sampling(request, limit, logprobs),
    }
    choice = tool_choice(request)
    if choice is not None:
        if choice["mode"] == "required" and message["sampling"]["constraint"] is not None:
            raise BadRequestError(
                "tool_choice cannot require a call while the answer is constrained to another format"
            )
        message |= {"tools": request.tools, "tool_choice": choice}
    return _worker_request(request, message, 1)


def _worker_request(request: SamplingRequest, message: Message, prompts: int) -> WorkerRequest:
    stream = bool(request.stream)
    usage = bool(request.stream_options and request.stream_options.include_usage)
    return WorkerRequest({**message, "stream": stream}, prompts * (request.n or 1), stream, usage)


def _prompts(prompt: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise BadRequestError("prompt must not be empty")
    if isinstance(prompt[0], int):
        return [[int(token) for token in prompt]]
    return list(prompt)


def _plain_message(index: int, message: ChatMessage) -> JsonObject:
    """Convert a message for the worker; its content becomes text."""
    field = f"messages[{index}]"
    if "role" not in message.model_fields_set:
        raise BadRequestError(f"{field}.role is missing")
    if message.content is None and message.role in _SPEAKERS:
        raise BadRequestError(f"{field}.content must be text or a list of parts; it is missing or null")
    spoken = message.model_dump(exclude_none=True)
    if message.content is not None:
        try:
            spoken["content"] = plain_text(message.content, f"{field}.content")
        except MessageError as error:
            raise BadRequestError(f"{error.field}: {error.reason}") from None
    return spoken


def _sampling(request: SamplingRequest, max_tokens: int | None, logprobs: int | None) -> Message:
    """The worker's sampling fields; ``max_tokens`` may be None."""
    _check_range("temperature", request.temperature, 0, 2)
    _check_range("n", request.n, 1, MOST_ANSWERS)
    _check_range("logprobs", logprobs, 0, MOST_LOGPROBS)
    _check_range("max_tokens", max_tokens, 1, 2**20)
    _check_range("frequency_penalty", request.frequency_penalty, -2, 2)
    _check_range("presence_penalty", request.presence_penalty, -2, 2)
    if request.top_p is not None and not 0 < request.top_p <= 1:
        raise BadRequestError("top_p must be above 0 and at most 1")
    top_k, min_p = extension(request, "top_k"), extension(request, "min_p")
    _check_range("top_k", top_k, -1, 2**31 - 1)
    _check_range("min_p", min_p, 0, 1)
    repetition_penalty = extension(request, "repetition_penalty")
    if repetition_penalty is not None and not repetition_penalty > 0:
        raise BadRequestError(f"repetition_penalty must be above 0; it is {repetition_penalty}")
    sampling = Sampling(
        max_tokens=max_tokens or 1,
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        top_k=max(top_k or 0, 0),
        min_p=min_p or 0.0,
        seed=request.seed,
        n=request.n or 1,
        stop=_stop(request.stop),
        logprobs=logprobs,
        ignore_eos=bool(extension(request, "ignore_eos")),
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        repetition_penalty=1.0 if repetition_penalty is None else repetition_penalty,
        constraint=_constraint(request),
    )
    return {**sampling.as_json(), "max_tokens": max_tokens}


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise BadRequestError(f"{name} must be between {least} and {most}; it is {value}")


def _stop(value: str | list[str] | None) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value or []
    if len(words) > 4:
        raise BadRequestError("at most 4 stop strings are allowed")
    return tuple(word for word in words if word)


def _constraint(request: SamplingRequest) -> Constraint | None:
    """Return the constraint on the answer, from whichever parameter sets it."""
    wanted: list[tuple[str, object]] = [
        (name, value)
        for holder in (request.nvext, request)
        for name in _GUIDED
        if (value := getattr(holder, name, None)) is not None
    ]
    wanted += _structured(request.structured_outputs)
    form = request.response_format
    if form is not None and form.type == "json_object":
        wanted.append(("guided_json", {"type": "object"}))
    elif form is not None and form.type == "json_schema":
        schema = (form.json_schema or {}).get("schema")
        if not isinstance(schema, dict):
            raise BadRequestError("response_format.json_schema.schema must be an object")
        wanted.append(("guided_json", schema))
    elif form is not None and form.type != "text":
        raise BadRequestError(f"response_format of type {form.type!r} is not supported")
    if not wanted:
        return None
    if len(wanted) > 1:
        raise BadRequestError(
            "only one of structured_outputs, guided_json, guided_choice, guided_regex, guided_grammar and "
            "response_format can be used at a time"
        )
    return _compiled(*wanted[0])


def _structured(asked: StructuredOutputs | None) -> list[tuple[str, object]]:
    """Map ``structured_outputs`` to the legacy parameters for the same constraints."""
    if asked is None:
        return []
    # Ignoring an unknown field would silently drop a constraint.
    unknown = sorted(name for name, value in (asked.model_extra or {}).items() if value)
    unknown += ["whitespace_pattern"] if asked.whitespace_pattern else []
    if unknown:
        raise BadRequestError(f"structured_outputs.{unknown[0]} is not supported", hint="Remove it.")
    named = {
        "guided_choice": asked.choice,
        "guided_regex": asked.regex,
        "guided_json": {"type": "object"} if asked.json_object else asked.schema_,
        "guided_grammar": asked.grammar,
    }
    return [(name, value) for name, value in named.items() if value is not None]


def _compiled(name: str, value: object) -> Constraint:
    if name == "guided_regex":
        return Constraint("regex", str(value))
    if name == "guided_grammar":
        return Constraint("grammar", str(value))
    if name == "guided_choice":
        if not isinstance(value, list) or not value or not all(value):
            raise BadRequestError("guided_choice needs at least one text, and none may be empty")
        return Constraint("choice", json.dumps(value, ensure_ascii=False))
    return Constraint("json", value if isinstance(value, str) else json.dumps(value))
