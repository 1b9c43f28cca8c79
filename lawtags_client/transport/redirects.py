"""Which redirects are followed, and where to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.errors import ProtocolError
from lawtags_client.transport import failures, retry
from lawtags_client.transport.urls import parsed, same_place

if TYPE_CHECKING:
    import httpx

_STATUS = frozenset({301, 302, 303, 307, 308})


def is_redirect(response: httpx.Response) -> bool:
    """Whether an answer leads elsewhere."""
    return response.status_code in _STATUS and "location" in response.headers


def followed(
    begun: httpx.URL, request: httpx.Request, response: httpx.Response, context: failures.Context
) -> tuple[httpx.URL, bool]:
    """Where a redirect leads, and whether it never left the server that was asked first.

    Args:
        begun: where the call went at first.
        request: the one that was redirected.
        response: the redirect.
        context: the call, for messages.

    Raises:
        AttemptFailed: the redirect is not followed.
    """
    target = _target(request, response, context)
    # An earlier redirect may have led away: that server must not get the token by one of its own.
    same = same_place(begun, request.url) and same_place(request.url, target)
    if target.scheme not in ("http", "https") or (request.url.scheme == "https" != target.scheme):
        raise retry.AttemptFailed(failures.refused_redirect(f"leads to {target.scheme}", context, response))
    reading = context.method in ("GET", "HEAD")
    if not reading and (not same or response.status_code not in (307, 308)):
        raise retry.AttemptFailed(failures.refused_redirect(f"leads to {target.host}", context, response))
    return target, same


def _target(request: httpx.Request, response: httpx.Response, context: failures.Context) -> httpx.URL:
    import httpx

    try:
        # Names that are no names are found only when they are taken apart.
        return parsed(str(request.url.join(response.headers["location"])))
    except (httpx.InvalidURL, ValueError, ProtocolError) as error:
        failure = failures.refused_redirect("leads to no valid address", context, response)
        raise retry.AttemptFailed(failure) from error
