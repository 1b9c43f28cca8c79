"""The ASGI application of each port: routes, access control, and responses for unknown paths."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from time import monotonic

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lawtags_client.json_value import JsonObject
from lawtags_stack.http.openapi import document
from lawtags_stack.http.origin import OriginPolicy
from lawtags_stack.http.responses import JsonResponse, error_response, response_for_error
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.http.signing import is_signed
from lawtags_stack.server.chaos_gate import ChaosGate, RepositoryAges
from lawtags_stack.service import Port, Service, StackOptions
from lawtags_stack.times import Clock

_log = logging.getLogger(__name__)

HEALTH_PATHS = ("/health", "/v1/health", "/v1/health/live", "/v1/health/ready")
# The Helix dialect has its own; like those above, they need no token.
_HELIX_HEALTH_PATHS = ("/health/live", "/health/ready")


class Activity:
    """Tracks when the stack was last used."""

    def __init__(self) -> None:
        self.under_way = 0
        self.requests = 0
        self._last = monotonic()

    def began(self) -> None:
        """Record the start of a request."""
        self.under_way += 1
        self.requests += 1
        self.touch()

    def ended(self) -> None:
        """Record the end of a request."""
        self.under_way -= 1
        self.touch()

    def touch(self) -> None:
        """Reset the idle time."""
        self._last = monotonic()

    def idle_seconds(self) -> float:
        """Seconds since the last activity; zero during a request."""
        return 0.0 if self.under_way else monotonic() - self._last


@dataclass(frozen=True, slots=True)
class AccessGate:
    """Counts requests, and rejects those from web pages or without the required token."""

    app: ASGIApp
    activity: Activity
    token: str | None
    clock: Clock
    origins: OriginPolicy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = self.origins.refusal(scope)
        if reason is not None:
            _log.warning("rejected %s %r: %s", scope["method"], scope["path"][:200], reason)
            await error_response(403, reason)(scope, receive, send)
            return
        if scope["path"] in (*HEALTH_PATHS, *_HELIX_HEALTH_PATHS):
            # Health probes send no token, and do not count as use of the stack.
            await self.app(scope, receive, send)
            return
        self.activity.began()
        try:
            if self.token is None or self._allowed(scope, self.token):
                await self.app(scope, receive, send)
            else:
                sent = "authorization" in Headers(scope=scope)
                reason = (
                    "The token is not the one of this stack" if sent else "This stack requires a bearer token"
                )
                refused = error_response(401, reason, headers={"WWW-Authenticate": "Bearer"})
                await refused(scope, receive, send)
        finally:
            self.activity.ended()

    def _allowed(self, scope: Scope, token: str) -> bool:
        given = Headers(scope=scope).get("authorization", "")
        if hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode()):
            return True
        query = QueryParams(scope["query_string"])
        return is_signed(token, scope["method"], scope["path"], query, self.clock)


def application(
    port: Port, services: Sequence[Service], extra: Iterable[BaseRoute], activity: Activity, clock: Clock,
    options: StackOptions, url: str, origins: OriginPolicy, repositories: RepositoryAges,
) -> ASGIApp:  # fmt: skip
    """Create the application of a port.

    The platform's port also serves the other two, like a single host behind one ingress: the Data Store under
    its own paths, inference under its own except for ``/v1/models``, which is at ``/nim/v1/models``.

    Args:
        port: the port.
        services: all services of the stack.
        extra: additional routes of this port.
        activity: counts requests.
        clock: returns the time.
        options: the required token, and the faults to inject, if any.
        url: the port's URL.
        origins: rejects requests by origin.
        repositories: ages of repositories, for fault injection.
    """
    own = [route for service in services if service.port == port for route in service.routes]
    described = _description(port, services, url)
    if port == "platform" and options.dialect == "helix":
        routes = [described, *extra, *own]  # ends with the dialect's own route for all other paths
    else:
        aliases = _aliases(services, own) if port == "platform" else []
        routes = [*own, *_health(port, services), described, *extra, *aliases]
        routes.append(_rest(routes))
    app = Starlette(routes=routes, exception_handlers={Exception: _unexpected, 404: _unmatched})
    within: ASGIApp = app
    if options.chaos is not None:
        within = ChaosGate(app, port, options.chaos, repositories, clock)
    return AccessGate(within, activity, options.token, clock, origins)


def _aliases(services: Sequence[Service], own: Sequence[BaseRoute]) -> list[BaseRoute]:
    taken = {route.path for route in own if isinstance(route, Route)}
    aliases: list[BaseRoute] = []
    for service in services:
        if service.port == "data_store":
            aliases += service.routes
        elif service.port == "inference":
            aliases += [r for r in service.routes if isinstance(r, Route) and r.path not in taken]
            aliases.append(Mount("/nim", routes=[*service.routes, _rest(service.routes)]))
    return aliases


def _description(port: Port, services: Sequence[Service], url: str) -> Route:
    groups = [
        (service.name, [each for each in service.routes if isinstance(each, ApiRoute)])
        for service in services
        if service.port == port
    ]
    made = cache(partial(document, f"lawtags embedded stack: {port.replace('_', ' ')}", groups, url))

    def openapi(request: Request) -> Response:
        return JsonResponse(made())

    return Route("/openapi.json", openapi, methods=["GET"])


def _health(port: Port, services: Sequence[Service]) -> list[Route]:
    names = [service.name for service in services if service.port == port]
    body = {
        "object": "health.response",
        "status": "ready",
        "message": "Service is ready.",
        "services": names,
    }

    async def ready(request: Request) -> Response:
        return JsonResponse(body)

    return [Route(path, ready, methods=["GET"]) for path in HEALTH_PATHS]


def _rest(routes: Sequence[BaseRoute]) -> Route:
    async def missing(request: Request) -> Response:
        allowed = _other_methods(routes, request.scope)
        if allowed:
            return error_response(
                405,
                f"{request.method} is not allowed for {request.url.path}",
                headers={"Allow": ", ".join(sorted(allowed))},
            )
        available = str(request.url.replace(path="/openapi.json", query="", fragment=""))
        return error_response(
            501, f"{request.method} {request.url.path} is not part of this stack", available=available
        )

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route("/{path:path}", missing, methods=methods)


def _other_methods(routes: Sequence[BaseRoute], scope: Scope) -> set[str]:
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.path != "/{path:path}":
            match, _ = route.matches(scope)
            if match is Match.PARTIAL:
                found |= set(route.methods or ())
    return found


async def _unmatched(request: Request, error: Exception) -> Response:
    # A path with a line break does not match even the catch-all route.
    return error_response(404, "The path is invalid")


async def _unexpected(request: Request, error: Exception) -> Response:
    return response_for_error(error)


def status_route(services: Sequence[Service], about: JsonObject) -> Route:
    """The route behind ``lawtags local status``."""

    def status(request: Request) -> Response:
        shown = {service.name: service.summary() for service in services}
        return JsonResponse({**about, "services": shown, "busy": [s.name for s in services if s.busy()]})

    return Route("/v1/stack/status", status, methods=["GET"])
