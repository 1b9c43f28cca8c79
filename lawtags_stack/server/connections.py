"""Limits the number of connections, and the time that one may take per request."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lawtags_stack.http.responses import error_response
from lawtags_stack.server.chaos_gate import DROP

_log = logging.getLogger(__name__)
_STEP = 1.0
# Files a stack needs besides connections: database, logs, sockets of workers, uploads.
_OTHER_FILES = 128
_TOO_MANY, _NO_REQUEST = "there were more connections than the limit", "no request arrived"
_SLOW_HEAD, _SLOW_BODY = "the head of a request was not complete in time", "the body of a request stalled"
_USELESS = "a request continued after its response"
_UNREAD = "the client did not read its response"


def _most_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if soft == resource.RLIM_INFINITY else min(1000, max(32, (soft - _OTHER_FILES) // 2))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits per client and in total.

    Args:
        most: maximum number of connections over all ports; half of the process's file limit.
        idle: seconds that a connection may stay open without a request.
        head: seconds from the first byte of a request to the end of its headers.
        body: seconds within which at least ``least`` further bytes of a body must arrive.
        least: bytes.
        unread: seconds that a client may read nothing of a response.
    """

    most: int = field(default_factory=_most_connections)
    idle: float = 30.0
    head: float = 10.0
    body: float = 30.0
    least: int = 1024
    unread: float = 60.0

    @property
    def backlog(self) -> int:
        """Connections to accept per event-loop iteration on each port."""
        return max(16, self.most // 4)


class ServerConnections:
    """The open connections of all ports, checked once per second.

    Args:
        limits: the limits to enforce.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.now = 0.0
        self._open: dict[LimitedProtocol, None] = {}
        self._closed: Counter[str] = Counter()
        self._looked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start checking."""
        loop = asyncio.get_running_loop()
        self._looked = loop.time()
        self._timer = loop.call_later(_STEP, self._check, loop)

    def stop(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()

    def add(self, connection: LimitedProtocol) -> bool:
        """Add a connection, and return whether it may stay; may evict the longest idle one."""
        if len(self._open) >= self.limits.most:
            self._closed[_TOO_MANY] += 1
            idle = next((each for each in self._open if not each.at_work()), None)
            if idle is None:
                return False
            self.remove(idle)
            idle.transport.abort()
        self._open[connection] = None
        return True

    def touch(self, connection: LimitedProtocol) -> None:
        """Move an active connection to the end of the idle order."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: LimitedProtocol) -> None:
        """Remove a closed connection."""
        self._open.pop(connection, None)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        # Time during which this process was blocked does not count against clients.
        self.now += min(loop.time() - self._looked, 2 * _STEP)
        self._looked = loop.time()
        for connection in [*self._open]:
            reason = connection.overdue(self.now)
            if reason is not None:
                self._closed[reason] += 1
        for reason, number in self._closed.items():
            _log.warning("closed %d connection%s: %s", number, "s" * (number > 1), reason)
        self._closed.clear()
        self._timer = loop.call_later(_STEP, self._check, loop)


class LimitedProtocol(H11Protocol):
    """HTTP with time limits; a request can close its own connection, for fault injection."""

    def __init__(self, connections: ServerConnections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections_of_all = connections
        self._received = 0
        self._since = connections.now  # start of the timed phase
        self._marked = 0  # bytes received at that time
        self._unsent, self._unsent_since = 0, connections.now
        self._within_head = False
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP] = self.transport.abort
            begun = False

            async def sending(message: Message) -> None:
                nonlocal begun
                begun = True
                await send(message)

            try:
                await inner(scope, receive, sending)
            except asyncio.CancelledError:
                # Cancelled by the server, which stops and waits no longer.
                if begun:
                    self.transport.abort()
                else:
                    await error_response(503, "The stack is shutting down")(scope, receive, send)

        self.app = app

    def at_work(self) -> bool:
        """Whether a request is being processed."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept or reject the connection."""
        super().connection_made(transport)
        if not self._connections_of_all.add(self):
            transport.write(_plain(503, "Service Unavailable", "too many connections", "Retry-After: 1\r\n"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._connections_of_all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Record the start of a request head, and process the data."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        if not self.at_work() and not self._within_head and not self._body_missing():
            self._within_head = True
            self._begin()
        super().data_received(data)
        if self.at_work() and self._within_head:
            self._within_head = False
            self._begin()
        self._connections_of_all.touch(self)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._within_head = False
        self._begin()
        super().on_response_complete()

    def overdue(self, now: float) -> str | None:
        """Close the connection if it exceeds a time limit, and return the reason."""
        limits, waited = self._connections_of_all.limits, now - self._since
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._unsent_since = now
        self._unsent = unsent
        if now - self._unsent_since > limits.unread:
            self.transport.abort()
            return _UNREAD
        if self._body_missing():
            going_on = self.flow.read_paused or self._received - self._marked >= limits.least
            # After a response, the rest of the body is useless, and could be endless.
            if going_on and self.at_work():
                self._since, self._marked = now, self._received
            elif waited > limits.body:
                return self._time_out(_SLOW_BODY if self.at_work() else _USELESS)
        elif self._within_head and waited > limits.head:
            return self._time_out(_SLOW_HEAD)
        elif not self.at_work() and not self._within_head and waited > limits.idle:
            self.transport.close()
            return _NO_REQUEST if not self._received else None
        return None

    def _begin(self) -> None:
        self._since, self._marked = self._connections_of_all.now, self._received

    def _body_missing(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def _time_out(self, reason: str) -> str:
        if not self.at_work() and not self._body_missing():
            self.transport.write(_plain(408, "Request Timeout", reason))
        elif self.at_work():
            if not self.cycle.response_started:
                self.transport.write(_plain(408, "Request Timeout", reason))
            # The reader of the body sees a disconnect, and nothing more is sent.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        return reason


def _plain(status: int, phrase: str, reason: str, headers: str = "") -> bytes:
    body = f'{{"detail":"{phrase}: {reason}"}}'
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{headers}Connection: close\r\n\r\n{body}"
    ).encode()
