"""A loopback server that responds with arbitrary bytes, valid or not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A complete response with a length."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(*pieces: bytes, close: bool = False) -> Act:
    """Write pieces, then optionally close the connection."""

    async def act(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return act


async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection without a response."""
    writer.close()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Send nothing, and leave the connection open."""


def drip(piece: bytes, times: int, pause: float) -> Act:
    """Send a head, then a slow body."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * times))
        for _ in range(times):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return act


class RawServer:
    """Performs one act per request; the last one repeats.

    Args:
        acts: what happens after each request.
        greeting: what happens to the first connections before any request is read.
        tls: for ``https``.
        port: any free port by default.
    """

    def __init__(
        self,
        acts: Sequence[Act],
        *,
        greeting: Sequence[Act] = (),
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._acts = acts
        self._greeting = list(greeting)
        self._tls = tls
        self._port = port
        self._serving: set[asyncio.Task[None]] = set()
        self.requests: list[str] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self._greeting:
                    await self._greeting.pop(0)(writer)
                while True:
                    await self._one(reader, writer)
        finally:
            self.open -= 1
            self.left.set()
            self._serving.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lines = head.decode("latin1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        await reader.readexactly(int(headers.get("content-length", "0")))
        act = self._acts[min(len(self.requests), len(self._acts) - 1)]
        self.requests.append(" ".join(lines[0].split(" ")[:2]))
        self.asked.set()
        await act(writer)
