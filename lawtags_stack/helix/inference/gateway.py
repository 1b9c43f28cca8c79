"""The inference gateway: requests by virtual model, by entity or by provider, passed on to the provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.inference.providers import ADAPTERS, HelixProviders
from lawtags_stack.helix.inference.upstream import Upstream
from lawtags_stack.helix.inference.virtual_models import VirtualModels
from lawtags_stack.helix.refusals import HelixError, helix_error_response
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, helix_route
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.http.bodies import LARGEST_JSON, read_limited, strict_json
from lawtags_stack.http.operations import BINARY
from lawtags_stack.http.routing import ApiRoute, RouteCall, route

_ROOT = f"/apis/inference-gateway{WORKSPACE}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Kept apart from errors of the platform itself.
_BECOME_424 = (401, 403, 404)
_MOST_ERROR = 100_000


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request goes.

    Args:
        provider: the provider.
        served: the model's name there; None leaves the body as it is.
        entity: the name to give back in responses.
        named: whether errors name the provider.
    """

    provider: JsonObject
    served: str | None = None
    entity: str = ""
    named: bool = False


class HelixGateway:
    """The routes of the gateway.

    Args:
        providers: the providers.
        virtual_models: the virtual models.
        upstream: calls providers.
    """

    def __init__(self, providers: HelixProviders, virtual_models: VirtualModels, upstream: Upstream) -> None:
        self._providers = providers
        self._virtual_models = virtual_models
        self._upstream = upstream

    def routes(self) -> list[ApiRoute]:
        """All routes."""
        routes = [
            helix_route("GET", f"{_ROOT}/openai/-/v1/models", self._list),
            helix_route("GET", f"{_ROOT}/openai/-/v1/models/{{name:path}}", self._read),
            helix_route("GET", f"{_ROOT}/provider/{{name}}/ready", self._ready),
        ]
        kinds = (
            (f"{_ROOT}/openai/-/{{trailing:path}}", self._by_model),
            (f"{_ROOT}/provider/{{name}}/-/{{trailing:path}}", self._by_provider),
            (f"{_ROOT}/model/{{name:path}}/-/{{trailing:path}}", self._by_entity),
        )
        for path, handler in kinds:
            for method in _METHODS:
                routes.append(
                    route(
                        method,
                        path,
                        handler,
                        reads=bytes,
                        accepts=(BINARY,),
                        answers=dict,
                        on_error=helix_error_response,
                    )
                )
        return routes

    def _list(self, call: HelixCall) -> JsonObject:
        """List the virtual models."""
        return {
            "data": [_listed(each) for each in self._virtual_models.within(call.workspace)],
            "object": "list",
        }

    def _read(self, call: HelixCall) -> JsonObject:
        """Get a virtual model."""
        return _listed(self._virtual_model(call.path["name"], call.workspace))

    def _ready(self, call: HelixCall) -> JsonObject:
        """Check whether a provider's models are known."""
        workspace, name = call.workspace, call.path["name"]
        found = self._providers.find(workspace, name)
        if found is None or found["status"] != "READY":
            raise HelixError(404, f"Provider not ready for {workspace}/{name}")
        return {"status": "ready"}

    async def _by_model(self, call: RouteCall) -> Response:
        """Pass a request on by the virtual model, or the adapter, in its body."""
        content = await read_limited(call.request, LARGEST_JSON)
        body = _object(content)
        model = body.get("model") if body is not None else None
        if body is None or not isinstance(model, str):
            raise HelixError(400, "Could not extract model from openai request: 'model'")
        target = await run_in_threadpool(self._target, model, call.path["workspace"])
        return await self._pass_on(call, target, content, body)

    async def _by_entity(self, call: RouteCall) -> Response:
        """Pass a request on to an entity, or to an adapter of it."""
        content = await read_limited(call.request, LARGEST_JSON)
        body = _object(content)
        workspace, name = call.path["workspace"], call.path["name"]
        base, _, adapter = name.partition(ADAPTERS)
        entity = "/".join(split_reference(base, workspace))
        model = body.get("model") if body is not None else None
        if not adapter and isinstance(model, str) and model.startswith(f"{entity}{ADAPTERS}"):
            adapter = model.partition(ADAPTERS)[2]
        target = await run_in_threadpool(self._entity_target, entity, adapter, workspace)
        return await self._pass_on(call, target, content, body)

    async def _by_provider(self, call: RouteCall) -> Response:
        """Pass a request on to a provider, unchanged."""
        content = await read_limited(call.request, LARGEST_JSON)
        workspace, name = call.path["workspace"], call.path["name"]
        provider = await run_in_threadpool(self._providers.find, workspace, name)
        if provider is None:
            raise HelixError(404, f"Model provider not found for {workspace}/{name}")
        return await self._pass_on(call, _Target(provider), content, _object(content))

    def _target(self, model: str, workspace: str) -> _Target:
        base, _, adapter = model.partition(ADAPTERS)
        entity = "/".join(split_reference(base, workspace))
        if not adapter or self._providers.served(entity) is None:
            entity = str(self._virtual_model(base, workspace)["default_model_entity"])
        entity, _, own = entity.partition(ADAPTERS)
        return self._entity_target(entity, adapter or own, workspace)

    def _entity_target(self, entity: str, adapter: str, workspace: str) -> _Target:
        if not adapter:
            found = self._providers.served(entity)
            if found is None:
                raise HelixError(404, f"Routing table lookup failed: Model entity not found for {entity}")
            return _Target(found.provider, found.name, entity, named=True)
        wanted = "/".join(split_reference(adapter, workspace))
        found = self._providers.served(f"{entity}{ADAPTERS}{wanted}")
        if found is None:
            reason = f"Model entity not found for base model {entity} with adapter {wanted}"
            raise HelixError(404, f"Routing table lookup failed: {reason}")
        return _Target(found.provider, found.name, found.entity, named=True)

    def _virtual_model(self, name: str, workspace: str) -> JsonObject:
        owner, short = split_reference(name, workspace)
        found = self._virtual_models.find(owner, short)
        if found is None:
            raise HelixError(
                404,
                f"No VirtualModel named '{owner}/{short}' was found. Inference requests must resolve to a "
                "VirtualModel; one is auto-created for every served model entity. Check that the model "
                "entity exists and is currently served by a provider, or create a VirtualModel explicitly.",
            )
        return found

    async def _pass_on(
        self, call: RouteCall, target: _Target, content: bytes, body: JsonObject | None
    ) -> Response:
        path, query = call.path["trailing"], call.request.url.query
        content = _rewritten(target, content, body)
        # Reads secrets, so not on the event loop.
        request = await run_in_threadpool(
            self._upstream.request,
            target.provider,
            call.request.method,
            path,
            query,
            dict(call.request.headers),
            content,
        )
        try:
            response = await self._upstream.send(request)
        except httpx.ConnectError:
            host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
            reason = (
                f"Cannot connect to host {host}:{port} ssl:default [Connect call failed ('{host}', {port})]"
            )
            raise HelixError(502, f"Backend networking error: {reason}") from None
        except httpx.HTTPError as error:
            raise HelixError(502, f"Backend networking error: {type(error).__name__}: {error}") from None
        if response.status_code >= 400:
            raise await _refusal(response, target, path)
        return _answer(response, target)


def _rewritten(target: _Target, content: bytes, body: JsonObject | None) -> bytes:
    """The body for the provider, with the model's name there, and what the provider adds."""
    default, required = target.provider["default_extra_body"], target.provider["required_extra_body"]
    if body is None or (target.served is None and not default and not required):
        return content
    added = default if isinstance(default, dict) else {}
    forced = required if isinstance(required, dict) else {}
    model = {} if target.served is None else {"model": target.served}
    return json.dumps({**added, **body, **model, **forced}, ensure_ascii=False).encode("utf-8")


async def _refusal(response: httpx.Response, target: _Target, path: str) -> HelixError:
    """The error for a refusal of a provider."""
    content = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _MOST_ERROR:
                break
    except httpx.HTTPError:
        content += b"(the connection was lost)"
    finally:
        await response.aclose()
    text, status = bytes(content[:_MOST_ERROR]).decode("utf-8", "replace"), response.status_code
    after = response.headers.get("retry-after")
    headers = {} if after is None else {"retry-after": after}
    if status not in _BECOME_424:
        return HelixError(status, text, headers=headers)
    if target.named:
        provider = target.provider
        who = (
            f"Model provider '{provider['name']}' at upstream '{provider['host_url']}' rejected the request "
            f"for model '{target.entity}' with HTTP status {status} while proxying '{path}'."
        )
    else:
        who = f"The upstream model provider rejected the request with HTTP status {status}."
    return HelixError(
        424,
        f"{who} This is a client-side error and will not resolve by retrying. Verify the model name, that "
        "your credentials have access to it, and your request parameters. If this provider sits behind a "
        "gateway or proxy, check its logs for the originating upstream status and message. "
        f"[nemo_upstream_status={status}] Upstream response: {text}",
        headers=headers,
    )


def _answer(response: httpx.Response, target: _Target) -> Response:
    media = response.headers.get("content-type", BINARY)
    if target.served is None:
        chunks = _raw(response)
    elif media.startswith("text/event-stream"):
        chunks = _events(response, target.entity)
    else:
        chunks = _whole(response, target.entity)
    return StreamingResponse(chunks, response.status_code, {"content-type": media})


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    finally:
        await response.aclose()


async def _whole(response: httpx.Response, entity: str) -> AsyncIterator[bytes]:
    """A response with the entity's name as its model."""
    content = bytearray()
    async for chunk in _raw(response):
        content += chunk
    yield _renamed(bytes(content), entity)


async def _events(response: httpx.Response, entity: str) -> AsyncIterator[bytes]:
    """Server-sent events, each with the entity's name as its model, as soon as it arrives."""
    rest = b""
    async for chunk in _raw(response):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _event(line, entity) + b"\n"
    if rest:
        yield _event(rest, entity)


def _event(line: bytes, entity: str) -> bytes:
    name, colon, data = line.partition(b":")
    if name != b"data" or not colon or data.strip() == b"[DONE]":
        return line
    return b"data: " + _renamed(data.strip(), entity)


def _renamed(content: bytes, entity: str) -> bytes:
    body = _object(content)
    if body is None or "model" not in body:
        return content
    return json.dumps({**body, "model": entity}, ensure_ascii=False).encode("utf-8")


def _object(content: bytes) -> JsonObject | None:
    try:
        value: JsonValue = strict_json(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _listed(model: JsonObject) -> JsonObject:
    name = f"{model['workspace']}/{model['name']}"
    return {"id": name, "owned_by": model["workspace"], "object": "model", "created": 0}
