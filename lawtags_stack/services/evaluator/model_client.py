"""Calls the models of targets and judges through the OpenAI API, with retries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import urlsplit, urlunsplit

import httpx

from lawtags_client.errors import BadRequestError, NotFoundError, ServerError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.http.bodies import LARGEST_JSON, strict_json
from lawtags_stack.service import StackContext
from lawtags_stack.services.entity_store.records import ModelEndpoint
from lawtags_stack.services.evaluator.addresses import AddressPolicy, guarded_client, is_proxied, policy_of
from lawtags_stack.services.evaluator.model_spec import EndpointSpec, ModelFields
from lawtags_stack.services.evaluator.protocols import EvaluatorEntityStore

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 8.0


_CHAT, _COMPLETION = "/chat/completions", "/completions"


class Exchange(TypedDict):
    """A request to a model and its response."""

    request: JsonObject
    response: JsonObject


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The endpoint of a model.

    Args:
        url: a URL of the API: its base, e.g. ``.../v1``, or the path of any of its tasks.
        model_id: the model's name at the endpoint.
        api_key: sent as bearer token, never shown.
    """

    url: str
    model_id: str
    api_key: str | None = None

    @property
    def chats(self) -> bool:
        """Whether the URL is that of chat completions; false for a base URL."""
        return urlsplit(self.url).path.rstrip("/").endswith(_CHAT)

    def address(self, body: JsonObject) -> str:
        """The URL for a request: chat completions for messages, completions for a prompt."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        path = path.removesuffix(_CHAT if path.endswith(_CHAT) else _COMPLETION) or "/v1"
        return parts._replace(path=path + (_CHAT if "messages" in body else _COMPLETION)).geturl()

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model_id!r})"


class Endpoints:
    """Finds the endpoints of models.

    Args:
        context: the stack; its inference server serves models named by reference.
        entities: models by name.
    """

    def __init__(self, context: StackContext, entities: EvaluatorEntityStore) -> None:
        self._inference = context.urls.inference
        self._token = context.options.token
        self._entities = entities
        self.policy = policy_of(context)

    def find(self, model: str | ModelFields, *, chat: bool) -> Endpoint:
        """Find the endpoint of a target's model.

        Args:
            model: ``namespace/name[@version]``, or an object with ``api_endpoint``.
            chat: whether to use chat or plain completions for a model of the stack.

        Raises:
            BadRequestError: the object has neither a name nor an endpoint.
        """
        if isinstance(model, ModelFields):
            if model.endpoint is not None:
                return self._checked(model.endpoint)
            if not model.name:
                raise BadRequestError("The model of a target must be a reference or have an api_endpoint")
            model = f"{model.namespace or 'default'}/{model.name}"
        entity = self._entities.model_find(model)
        if entity is not None and entity.api_endpoint is not None:
            return self._checked(entity.api_endpoint)
        path = "chat/completions" if chat else "completions"
        return Endpoint(f"{self._inference}/v1/{path}", model, self._token)

    def _checked(self, endpoint: EndpointSpec | ModelEndpoint) -> Endpoint:
        self.policy.check(endpoint.url)
        key = endpoint.api_key or (self._token if self.policy.is_own(endpoint.url) else None)
        return Endpoint(endpoint.url, endpoint.model_id, key)


class ModelClient:
    """Sends requests to endpoints, with retries.

    Args:
        timeout: seconds per response.
        retries: maximum number of retries.
        policy: the allowed addresses.
    """

    def __init__(self, *, timeout: float, retries: int, policy: AddressPolicy) -> None:
        limits = httpx.Timeout(timeout, connect=10.0)
        self._direct = guarded_client(policy, limits)
        self._proxied = httpx.AsyncClient(timeout=limits, follow_redirects=False)
        self._timeout = timeout
        self._retries = retries
        self._policy = policy

    async def close(self) -> None:
        """Close the connections."""
        await self._direct.aclose()
        await self._proxied.aclose()

    async def ask(self, endpoint: Endpoint, body: JsonObject) -> Exchange:
        """Send a request to a model; the path depends on its content.

        Raises:
            BadRequestError: the server rejects the request.
            NotFoundError: the server does not know the model.
            ServerError: the server is unreachable, or keeps failing.
        """
        # Uncompressed: a few bytes could expand to gigabytes before the size check.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        url, sent = endpoint.address(body), {**body, "model": endpoint.model_id}
        content, problem = _encoded(sent), ""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(min(_LONGEST_PAUSE, 0.5 * 2 ** (attempt - 1)))
            try:
                # The client's timeout applies to each chunk, so a slow stream of chunks would never end.
                async with asyncio.timeout(self._timeout):
                    answer = await self._post(url, content, headers)
            except TimeoutError:
                problem = f"no complete answer in {self._timeout:g} s"
                continue
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code < 300:
                return {"request": sent, "response": _object(answer.content)}
            problem = f"HTTP {answer.status_code}: {_reason(answer.content)}"
            if answer.status_code == 404:
                raise NotFoundError(f"The inference server does not know {endpoint.model_id}: {problem}")
            if answer.status_code not in _AGAIN:
                raise BadRequestError(f"The inference server rejected the request: {problem}")
        raise ServerError(f"Error connecting to inference server at {_public(url)}: {problem}")

    async def _post(self, url: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        client = self._direct
        if is_proxied(url):
            await self._policy.check_proxied(url)
            client = self._proxied
        async with client.stream("POST", url, content=content, headers=headers) as answer:
            coding = answer.headers.get("content-encoding", "identity").strip().lower()
            if coding not in ("", "identity"):
                raise ServerError(
                    f"The response from {_public(url)} has the content-encoding {coding[:40]!r}, not identity"
                )
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > LARGEST_JSON:
                    raise ServerError(f"The response from {_public(url)} is larger than {LARGEST_JSON} bytes")
            return httpx.Response(answer.status_code, content=bytes(body))


def _public(url: str) -> str:
    """A URL without credentials and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _encoded(request: JsonObject) -> bytes:
    """Serialize a request; templates can produce values that JSON cannot represent."""
    try:
        return json.dumps(request, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The request to the model cannot be written as JSON: {error}") from None


def _start(content: bytes, most: int) -> str:
    # The charset comes from the server, and may name a codec that does not decode text.
    return content[: 4 * most].decode("utf-8", "replace")[:most]


def _reason(content: bytes) -> str:
    """The error message in a response, or the beginning of its body."""
    try:
        found = strict_json(content)
    except ValueError:
        return _start(content, 300)
    for name in ("error", "detail", "message"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return found[:300] if isinstance(found, str) else _start(content, 300)


def _object(content: bytes) -> JsonObject:
    try:
        found = strict_json(content)
    except ValueError as error:
        raise ServerError(
            f"The inference server's response is not valid JSON: {_start(content, 200)!r}"
        ) from error
    choices = found.get("choices") if isinstance(found, dict) else None
    whole = isinstance(choices, list) and choices and all(map(_is_choice, choices))
    if not isinstance(found, dict) or not whole:
        raise ServerError(f"The inference server's response has no choices: {_start(content, 200)!r}")
    return found


def _is_choice(value: JsonValue) -> bool:
    return isinstance(value, dict) and isinstance(value.get("message"), dict | None)


def output_text(response: JsonObject) -> str:
    """The text of the first choice of a response."""
    choices = response["choices"]
    choice = choices[0] if isinstance(choices, list) else None
    if not isinstance(choice, dict):
        return ""
    message = choice.get("message")
    found = message.get("content") if isinstance(message, dict) else choice.get("text")
    return str(found or "")
