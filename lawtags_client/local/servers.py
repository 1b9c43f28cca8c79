"""HTTP servers on sockets of our own, within the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from lawtags_client.errors import ConfigurationError
from lawtags_client.local.chaos.gate import DROP
from lawtags_client.local.port_owner import port_owner

GRACE_SECONDS = 2


class _Protocol(H11Protocol):
    """HTTP whose requests can close their connection, for tests of those who call."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[DROP] = self.transport.abort
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Servers:
    """Several applications, each on its socket, started and stopped together."""

    def __init__(self, applications: Sequence[tuple[ASGIApp, socket.socket]]) -> None:
        self._servers = [(_Server(_config(app)), listening) for app, listening in applications]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Serve; returns once every socket is answered."""
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[listening])) for server, listening in self._servers
        ]
        while not all(server.started for server, _ in self._servers):
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Finish what is under way, two seconds at most, and close the sockets."""
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, listening in self._servers:
            listening.close()


def listen(host: str, port: int, *, purpose: str) -> socket.socket:
    """A listening socket.

    Args:
        host: address or name to bind to.
        port: zero for any free one.
        purpose: what the port is for, for the message.

    Raises:
        ConfigurationError: the port is taken or may not be used; names it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host!r}: {error}", hint="Name another --host."
        ) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            owner = port_owner(port)
            raise ConfigurationError(
                f"port {port} for the {purpose} is taken on {host}" + (f" by {owner}" if owner else ""),
                hint="Name another --port, or 0 for free ones. A stack takes the port and the two after it.",
            ) from error
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="Name another --host or --port."
        ) from error
    listening.setblocking(False)
    return listening


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        lifespan="off",
        ws="none",
        http=_Protocol,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=30,
    )
