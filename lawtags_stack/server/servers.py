"""HTTP servers on given sockets, within the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from lawtags_client.errors import ConfigurationError
from lawtags_stack.port_owner import port_owner
from lawtags_stack.server.connections import ConnectionLimits, LimitedProtocol, ServerConnections

GRACE_SECONDS = 2
_WAITING = 1024


class _SocketServer(uvicorn.Server):
    """A uvicorn server that leaves signal handling to the owner of the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Servers:
    """Several applications, each on its socket, started and stopped together.

    Args:
        applications: each with its listening socket.
        limits: connection limits, shared by all applications.
    """

    def __init__(
        self, applications: Sequence[tuple[ASGIApp, socket.socket]], limits: ConnectionLimits | None = None
    ) -> None:
        self._connections = ServerConnections(limits or ConnectionLimits())
        self._servers = [
            (_SocketServer(_config(app, self._connections)), listening) for app, listening in applications
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start serving; returns once every socket accepts requests."""
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[listening])) for server, listening in self._servers
        ]
        while not all(server.started for server, _ in self._servers):
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)
        for _, listening in self._servers:
            # The event loop uses its backlog both as the number of connections to accept at once and as that
            # of the socket. Raise the latter, so that more connections can wait.
            listening.listen(_WAITING)
        self._connections.start()

    async def stop(self) -> None:
        """Finish running requests within two seconds, then close the sockets."""
        self._connections.stop()
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, listening in self._servers:
            listening.close()


def listen(host: str, port: int, *, purpose: str) -> socket.socket:
    """Open a listening socket.

    Args:
        host: address or name to bind to.
        port: zero for any free port.
        purpose: what the port is for, for the error message.

    Raises:
        ConfigurationError: the port is taken or not permitted; the message names it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host!r}: {error}", hint="Use another --host.") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            owner = port_owner(port)
            raise ConfigurationError(
                f"port {port} for the {purpose} is taken on {host}" + (f" by {owner}" if owner else ""),
                hint="Use another --port, or 0 for free ports. A stack uses the given port and the next two.",
            ) from error
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="Use another --host or --port."
        ) from error
    listening.setblocking(False)
    return listening


def _config(app: ASGIApp, connections: ServerConnections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        lifespan="off",
        ws="none",
        http=partial(LimitedProtocol, connections),  # type: ignore[arg-type]
        backlog=connections.limits.backlog,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=int(connections.limits.idle),
    )
