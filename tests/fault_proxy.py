"""A proxy on loopback that loses requests and replies on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

Verdict = Literal["pass", "lose reply", "lose request", "cut reply"]
_END = b"\r\n\r\n"


class FaultProxy:
    """Passes one request a connection on to a server, unless its judge says otherwise.

    Args:
        upstream: the server's address.
        judge: gets ``METHOD /path``; says what becomes of it.
    """

    def __init__(self, upstream: str, judge: Callable[[str], Verdict]) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._judge = judge
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.seen: list[tuple[str, Verdict]] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(5)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async def stop() -> None:
            self._server.close()
            mine = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def count(self, request: str) -> int:
        """How often a request was asked for."""
        return sum(1 for seen, _ in self.seen if seen == request)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(_END)
            lines = head.decode("latin1").split("\r\n")
            request = " ".join(lines[0].split(" ")[:2])
            verdict = self._judge(request)
            self.seen.append((request, verdict))
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            if verdict != "lose request":
                reply = await self._forward(lines, body)
                if verdict == "pass":
                    writer.write(reply)
                elif verdict == "cut reply":
                    writer.write(reply[: reply.index(_END) + len(_END) + 5])
                await writer.drain()
        writer.close()

    async def _forward(self, lines: list[str], body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        kept = [line for line in lines if line and not line.lower().startswith("connection:")]
        writer.write("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin1") + body)
        await writer.drain()
        reply = await reader.read(-1)
        writer.close()
        return reply
