"""What clients look at first: health, version, authentication, execution profiles."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.profiles import execution_profiles
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import HelixCall, helix_route
from lawtags_stack.http.responses import error_response
from lawtags_stack.http.routing import ApiRoute

_SERVICES = (
    "entities", "auth", "secrets", "files", "evals", "models", "jobs", "inference-gateway", "customization",
)  # fmt: skip
_VERSION: JsonObject = {"platform_version": "0.8.1", "revision": "lawtags"}
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def discovery_routes(folder: str) -> list[ApiRoute]:
    """The routes without a workspace.

    Args:
        folder: the stack's folder.
    """

    def profiles(call: HelixCall) -> list[JsonValue]:
        """List the execution profiles."""
        return execution_profiles(folder)

    status: JsonObject = {
        "status": "healthy",
        "services": {"ready": [*_SERVICES], "not_ready": []},
        "controllers": {"healthy": True, "status": {"entities": True, "models": True}},
    }
    evaluations: JsonObject = {
        "plugin": "evals",
        "status": "ok",
        "mode": "sdk-backed-job-scaffold",
        "jobs": ["evals.evaluate", "evals.agent-evaluate", "evals.retrieve-eval"],
    }
    answers: dict[str, JsonObject] = {
        "/health/live": {"status": "live"},
        "/health/ready": {"status": "ready"},
        "/status": status,
        "/cluster-info": _VERSION,
        "/apis/auth/discovery": {"auth_enabled": False, "oidc": None},
        "/apis/evals/v1/healthz": evaluations,
    }
    fixed = [_fixed(path, answer) for path, answer in answers.items()]
    return [
        *fixed,
        helix_route("GET", "/apis/jobs/v2/execution-profiles", profiles),
        helix_route("GET", "/apis/auth/authenticate", _unauthenticated),
        helix_route("GET", "/apis/auth/v2/access-keys", _no_access_keys),
    ]


def unmatched(routes: Sequence[ApiRoute], path: str) -> Route:
    """The route for all other paths: 404, or 405 if a route has another method.

    Args:
        routes: the routes of the dialect.
        path: Starlette's path pattern.
    """

    async def missing(request: Request) -> Response:
        allowed: set[str] = set()
        for each in routes:
            match, _ = each.matches(request.scope)
            if match is Match.PARTIAL:
                allowed |= set(each.methods or ()) - {"HEAD"}
        if allowed:
            return error_response(405, "Method Not Allowed", headers={"Allow": ", ".join(sorted(allowed))})
        return error_response(404, "Not Found")

    return Route(path, missing, methods=_METHODS)


def _fixed(path: str, answer: JsonObject) -> ApiRoute:
    def read(call: HelixCall) -> JsonObject:
        return answer

    return helix_route("GET", path, read)


def _unauthenticated(call: HelixCall) -> JsonObject:
    """Refuse to authenticate: this stack checks its own token before any route."""
    raise HelixError(401, "Missing bearer token")


def _no_access_keys(call: HelixCall) -> JsonObject:
    """Refuse access keys, which need authentication."""
    raise HelixError(404, "Scoped Access Keys are not enabled", code="access_keys_disabled")
