"""The routes of the inference server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from lawtags_client.json_value import JsonObject
from lawtags_client.types.inference import (
    ChatCompletion,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    SamplingRequest,
    ServedModel,
    ServedModels,
)
from lawtags_client.version import __version__
from lawtags_stack.http import Clock, RouteCall, error_response, route
from lawtags_stack.processes.frames import Message
from lawtags_stack.services.nim.embeddings import Embeddings
from lawtags_stack.services.nim.openai_requests import WorkerRequest, parse_chat, parse_completion
from lawtags_stack.services.nim.openai_responses import (
    Envelope,
    Kind,
    complete_response,
    events,
    openai_error,
)
from lawtags_stack.services.nim.permissions import permission
from lawtags_stack.services.nim.queue import ModelProcesses
from lawtags_stack.services.nim.records import ServedEntry
from lawtags_stack.services.nim.state import NimState

R = TypeVar("R")

_HEALTHY = {"object": "health.response", "message": "Service is ready.", "status": "ready"}
_LIVE = {"object": "health.response", "message": "Service is live.", "status": "live"}


class InferenceService:
    """The handlers of the inference server.

    Args:
        state: the served models.
        processes: their worker processes.
        embeddings: the embedding models.
        clock: returns the time.
    """

    def __init__(
        self, state: NimState, processes: ModelProcesses, embeddings: Embeddings, clock: Clock
    ) -> None:
        self._state = state
        self._embeddings = embeddings
        self._processes = processes
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """All routes of the inference port."""
        return [
            route("GET", "/v1/health/ready", self.ready, answers=dict),
            route("GET", "/v1/health/live", _live, answers=dict),
            route("GET", "/v1/version", _version, answers=dict),
            route("GET", "/v1/models", self.models, on_error=openai_error, answers=ServedModels),
            route("GET", "/v1/models/{model:path}", self.model, on_error=openai_error, answers=ServedModel),
            route(
                "POST",
                "/v1/completions",
                self.complete,
                body=CompletionRequest,
                on_error=openai_error,
                answers=Completion,
            ),
            route(
                "POST",
                "/v1/chat/completions",
                self.chat,
                body=ChatCompletionRequest,
                on_error=openai_error,
                answers=ChatCompletion,
            ),
            route(
                "POST",
                "/v1/embeddings",
                self.embed,
                body=EmbeddingRequest,
                on_error=openai_error,
                answers=EmbeddingResponse,
            ),
        ]

    def ready(self, call: RouteCall) -> Message:
        """Check whether the server is ready; lists models that cannot be served, with the reason."""
        failed = self._state.faults()
        return {**_HEALTHY, "failed_models": failed} if failed else _HEALTHY

    def models(self, call: RouteCall) -> Message:
        """``GET /v1/models``: list the served models."""
        listed = [self._listed(served) for served in self._state.models()]
        return {"object": "list", "data": [*listed, *self._embeddings.listed()]}

    def model(self, call: RouteCall) -> JsonObject:
        """``GET /v1/models/{model}``: get a served model."""
        name = call.path["model"]
        encoders = {each["id"]: each for each in self._embeddings.listed()}
        return encoders[name] if name in encoders else self._listed(self._state.find(name))

    def _listed(self, served: ServedEntry) -> Message:
        adapts = served.adapter is not None
        return {
            "id": served.id,
            "object": "model",
            "created": served.created,
            "owned_by": "system",
            "root": f"hf://{served.id}" if adapts else served.root,
            "parent": served.parent,
            "max_model_len": None if adapts else self._state.max_length(served),
            "permission": [permission(served.id, served.created)],
        }

    async def complete(self, call: RouteCall) -> Response | Message:
        """``POST /v1/completions``: complete a text, optionally as a stream."""
        request = call.sent(CompletionRequest)
        served = self._state.find(request.model)
        return await self._answer(call, "completion", request, served, parse_completion(request))

    async def chat(self, call: RouteCall) -> Response | Message:
        """``POST /v1/chat/completions``: answer a chat, optionally as a stream."""
        request = call.sent(ChatCompletionRequest)
        served = self._state.find(request.model)
        return await self._answer(call, "chat", request, served, parse_chat(request))

    async def embed(self, call: RouteCall) -> Response | JsonObject:
        """``POST /v1/embeddings``: compute embeddings, if the stack serves an embedding model."""
        if not self._embeddings:
            return error_response(501, "No embedding model is served by this stack; see --embedding-model")
        found = await _cancel_on_disconnect(
            call.request, self._embeddings.answer(call.sent(EmbeddingRequest))
        )
        return Response(status_code=499) if found is None else found

    async def _answer(
        self, call: RouteCall, kind: Kind, request: SamplingRequest, served: ServedEntry, asked: WorkerRequest
    ) -> Response | Message:
        scored = asked.message["sampling"]["logprobs"] is not None
        envelope = Envelope(kind, request.model, int(self._clock().timestamp()), scored)
        messages = self._processes.of(served).ask(served, asked.message, asked.answers)
        # The client is gone and nobody reads the response; 499 shows it in logs.
        nobody = Response(status_code=499)
        if not asked.stream:
            done = await _cancel_on_disconnect(call.request, _last(messages))
            return nobody if done is None else complete_response(envelope, done)
        # Await the first message before streaming, so that a rejection becomes an error response.
        first = await _cancel_on_disconnect(call.request, _next(messages))
        if first is None:
            return nobody
        stream = events(envelope, _chained(first, messages), asked.answers, asked.include_usage)
        return _EventStream(stream, messages)


class _EventStream(StreamingResponse):
    """A stream of events; closing it cancels the generation."""

    def __init__(self, stream: AsyncIterator[str], messages: AsyncGenerator[Message, None]) -> None:
        headers = {"Cache-Control": "no-store"}
        super().__init__(stream, media_type="text/event-stream", headers=headers)
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; a disconnect, even before the first event, cancels the generation."""
        async with contextlib.aclosing(self._messages):
            await super().__call__(scope, receive, send)


def _live(call: RouteCall) -> Message:
    """Check whether the server is up."""
    return _LIVE


def _version(call: RouteCall) -> Message:
    """Get the release, in NIM's format."""
    return {"release": __version__, "api": "1.0.0", "product": "lawtags"}


async def _last(messages: AsyncGenerator[Message, None]) -> Message:
    last: Message = {}
    async with contextlib.aclosing(messages):
        async for message in messages:
            last = message
    return last


async def _next(messages: AsyncIterator[Message]) -> Message:
    return await anext(messages)


async def _chained(first: Message, rest: AsyncIterator[Message]) -> AsyncIterator[Message]:
    yield first
    async for message in rest:
        yield message


async def _cancel_on_disconnect(request: Request, work: Awaitable[R]) -> R | None:
    """Wait for work, and cancel it if the client disconnects."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
