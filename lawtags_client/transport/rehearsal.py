"""Requests that are recorded in place of being sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.json_value import JsonValue

if TYPE_CHECKING:
    import httpx

    from lawtags_client.transport.http import Handler

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class RehearsedRequest:
    """A request that would be sent.

    Args:
        method: GET, POST and so on.
        path: with the query; the address before it is that of the settings.
        content_type: of the body.
        body: its bytes.
    """

    method: str
    path: str
    content_type: str
    body: bytes

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method in _READS


Rehearse = Callable[[RehearsedRequest], tuple[int, JsonValue]]
"""Gives the status and the JSON body of the answer to a request."""


def rehearsal_handler(answer: Rehearse, recorded: list[RehearsedRequest]) -> Handler:
    """A handler that records requests and answers them itself.

    Args:
        answer: of the service that is played.
        recorded: receives each request.
    """
    import httpx

    async def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode("ascii")
        kind = request.headers.get("content-type", "")
        found = RehearsedRequest(request.method, path, kind, await request.aread())
        recorded.append(found)
        status, content = answer(found)
        return httpx.Response(status, json=content)

    return httpx.MockTransport(handle)
