"""One HTTP/1.1 connection on asyncio, whose errors are those of httpx.

What went wrong is told by where it went wrong: before the connection stood (``ConnectError``,
``ConnectTimeout``: the server has seen nothing), or after (``ReadError``, ``RemoteProtocolError``,
``ReadTimeout``: it may have acted).
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import Any

import h11
import httpx

# A longer head is taken for an attack or a mistake; httpx has the same limit.
_LONGEST_HEAD = 100 * 1024
# Reading pauses while more than this lies unread, so that a slow reader of a large file keeps memory small.
_MOST_UNREAD = 1 << 20
# Seconds between the attempts at a host's several addresses.
_NEXT_ADDRESS = 0.25


class Unanswered(httpx.RemoteProtocolError):
    """The server hung up without a byte of an answer, as it may on a connection that was idle."""


class Connection(asyncio.Protocol):
    """A connection that carries one request after the other."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unread = 0
        self._answering = False
        self._closed = False
        self._error: Exception | None = None

    @classmethod
    async def open(cls, url: httpx.URL, tls: ssl.SSLContext | None, timeout: float | None) -> Connection:
        """Connect to the host of a URL.

        Args:
            url: its scheme, host and port count.
            tls: for ``https``.
            timeout: seconds, for names, addresses and TLS together.

        Raises:
            httpx.ConnectTimeout: it took too long.
            httpx.ConnectError: the name is unknown, the connection refused, or the certificate not accepted.
        """
        loop = asyncio.get_running_loop()
        host = url.raw_host.decode("ascii")
        port = url.port or (443 if tls else 80)
        # A race of addresses that is cancelled in the moment it is won leaves its socket open (Python 3.11
        # and 3.12), so there is none where there is but one address.
        literal = ":" in host or host.replace(".", "").isdecimal()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    cls, host, port, ssl=tls, happy_eyeballs_delay=None if literal else _NEXT_ADDRESS
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from error
        return connection

    @property
    def idle(self) -> bool:
        """Whether it carries no request and still stands."""
        return not self._closed and self._http.our_state is h11.IDLE

    @property
    def ready(self) -> bool:
        """Whether it may carry the next request.

        What arrived since, its end included, may not have been read yet where the event loop was busy; it
        would be taken for the answer to the next request.
        """
        if not self.idle or self._transport is None:
            return False
        handle = self._transport.get_extra_info("socket").fileno()
        if handle < 0:
            return False
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return not waiting.poll(0)

    async def ask(self, request: httpx.Request, body: bytes, timeout: float | None) -> h11.Response:
        """Send a request and wait for the head of its answer.

        Args:
            request: its method, URL and headers count.
            body: its content.
            timeout: seconds to wait for each piece of the answer.

        Raises:
            Unanswered: the connection was closed before an answer began.
            httpx.TransportError: it broke, fell silent, or made no sense.
        """
        assert self._transport is not None
        self._answering = False
        try:
            head = h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
            parts = [self._http.send(head), self._http.send(h11.Data(data=body)) if body else b""]
            parts.append(self._http.send(h11.EndOfMessage()))
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        self._transport.write(b"".join(part for part in parts if part))
        while not isinstance(event := await self._next(timeout), h11.Response):
            pass  # informational ones come before the answer
        return event

    async def read(self, timeout: float | None) -> bytes:
        """The next piece of the answer's body; empty at its end.

        Raises:
            httpx.TransportError: it broke, fell silent, or ended too early.
        """
        event = await self._next(timeout)
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def rest(self) -> bool:
        """Make ready for another request; False where that cannot be, since something is left over."""
        if self._closed or (self._http.our_state, self._http.their_state) != (h11.DONE, h11.DONE):
            return False
        if self._http.trailing_data[0]:
            return False
        self._http.start_next_cycle()
        return True

    def close(self) -> None:
        """Hang up at once."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _next(self, timeout: float | None) -> Any:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            if self._closed:
                raise self._broken()
            self._unread = 0
            assert self._transport is not None
            self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiter
            except TimeoutError as error:
                raise httpx.ReadTimeout("the answer stopped coming") from error
            finally:
                self._waiter = None

    def _broken(self) -> httpx.TransportError:
        if not self._answering:
            return Unanswered(f"the server hung up without an answer: {self._error or 'connection closed'}")
        return httpx.ReadError(str(self._error or "connection closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self.idle:
            # Nobody asked; whatever it is, the next answer would be read wrongly after it.
            self.close()
            return
        self._answering = True
        self._http.receive_data(data)
        self._unread += len(data)
        if self._unread > _MOST_UNREAD and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        if not self._closed:
            self._closed, self._error = True, error
            if error is None and self._answering:
                self._http.receive_data(b"")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
