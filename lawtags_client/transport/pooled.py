"""Connections for requests that may be repeated: aiohttp's, by httpx-aiohttp, beneath httpx.

httpx's own pool looks through all of its connections for each request, so that a call costs more the more of
them are in flight; aiohttp's does not. Three things are added to it: errors that say whether the request was
seen, connections that are not used again once anything has arrived on them unasked, and addresses that go to
the server as they were given.
"""

from __future__ import annotations

import asyncio
import io
import select
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream
from yarl import URL

from lawtags_client.transport.aiohttp_errors import renamed

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientResponse, ClientTimeout
    from aiohttp.client_middlewares import ClientHandlerType
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# A longer line of a head is taken for an attack or a mistake; httpx has the same limit for the whole head.
_LONGEST_LINE = 100 * 1024
# Longer bodies are sent in pieces.
_WHOLE = 1 << 16


class PooledTransport(AiohttpTransport):
    """Connections without a proxy, of one event loop.

    Args:
        tls: for ``https``.
        max_connections: most in use at once.
        keepalive: seconds after which a connection that was not used is not used again.
    """

    def __init__(self, tls: ssl.SSLContext, *, max_connections: int, keepalive: float) -> None:
        super().__init__(
            verify=tls, limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=keepalive)
        )
        self._session: _Session | None = None

    def get_client(self) -> aiohttp.ClientSession:
        """The session behind this transport; httpx-aiohttp asks for it at each request."""
        if self._session is None:
            self._session = _Session(self.ssl_context, self.limits)
        # It has what httpx-aiohttp uses of one.
        return cast("aiohttp.ClientSession", self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is read as it is asked for.

        Raises:
            httpx.TransportError: as httpx's own transport would.
        """
        response = await super().handle_async_request(request)
        response.stream = _Body(cast(AiohttpResponseStream, response.stream))
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Session:
    """aiohttp's session, which neither keeps cookies nor changes addresses, headers or errors.

    Args:
        tls: for ``https``.
        limits: of the connections.
    """

    def __init__(self, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        assert limits.max_connections is not None
        self._connector = _Connector(
            ssl=tls, limit=limits.max_connections, keepalive_timeout=limits.keepalive_expiry
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            middlewares=(self._connector.send,),
        )

    def request(self, *, url: str, data: Any = None, **options: Any) -> Any:
        """As aiohttp's, with the address in the very bytes in which it was given."""
        if isinstance(data, bytes) and len(data) > _WHOLE:
            # aiohttp would write it at once, and warn that the event loop stands still meanwhile.
            data = io.BytesIO(data)
        # Credentials in it have become a header already.
        return self._session.request(url=URL(url, encoded=True).with_user(None), data=data, **options)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        # A closed connection is let go in the next turn of the loop.
        await asyncio.sleep(0)

    def __del__(self) -> None:
        # A client that is never closed gets Python's own warning of its sockets, and no log entry.
        if not self._session.closed:
            self._session.detach()


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, with connections that are checked before they are used again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waiting: WeakKeyDictionary[ClientRequest, asyncio.Timeout] = WeakKeyDictionary()
        self._opened: WeakSet[ClientRequest] = WeakSet()

    def __del__(self, _warnings: object = None) -> None:
        # As in _Session.
        pass

    async def send(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Called by aiohttp for each request."""
        # Left to itself, aiohttp sends again whatever was lost, even over a new connection.
        try:
            return await handler(request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) or request in self._opened:
                raise renamed(error) or error from error.__cause__
        except (aiohttp.ClientError, OSError) as error:
            raise renamed(error) or error from error.__cause__
        # The server had closed a connection that was idle.
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            raise renamed(error) or error from error.__cause__

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Called by aiohttp."""
        # aiohttp's own timer for the wait would go on while the connection is opened.
        untimed = aiohttp.ClientTimeout(sock_connect=timeout.sock_connect)
        try:
            async with asyncio.timeout(timeout.connect) as self._waiting[req]:
                while True:
                    connection = await super().connect(req, traces, untimed)
                    if req in self._opened or _is_silent(connection):
                        return connection
                    connection.close()
        except TimeoutError as error:
            if req in self._opened:
                raise httpx.ConnectTimeout("no connection in time") from error
            raise httpx.PoolTimeout("no connection became free in time") from error
        except UnicodeError as error:
            raise httpx.ConnectError(str(error)) from error

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        self._opened.add(req)
        self._waiting[req].reschedule(None)
        # aiohttp's own timer covers neither the lookup of the name nor all of a host's addresses together.
        async with asyncio.timeout(timeout.sock_connect):
            protocol = await super()._create_connection(req, traces, timeout)
        if (closed := protocol.closed) is not None:
            closed.add_done_callback(_take_note)
        return protocol


class _Body(AiohttpResponseStream):
    """The body of an answer, in the pieces in which it comes, with errors by their right names."""

    def __init__(self, stream: AiohttpResponseStream) -> None:
        self._response = stream._aiohttp_response
        super().__init__(self._response)
        # Without a connection the body is here already.
        connection = self._response.connection
        self._protocol = connection.protocol if connection is not None else None
        self._closed = self._protocol.closed if self._protocol is not None else None
        if self._closed is not None:
            self._closed.add_done_callback(self._cut_off)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except Exception as error:
            raise renamed(error) or error from error.__cause__
        if self._ends_with_connection() and self._protocol is not None:
            # aiohttp takes a reset for such an end.
            ended = self._protocol.exception()
            if isinstance(ended, OSError):
                raise renamed(ended) or ended

    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._cut_off)
        await super().aclose()

    def _cut_off(self, closed: asyncio.Future[None]) -> None:
        # After a bad chunk aiohttp hangs up, and would let whoever reads wait for ever.
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))

    def _ends_with_connection(self) -> bool:
        return self._response.content_length is None and "transfer-encoding" not in self._response.headers


def _take_note(closed: asyncio.Future[None]) -> None:
    # What nobody looks at is reported as an error that was never retrieved.
    if not closed.cancelled():
        closed.exception()


def _is_silent(connection: Connection) -> bool:
    """Whether nothing has arrived since the last answer; it could be taken for the next one.

    Where the event loop was busy, it may not have been read yet.
    """
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close:
        return False
    handle = transport.get_extra_info("socket").fileno()
    if handle < 0:
        return False
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return not waiting.poll(0)
