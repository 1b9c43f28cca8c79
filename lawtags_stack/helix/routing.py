"""Routes of the Helix dialect: bodies are checked, and refused, as the real services do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.refusals import InvalidBodyError, helix_error_response
from lawtags_stack.helix.schemas import read_body, read_sent
from lawtags_stack.http.bodies import LARGEST_JSON, read_limited, strict_json
from lawtags_stack.http.operations import JSON
from lawtags_stack.http.routing import ApiRoute, RouteCall, route

WORKSPACE = "/v2/workspaces/{workspace}"


@dataclass(frozen=True, slots=True)
class HelixCall:
    """One request.

    Args:
        request: the raw request.
        workspace: the workspace in the path; ``-`` for all; empty on routes without one.
        path: the decoded path parameters.
        sent: the fields that were sent.
        body: the body with all defaults.
    """

    request: Request
    workspace: str
    path: dict[str, str]
    sent: JsonObject
    body: JsonObject

    @property
    def query(self) -> Sequence[tuple[str, str]]:
        """The pairs of the query string, decoded."""
        return self.request.query_params.multi_items()

    @property
    def is_service(self) -> bool:
        """Whether the caller says that it is a service of the platform."""
        return self.request.headers.get("x-nhx-principal-id", "").startswith("service:")


def helix_route(
    method: str,
    path: str,
    handler: Callable[[HelixCall], object],
    *,
    schema: str | None = None,
    any_object: bool = False,
    status: int = 200,
) -> ApiRoute:
    """Create a route whose handler runs in a thread.

    Args:
        method: HTTP method.
        path: Starlette's path pattern.
        handler: returns JSON-ready data, a ``Response``, or None for an empty body.
        schema: name of the body's schema in the OpenAPI document of Helix.
        any_object: read any JSON object as body, without a schema.
        status: the HTTP status of success.
    """

    async def read(call: RouteCall) -> object:
        sent: JsonObject = {}
        body: JsonObject = {}
        if schema is not None or any_object:
            value = decoded(await read_limited(call.request, LARGEST_JSON))
            if schema is not None:
                sent, body = await run_in_threadpool(_both, schema, value)
            else:
                sent = body = _object(value)
        names = dict(call.path)
        asked = HelixCall(call.request, names.get("workspace", ""), names, sent, body)
        return await run_in_threadpool(handler, asked)

    read.__name__ = getattr(handler, "__name__", "endpoint")
    return route(
        method,
        path,
        read,
        status=status,
        on_error=helix_error_response,
        answers=None if status == 204 else dict,
        reads=dict[str, JsonValue] if schema is not None or any_object else None,
        accepts=(JSON,),
        summary=(handler.__doc__ or f"{method} {path}").strip().partition("\n")[0],
    )


def decoded(content: bytes) -> JsonValue:
    """Decode a JSON body.

    Raises:
        InvalidBodyError: it is not valid JSON.
    """
    if not content.strip():
        missing = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        raise InvalidBodyError([missing])
    try:
        return strict_json(content)
    except ValueError as error:
        at = error.pos if isinstance(error, json.JSONDecodeError) else 0
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        fault: dict[str, object] = {
            "type": "json_invalid",
            "loc": ["body", at],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": reason},
        }
        raise InvalidBodyError([fault]) from None


def empty(status: int = 204) -> Response:
    """A response without a body."""
    return Response(status_code=status)


def _both(schema: str, value: JsonValue) -> tuple[JsonObject, JsonObject]:
    return read_sent(schema, value), read_body(schema, value)


def _object(value: JsonValue) -> JsonObject:
    if isinstance(value, dict):
        return value
    message = "Input should be a valid dictionary"
    raise InvalidBodyError([{"type": "dict_type", "loc": ["body"], "msg": message, "input": value}])
