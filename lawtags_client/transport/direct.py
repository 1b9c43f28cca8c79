"""A lean pool of connections beneath httpx's interface, for requests that may be repeated.

For each request httpx's own pool looks through all of its connections, under a lock, so that a call costs
more the more of them are in flight. This one takes a free connection from a stack. It knows neither proxies
nor HTTP/2 nor bodies that are sent in pieces, and asks again by itself where a connection that had been idle
turns out to be closed: what makes something new goes another way.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import httpx

from lawtags_client.transport.connection import Connection, Unanswered

Origin: TypeAlias = tuple[str, bytes, int | None]


class DirectTransport(httpx.AsyncBaseTransport):
    """Connections without a proxy.

    Args:
        tls: gives the TLS context; asked for ``https`` only.
        max_connections: most in use at once.
        keepalive: seconds after which a connection that was not used is not used again.
    """

    def __init__(self, *, tls: Callable[[], ssl.SSLContext], max_connections: int, keepalive: float) -> None:
        self._tls = tls
        self._most = max_connections
        self._keepalive = keepalive
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free: dict[Origin, list[tuple[float, Connection]]] = {}
        self._gate = asyncio.Semaphore(max_connections)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is read as it is asked for.

        Raises:
            httpx.TransportError: as httpx's own transport would.
        """
        timeouts = request.extensions.get("timeout", {})
        body = await request.aread()
        self._use_here()
        await self._admitted(timeouts.get("pool"))
        connection: Connection | None = None
        try:
            connection = self._take(request.url)
            if connection is not None:
                try:
                    return await self._answer(connection, request, body)
                except Unanswered:
                    # Whoever deletes must know that one may have happened already: the next finds nothing.
                    if request.method == "DELETE":
                        raise
                    connection.close()
            connection = await self._open(request.url, timeouts.get("connect"))
            return await self._answer(connection, request, body)
        except BaseException:
            if connection is not None:
                connection.close()
            self._gate.release()
            raise

    async def aclose(self) -> None:
        """Close what is free; what is in use closes with its answer."""
        free, self._free = self._free, {}
        for connections in free.values():
            for _, connection in connections:
                connection.close()
        # A closed connection is let go in the next turn of the loop.
        await asyncio.sleep(0)

    async def _answer(self, connection: Connection, request: httpx.Request, body: bytes) -> httpx.Response:
        timeout = request.extensions.get("timeout", {}).get("read")
        head = await connection.ask(request, body, timeout)
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(connection, timeout, self._giving_back(request.url, connection)),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": bytes(head.reason)},
        )

    async def _admitted(self, timeout: float | None) -> None:
        if not self._gate.locked():
            await self._gate.acquire()
            return
        try:
            async with asyncio.timeout(timeout):
                await self._gate.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("no connection became free in time") from error

    async def _open(self, url: httpx.URL, timeout: float | None) -> Connection:
        return await Connection.open(url, self._tls() if url.scheme == "https" else None, timeout)

    def _take(self, url: httpx.URL) -> Connection | None:
        free = self._free.get(_origin(url), [])
        while free:
            since, connection = free.pop()
            if connection.ready and time.monotonic() - since < self._keepalive:
                return connection
            connection.close()
        return None

    def _giving_back(self, url: httpx.URL, connection: Connection) -> Callable[[], None]:
        gate, free = self._gate, self._free

        def give_back() -> None:
            gate.release()
            # Closed meanwhile, or used in another loop: nobody would ever take it again.
            kept = free is self._free
            if kept and connection.rest():
                free.setdefault(_origin(url), []).append((time.monotonic(), connection))
                self._drop_oldest()
            else:
                connection.close()

        return give_back

    def _drop_oldest(self) -> None:
        if sum(map(len, self._free.values())) > self._most:
            oldest = min((free for free in self._free.values() if free), key=lambda free: free[0][0])
            oldest.pop(0)[1].close()

    def _use_here(self) -> None:
        """Begin anew where another loop runs than before: connections belong to the loop that made them."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._free = loop, {}
            self._gate = asyncio.Semaphore(self._most)


class _Body(httpx.AsyncByteStream):
    """The body of an answer, which gives its connection back at the end."""

    def __init__(self, connection: Connection, timeout: float | None, give_back: Callable[[], None]) -> None:
        self._connection = connection
        self._timeout = timeout
        self._give_back: Callable[[], None] | None = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._connection.read(self._timeout):
            yield piece

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.raw_host, url.port
