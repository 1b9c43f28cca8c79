"""Routes: from a request to a handler and to the response."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lawtags_client.json_value import JsonValue
from lawtags_stack.http.bodies import (
    LARGEST_JSON,
    check_media_type,
    parse_json,
    read_limited,
    validate,
)
from lawtags_stack.http.operations import JSON, Operation, Parameter, summary_of
from lawtags_stack.http.query import ListQuery, parse_list_query
from lawtags_stack.http.responses import response_for_error, to_response

_LARGE_BODY = 1 << 20
BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class RouteCall:
    """One parsed request.

    Args:
        request: the raw request, for headers and streams.
        path: the decoded path parameters; ``+`` and ``@`` are kept.
        body: the validated body if the route declares a type; the decoded JSON for any JSON.
    """

    request: Request
    path: Mapping[str, str]
    body: object = None

    def sent(self, kind: type[BodyT]) -> BodyT:
        """The body, as the type that the route declares."""
        assert isinstance(self.body, kind)
        return self.body

    def list_query(self, sorts: Collection[str] = ("created_at",)) -> ListQuery:
        """The list request in the query string.

        Raises:
            UnprocessableError: see ``parse_list_query``.
        """
        return parse_list_query(self.request.query_params.multi_items(), sorts=sorts)

    @property
    def base_url(self) -> str:
        """The base URL that the caller used, without a trailing slash."""
        return str(self.request.base_url).rstrip("/")


class ApiRoute(Route):
    """A route with metadata for OpenAPI."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str, operation: Operation
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.operation = operation


def route(
    method: str,
    path: str,
    handler: Callable[[RouteCall], object],
    *,
    body: type[BaseModel] | type[dict[str, JsonValue]] | None = None,
    status: int = 200,
    limit: int = LARGEST_JSON,
    on_error: Callable[[Exception], Response] = response_for_error,
    answers: object = None,
    gives: str = JSON,
    reads: object = None,
    accepts: Sequence[str] = (JSON,),
    query: Sequence[Parameter] = (),
    summary: str | None = None,
) -> ApiRoute:
    """Create a route whose handler receives a ``RouteCall`` and returns the response.

    A plain function runs in a thread and may use the disk; a coroutine function runs on the event loop and
    must not. Expected errors become error responses of the API.

    Args:
        method: ``"GET"``, ``"POST"``, ...
        path: Starlette's path pattern.
        handler: returns JSON-ready data, a wire type, a ``Response``, or ``None`` for an empty body.
        body: type to validate the body; ``dict`` for any JSON object; ``None`` does not read it.
        status: the HTTP status of success.
        limit: maximum size of the body in bytes.
        on_error: converts an exception to a response.
        answers: for OpenAPI: the type of the response; see ``Operation``.
        gives: for OpenAPI: its media type.
        reads: type of a body that the handler reads itself.
        accepts: the media types of the body; others get 415.
        query: for OpenAPI: the query parameters.
        summary: for OpenAPI: a description; by default the first sentence of the handler's docstring.
    """

    async def endpoint(request: Request) -> Response:
        try:
            content = None
            if body is not None or reads is not None:
                check_media_type(request, accepts)
            if body is not None:
                sent = await read_limited(request, limit)
                if len(sent) > _LARGE_BODY:  # would block other requests for too long
                    content = await run_in_threadpool(_checked, body, sent)
                else:
                    content = _checked(body, sent)
            call = RouteCall(request, request.path_params, content)
            if inspect.iscoroutinefunction(handler):
                return to_response(await handler(call), status)
            return to_response(await run_in_threadpool(handler, call), status)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone
        except Exception as error:
            return on_error(error)

    endpoint.__name__ = getattr(handler, "__name__", "endpoint")
    described = Operation(
        body=reads if reads is not None else body,
        answers=answers,
        status=status,
        query=tuple(query),
        accepts=tuple(accepts),
        gives=gives,
        summary=summary or summary_of(handler, f"{method} {path}"),
    )
    return ApiRoute(path, endpoint, method, described)


def _checked(kind: type[object], sent: bytes) -> object:
    value = parse_json(sent)
    if issubclass(kind, BaseModel):
        return validate(kind, value)
    return validate(_AnyObject, {"value": value}).value


class _AnyObject(BaseModel):
    value: dict[str, object]
