"""Single requests to models: lists, chats, completions, embeddings, classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Unpack

from lawtags_client.errors import NotFoundError, ProtocolError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Owner
from lawtags_client.services.extra_fields import extended, request_of
from lawtags_client.services.inference.pace import Allowance
from lawtags_client.services.inference.served import Served
from lawtags_client.services.inference.streaming import stream
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ClassifyRequest,
    Completion,
    CompletionChunk,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ServedModel,
)
from lawtags_client.types.request_fields import ChatFields, ClassifyFields, CompletionFields, EmbeddingFields

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_EMBEDDINGS, _CLASSIFY = "/v1/embeddings", "/v1/classify"


class ModelRequests:
    """One request to a model at a time.

    Args:
        http: the transport of the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: Owner) -> None:
        self._http = http
        self._owner = owner
        self._served = Served(http, owner.settings.inference_models_path, owner.clock)

    async def models(self) -> list[ServedModel]:
        """The models that are served now, including adapters."""
        return await self._served.models()

    async def served(self, model: str, *, timeout: float = 600) -> str:
        """Wait until a model is listed; an adapter needs a refresh of the server after its training.

        Args:
            model: its id, ``namespace/name@version``.
            timeout: seconds to wait.

        Raises:
            WaitTimeoutError: it was not listed in time.
        """
        return await self._served.wait(model, timeout)

    async def chat(
        self,
        request: ChatCompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion:
        """Request the next message of a chat.

        Example:
            ``await nemo.inference.chat(model=model, messages=[{"role": "user", "content": "Hello"}])``

        Args:
            request: the whole request, instead of its fields.
            extra_headers: sent with this request only.
            extra_body: fields of the API that have no parameter here.
            fields: model, messages and sampling.

        Raises:
            ConfigurationError: an argument is missing or invalid, or ``extra_body`` would overwrite one.
            NotFoundError: the model is not served.
        """
        asked = request_of(ChatCompletionRequest, request, fields)
        data = await self._post(
            CHAT, asked.model, extended(asked.to_wire(), extra_body), checked_headers(extra_headers)
        )
        return await parse(ChatCompletion, data, self._http)

    async def complete(
        self,
        request: CompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[CompletionFields],
    ) -> Completion:
        """Complete a text; arguments and errors as for ``chat``, with ``prompt`` in place of messages."""
        asked = request_of(CompletionRequest, request, fields)
        data = await self._post(
            COMPLETIONS, asked.model, extended(asked.to_wire(), extra_body), checked_headers(extra_headers)
        )
        return await parse(Completion, data, self._http)

    async def embed(
        self,
        request: EmbeddingRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[EmbeddingFields],
    ) -> EmbeddingResponse:
        """Turn texts into vectors; arguments as for ``chat``, with ``input`` in place of messages."""
        asked = request_of(EmbeddingRequest, request, fields)
        body, headers = extended(asked.to_wire(), extra_body), checked_headers(extra_headers)
        data = await self._http.json(Call("POST", _EMBEDDINGS, json=body, headers=headers, repeatable=True))
        return await parse(EmbeddingResponse, data, self._http)

    async def classify(
        self,
        request: ClassifyRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ClassifyFields],
    ) -> dict[str, JsonValue]:
        """Classify texts; the response depends on the model. Arguments as for ``embed``."""
        asked = request_of(ClassifyRequest, request, fields)
        body, headers = extended(asked.to_wire(), extra_body), checked_headers(extra_headers)
        data = await self._http.json(Call("POST", _CLASSIFY, json=body, headers=headers, repeatable=True))
        if not isinstance(data, dict):
            raise ProtocolError("the response is not a JSON object", service="inference")
        return data

    async def stream_chat(
        self,
        request: ChatCompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ChatFields],
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Stream the next message of a chat; arguments as for ``chat``.

        Raises:
            ProtocolError: the stream ended early, or carried an error.
        """
        asked = request_of(ChatCompletionRequest, request, fields)
        body = extended({**asked.to_wire(), "stream": True}, extra_body)
        headers = checked_headers(extra_headers)
        async with aclosing(stream(self._http, CHAT, body, ChatCompletionChunk, headers)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stream_completion(
        self,
        request: CompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[CompletionFields],
    ) -> AsyncIterator[CompletionChunk]:
        """Stream a completion; arguments as for ``complete``, errors as for ``stream_chat``."""
        asked = request_of(CompletionRequest, request, fields)
        body = extended({**asked.to_wire(), "stream": True}, extra_body)
        headers = checked_headers(extra_headers)
        async with aclosing(stream(self._http, COMPLETIONS, body, CompletionChunk, headers)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _post(
        self,
        path: str,
        model: str,
        body: Mapping[str, JsonValue],
        headers: Mapping[str, str],
        allowance: Allowance | None = None,
    ) -> JsonValue:
        # An answer made twice costs time and nothing else.
        call = Call("POST", path, json=body, headers=headers, repeatable=True)
        if allowance is not None:
            # Who has an allowance repeats by itself.
            read, total = allowance.read_timeout, allowance.total_timeout
            call = replace(call, read_timeout=read, total_timeout=total, max_retries=0)
        try:
            return await self._http.json(call)
        except NotFoundError as error:
            error.hint = await self._served.advice(model) or error.hint
            raise
