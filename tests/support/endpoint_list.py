"""The list of endpoints, and matching of requests to them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "endpoints.csv"
# A link from the service, or a path in a repository, may contain anything.
_ANYTHING = ("{href}", "{path}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the list.

    Args:
        service: its service.
        method: the HTTP method.
        path: with parameters in braces.
        call: the client's method, relative to ``NeMo``.
        test: the test that makes the call.
    """

    service: str
    method: str
    path: str
    call: str
    test: str

    def is_of(self, method: str, path: str) -> bool:
        """Whether a request matches this endpoint."""
        parts = re.split(r"(\{[^}]*\})", self.path)
        pattern = "".join(
            (".+" if part in _ANYTHING else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in parts
        )
        return method == self.method and re.fullmatch(pattern, path) is not None


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """Every row of the list."""
    with LIST.open(newline="", encoding="utf-8") as stream:
        return tuple(Endpoint(**row) for row in csv.DictReader(stream))


@dataclass
class Recorder(httpx.AsyncBaseTransport):
    """Forwards requests and records them."""

    inner: httpx.AsyncBaseTransport = field(default_factory=httpx.AsyncHTTPTransport)
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.method, request.url.raw_path.decode().partition("?")[0]))
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def missing(self, test: str) -> list[str]:
        """The endpoints that the list assigns to a test and that it has not called."""
        wanted = [endpoint for endpoint in endpoints() if endpoint.test == test]
        return [
            f"{endpoint.method} {endpoint.path}"
            for endpoint in wanted
            if not any(endpoint.is_of(*request) for request in self.seen)
        ]
