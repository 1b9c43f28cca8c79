"""Server-sent events, read from bytes as they come."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from dataclasses import dataclass

DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its name (``"message"`` where it has none) and its data."""

    name: str
    data: str


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a stream, ended by CRLF, LF or CR.

    ``str.splitlines`` would also break at U+2028 and its like, which may stand inside JSON.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    buffer = ""
    async for chunk in chunks:
        buffer += decoder.decode(chunk)
        # A CR at the very end may be the first half of a CRLF.
        held = buffer.endswith("\r")
        text = buffer[:-1] if held else buffer
        *whole, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in whole:
            yield line
        buffer = rest + ("\r" if held else "")
    buffer += decoder.decode(b"", final=True)
    for line in buffer.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line:
            yield line


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream; comments and unknown fields are passed over."""
    name, data = "message", list[str]()
    async for line in lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(name, "\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    if data:
        yield ServerSentEvent(name, "\n".join(data))
