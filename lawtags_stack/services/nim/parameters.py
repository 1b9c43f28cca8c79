"""Validates untyped request parameters: which values are accepted, and which are rejected.

A parameter that is silently ignored silently changes the answer. So every field of a request is either
implemented, known not to affect the answer, or rejected by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonValue
from lawtags_client.types.inference import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    NvExt,
    SamplingRequest,
)

_ANY = frozenset(
    {
        # Caller and purpose: OpenAI.
        "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier",
        "store", "user",
        # Scheduling, caching and compilation in the server: vLLM and NIM.
        "cache_salt", "guided_decoding_backend", "priority", "request_id",
        # Reasoning, images and speculation, which this server does not have.
        "include_reasoning", "mm_processor_kwargs", "prediction", "vision",
        # Accepted by NIM without effect.
        "system_fingerprint",
    }
)  # fmt: skip
"""Parameters that never affect the answer."""

_OFF: tuple[JsonValue, ...] = (False, [], {}, "")
_ON: tuple[JsonValue, ...] = (True,)
_SAMPLING: Mapping[str, tuple[JsonValue, ...]] = {
    "allowed_token_ids": _OFF,
    "bad_words": _OFF,
    "detokenize": _ON,
    "echo": _OFF,
    "guided_whitespace_pattern": _OFF,
    "include_stop_str_in_output": _OFF,
    "kv_transfer_params": _OFF,
    "length_penalty": (1,),
    "logit_bias": _OFF,
    "logits_processors": _OFF,
    "min_tokens": (0,),
    "prompt_logprobs": _OFF,
    "return_token_ids": _OFF,
    "return_tokens_as_token_ids": _OFF,
    "skip_special_tokens": _ON,
    "spaces_between_special_tokens": _ON,
    "stop_token_ids": _OFF,
    "structural_tag": _OFF,
    "suffix": _OFF,
    "truncate_prompt_tokens": (),
    "use_beam_search": _OFF,
    "vllm_xargs": _OFF,
}
"""Unsupported parameters, with the values that have no effect."""

_COMPLETION: Mapping[str, tuple[JsonValue, ...]] = {
    **_SAMPLING,
    "add_special_tokens": _ON,
    "prompt_embeds": _OFF,
    "tool_choice": ("none", "auto"),
    "tools": _OFF,
}
_CHAT: Mapping[str, tuple[JsonValue, ...]] = {
    **_SAMPLING,
    "add_generation_prompt": _ON,
    "add_special_tokens": _OFF,
    "chat_template": _OFF,
    "chat_template_kwargs": _OFF,
    "continue_final_message": _OFF,
    "documents": _OFF,
    "function_call": ("none", "auto"),
    "functions": _OFF,
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
}
_NVEXT: Mapping[str, tuple[JsonValue, ...]] = {
    "annotations": _OFF,
    "greed_sampling": _OFF,
    "guided_whitespace_pattern": _OFF,
    "use_raw_prompt": _OFF,
}
_EMBEDDING: Mapping[str, tuple[JsonValue, ...]] = {
    "add_special_tokens": _ON,
    "embedding_type": ("float",),
    "modality": ("text",),
    "normalize": _ON,
}
_STREAM: Mapping[str, tuple[JsonValue, ...]] = {"continuous_usage_stats": _OFF, "include_obfuscation": _OFF}
_HINT = "Leave it out."


def check_completion_parameters(request: CompletionRequest) -> None:
    """Reject unsupported parameters of a completion request.

    Raises:
        BadRequestError: a parameter would be ignored; the message names it.
    """
    _check(request, {**_COMPLETION, "best_of": (request.n or 1,)}, carried=frozenset({"top_logprobs"}))
    if (request.model_extra or {}).get("top_logprobs") is not None and request.logprobs is None:
        raise BadRequestError("top_logprobs needs logprobs")
    _check_shared(request)


def check_chat_parameters(request: ChatCompletionRequest) -> None:
    """Reject unsupported parameters of a chat request. Raises as ``check_completion_parameters``."""
    _check(request, {**_CHAT, "best_of": (request.n or 1,)})
    _check_shared(request)
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise BadRequestError("max_tokens and max_completion_tokens differ", hint="Send only one of them.")


def check_embedding_parameters(request: EmbeddingRequest) -> None:
    """Reject unsupported parameters of an embedding request. Raises as the other checks."""
    _check(request, _EMBEDDING)
    if request.encoding_format not in (None, "float", "base64"):
        shown = request.encoding_format[:80]
        raise BadRequestError(f"encoding_format must be 'float' or 'base64'; it is {shown!r}")


def extension(
    request: SamplingRequest, name: Literal["top_k", "min_p", "repetition_penalty", "ignore_eos"]
) -> Any:
    """Return a parameter that may be a top-level field or a field of ``nvext``.

    Raises:
        BadRequestError: both are set, to different values.
    """
    outer, inner = getattr(request, name), getattr(request.nvext or NvExt(), name)
    if None not in (outer, inner) and outer != inner:
        raise BadRequestError(f"{name} and nvext.{name} differ", hint="Send only one of them.")
    return inner if outer is None else outer


def _check_shared(request: SamplingRequest) -> None:
    if request.nvext is not None:
        _check(request.nvext, _NVEXT, within="nvext.")
    if request.stream_options is not None:
        _check(request.stream_options, _STREAM, within="stream_options.")
        if not request.stream:
            raise BadRequestError("stream_options needs stream to be true", hint=_HINT)


def _check(
    part: BaseModel,
    accepted: Mapping[str, tuple[JsonValue, ...]],
    *,
    within: str = "",
    carried: frozenset[str] = frozenset(),
) -> None:
    sent = {**vars(part), **(part.model_extra or {})}
    unknown = set(part.model_extra or {}) - carried
    for name in sorted(unknown | (accepted.keys() & sent.keys())):
        if sent[name] is None or name in _ANY or _is_among(sent[name], accepted.get(name, ())):
            continue
        why = "is not supported" if name in accepted else "is not a parameter of this server"
        raise BadRequestError(f"{within}{name[:80]} {why}", hint=_HINT)


def _is_among(value: object, accepted: tuple[JsonValue, ...]) -> bool:
    # In Python, 0 == False.
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in accepted)
