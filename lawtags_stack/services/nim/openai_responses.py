"""Converts the worker's messages to OpenAI responses, complete or streamed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import Response

from lawtags_client.errors import LawtagsError
from lawtags_stack.chat.call_format import ParsedCall
from lawtags_stack.engines.generation.request import Answer, Piece, TokenScore
from lawtags_stack.http.responses import JsonResponse, response_for_error
from lawtags_stack.processes.frames import Message

Kind = Literal["chat", "completion"]
_LEAST = -9999.0  # replaces minus infinity, which JSON does not have


@dataclass(frozen=True, slots=True)
class Envelope:
    """The common fields of all parts of a response.

    Args:
        kind: chat or plain completion.
        model: the model's name in the request.
        created: Unix time in seconds.
        scored: whether to include log-probabilities.
        id: the response's id.
    """

    kind: Kind
    model: str
    created: int
    scored: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def head(self, *, chunk: bool) -> Message:
        """The fields around ``choices``."""
        if self.kind == "chat":
            prefix, what = "chat-", "chat.completion.chunk" if chunk else "chat.completion"
        else:
            prefix, what = "cmpl-", "text_completion"
        return {"id": prefix + self.id, "object": what, "created": self.created, "model": self.model}


def complete_response(envelope: Envelope, done: Message) -> Message:
    """The response to a request that is not streamed."""
    answers = [Answer.from_json(each) for each in done["answers"]]
    make = _chat_choice if envelope.kind == "chat" else _completion_choice
    choices = [make(each, envelope.scored) for each in answers]
    return {**envelope.head(chunk=False), "choices": choices, "usage": usage(done)}


def usage(done: Message) -> dict[str, int]:
    """Token counts."""
    prompt, completion = int(done["prompt_tokens"]), int(done["completion_tokens"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _chat_choice(found: Answer, scored: bool) -> Message:
    calls = [_tool_call(call) for call in found.calls]
    content = found.text or None if calls else found.text
    return {
        "index": found.index,
        "message": {"role": "assistant", "content": content, "tool_calls": calls},
        "logprobs": chat_logprobs(found.scores) if scored else None,
        "finish_reason": _finish(found),
        "stop_reason": None,
    }


def _tool_call(call: ParsedCall) -> Message:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"chatcmpl-tool-{uuid.uuid4().hex}", "type": "function", "function": function}


def _finish(found: Answer | Piece) -> str | None:
    return "tool_calls" if found.calls and found.finish_reason == "stop" else found.finish_reason


def _completion_choice(found: Answer, scored: bool) -> Message:
    return {
        "index": found.index,
        "text": found.text,
        "logprobs": completion_logprobs(found.scores) if scored else None,
        "finish_reason": found.finish_reason,
        "stop_reason": None,
    }


def completion_logprobs(scores: Iterable[TokenScore], offset: int = 0) -> Message:
    """Log-probabilities in the legacy format of completions; ``top_logprobs`` includes the chosen token."""
    found: dict[str, list[object]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    for score in scores:
        top: dict[str, float] = {}
        for text, logprob in (*score.top, (score.text, score.logprob)):
            top.setdefault(text, max(logprob, _LEAST))
        found["tokens"].append(score.text)
        found["token_logprobs"].append(max(score.logprob, _LEAST))
        found["top_logprobs"].append(top)
        found["text_offset"].append(offset)
        offset += len(score.text)
    return found


def chat_logprobs(scores: Iterable[TokenScore]) -> Message:
    """Log-probabilities in the format of chat completions."""
    return {
        "content": [
            {
                **_token(score.text, score.logprob),
                "top_logprobs": [_token(text, logprob) for text, logprob in score.top],
            }
            for score in scores
        ]
    }


def _token(text: str, logprob: float) -> Message:
    return {"token": text, "logprob": max(logprob, _LEAST), "bytes": list(_spelled(text))}


def _spelled(text: str) -> bytes:
    if text.startswith("bytes:\\x"):  # an incomplete character, see TokenText.name_of
        return bytes(int(pair, 16) for pair in text.removeprefix("bytes:\\x").split("\\x"))
    return text.encode("utf-8", "replace")


async def events(
    envelope: Envelope, messages: AsyncIterator[Message], answers: int, include_usage: bool
) -> AsyncIterator[str]:
    """Stream the response as server-sent events, ending with ``[DONE]``."""
    offsets = [0] * answers
    try:
        if envelope.kind == "chat":
            for index in range(answers):
                opening = {"index": index, "delta": {"role": "assistant", "content": ""}}
                yield _event(envelope, [{**opening, "logprobs": None, "finish_reason": None}])
        async for message in messages:
            if message["event"] == "piece":
                piece = Piece.from_json(message["piece"])
                for delta in _call_deltas(piece):
                    choice = {"index": piece.index, "delta": {"tool_calls": [delta]}}
                    yield _event(envelope, [{**choice, "logprobs": None, "finish_reason": None}])
                yield _event(envelope, [_chunk_choice(envelope, piece, offsets)])
            elif include_usage:
                yield _event(envelope, [], usage=usage(message))
        yield "data: [DONE]\n\n"
    except LawtagsError as error:
        body = json.loads(bytes(openai_error(error).body))
        yield f"event: error\ndata: {json.dumps(body)}\n\n"


def _chunk_choice(envelope: Envelope, piece: Piece, offsets: list[int]) -> Message:
    if envelope.kind == "chat":
        logprobs = chat_logprobs(piece.scores) if envelope.scored else None
        text: Message = {"delta": {"content": piece.text} if piece.text else {}}
    else:
        logprobs = completion_logprobs(piece.scores, offsets[piece.index]) if envelope.scored else None
        offsets[piece.index] += sum(len(score.text) for score in piece.scores)
        text = {"text": piece.text}
    return {"index": piece.index, **text, "logprobs": logprobs, "finish_reason": _finish(piece)}


def _call_deltas(piece: Piece) -> Iterator[Message]:
    """The deltas of tool calls in a stream: first the name, then the arguments."""
    for number, call in enumerate(piece.calls):
        whole = _tool_call(call)
        yield {"index": number, **whole, "function": {"name": call.name, "arguments": ""}}
        yield {"index": number, "function": {"arguments": call.arguments}}


def _event(envelope: Envelope, choices: Sequence[Message], **fields: object) -> str:
    body = {**envelope.head(chunk=True), "choices": choices, **fields}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def openai_error(error: Exception) -> Response:
    """Create an error response in both common formats: ``detail``, and OpenAI's ``error`` object."""
    plain = response_for_error(error)
    body = json.loads(bytes(plain.body))
    detail = body["detail"]
    text = detail if isinstance(detail, str) else "; ".join(str(each.get("msg")) for each in detail)
    if isinstance(error, LawtagsError) and error.hint and plain.status_code == 400:
        text = f"{text}. {error.hint}"
        body["detail"] = text
    fault = {"message": text, "type": type(error).__name__, "param": None, "code": plain.status_code}
    kept = [name for name in ("Retry-After", "x-should-retry") if name in plain.headers]
    headers = {name: plain.headers[name] for name in kept}
    return JsonResponse({**body, "object": "error", "error": fault}, plain.status_code, headers)
