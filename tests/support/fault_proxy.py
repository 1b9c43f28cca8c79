"""A loopback proxy that drops, delays, truncates and corrupts traffic on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

Named = Literal[
    "pass", "lose request", "lose reply", "cut reply", "reset", "garble", "drip", "stall", "deliver late"
]
_END = b"\r\n\r\n"
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Close both connections after a number of bytes of the request body."""

    after: int


@dataclass(frozen=True, slots=True)
class CutReply:
    """Close the connection after a number of bytes of the response body."""

    after: int


@dataclass(frozen=True, slots=True)
class Delay:
    """Delay the response by a number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A response from the proxy itself.

    Args:
        status: its status.
        body: its body.
        headers: its headers except the length.
        forwarded: whether the request still goes to the server, whose response is dropped.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    forwarded: bool = False


Verdict = Named | CutRequest | CutReply | Delay | Answer


@dataclass(frozen=True, slots=True)
class Message:
    """One complete request: request line, headers, body."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((value for known, value in self.headers if known.lower() == name), None)

    def encoded(self) -> bytes:
        """The request as sent to the server, one per connection."""
        kept = [f"{name}: {value}" for name, value in self.headers if name.lower() != "connection"]
        return "\r\n".join([self.line, *kept, "Connection: close", "", ""]).encode("latin1") + self.body


class FaultProxy:
    """Forwards requests to a server, except as its judge decides.

    Args:
        upstream: the server's URL; without one every verdict must be an ``Answer``.
        judge: receives ``METHOD /path`` and returns the verdict.
        tls: serve TLS with this context.
    """

    def __init__(
        self, upstream: str | None, judge: Callable[[str], Verdict], *, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(upstream or "")
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._judge = judge
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._late: list[Message] = []
        # The event loop keeps only weak references.
        self._tasks: set[asyncio.Task[object] | None] = set()
        self.seen: list[tuple[str, Verdict]] = []
        self.messages: list[Message] = []
        self.connections = 0
        self.received = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(5)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async def stop() -> None:
            self._server.close()
            # An accepted connection gets its task one loop iteration later.
            for _ in range(3):
                await _end_all()
            await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def count(self, request: str) -> int:
        """The number of times a request was received."""
        return sum(1 for seen, _ in self.seen if seen == request)

    def deliver(self) -> int:
        """Send the server the requests held back as ``deliver late``, and return their number."""

        async def send() -> int:
            held, self._late = self._late, []
            for message in held:
                await self._forward(message)
            return len(held)

        return asyncio.run_coroutine_threadsafe(send(), self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        # Python 3.11 reports a cancelled handler as failed, so it must end normally.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                while await self._one(reader, writer):
                    pass
            finally:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request, and return whether the connection stays open."""
        lines = (await reader.readuntil(_END)).decode("latin1").split("\r\n")
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines[1:-2]))
        request = " ".join(lines[0].split(" ")[:2])
        verdict = self._judge(request)
        self.seen.append((request, verdict))
        message = Message(lines[0], headers, b"")
        if verdict == "reset":
            _reset(writer)
            return False
        size = int(message.header("content-length") or "0")
        if isinstance(verdict, CutRequest):
            await self._cut_request(reader, message, min(verdict.after, size))
            _reset(writer)
            return False
        message = Message(lines[0], headers, await self._read(reader, size))
        self.messages.append(message)
        return await self._reply(message, verdict, writer)

    async def _read(self, reader: asyncio.StreamReader, size: int) -> bytes:
        body = bytearray()
        while len(body) < size:
            piece = await reader.read(min(_PIECE, size - len(body)))
            if not piece:
                raise asyncio.IncompleteReadError(bytes(body), size)
            self.received += len(piece)
            body += piece
        return bytes(body)

    async def _reply(self, message: Message, verdict: Verdict, writer: asyncio.StreamWriter) -> bool:
        if verdict == "lose request":
            return False
        if verdict == "deliver late":
            self._late.append(message)
            return False
        if isinstance(verdict, Answer):
            if verdict.forwarded:
                await self._forward(message)
            writer.write(_encoded(verdict))
            await writer.drain()
            return True
        reply = await self._forward(message)
        return await self._spoil(reply, verdict, writer)

    async def _spoil(self, reply: bytes, verdict: Verdict, writer: asyncio.StreamWriter) -> bool:
        head = reply.index(_END) + len(_END)
        if verdict == "lose reply":
            return False
        if verdict == "stall":
            writer.write(reply[:head])
            await writer.drain()
            await asyncio.sleep(3600)
        elif verdict == "drip":
            for at in range(len(reply)):
                writer.write(reply[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0.02 if at >= head else 0)
        elif verdict == "cut reply" or isinstance(verdict, CutReply):
            after = verdict.after if isinstance(verdict, CutReply) else 5
            writer.write(reply[: head + after])
            await writer.drain()
        elif verdict == "garble":
            writer.write(reply[:head] + bytes(byte ^ 0x55 for byte in reply[head:]))
            await writer.drain()
        else:
            if isinstance(verdict, Delay):
                await asyncio.sleep(verdict.seconds)
            writer.write(reply.replace(b"\r\nconnection: close\r\n", b"\r\n", 1))
            await writer.drain()
            return b"content-length:" in reply[:head].lower()
        return False

    async def _forward(self, message: Message) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(message.encoded())
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()

    async def _cut_request(self, reader: asyncio.StreamReader, message: Message, after: int) -> None:
        body = await self._read(reader, after)
        _, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(Message(message.line, message.headers, body).encoded())
            await writer.drain()
        finally:
            writer.close()


async def _end_all() -> None:
    mine = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not mine]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)


def _encoded(answer: Answer) -> bytes:
    headers = [*answer.headers, ("content-length", str(len(answer.body)))]
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin1") + answer.body


def _reset(writer: asyncio.StreamWriter) -> None:
    # A linger time of zero makes the kernel send a reset instead of closing the connection properly.
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
