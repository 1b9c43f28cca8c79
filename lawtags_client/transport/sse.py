"""Server-sent events and other lines, read from bytes as they come."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from lawtags_client.transport.body import UnreadableBody

DONE = "[DONE]"

_LONGEST = 16 << 20
# What a line takes in memory beside its letters, so that an event of short lines is limited, too.
_LINE_COST = 64
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its name (``"message"`` where it has none) and its data."""

    name: str
    data: str


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a stream as text; otherwise as ``byte_lines``."""
    async for line in byte_lines(chunks):
        yield line.decode("utf-8", "replace")


async def byte_lines(chunks: AsyncIterator[bytes], longest: int = _LONGEST) -> AsyncIterator[bytes]:
    """The lines of a stream, ended by CRLF, LF or CR, without a byte order mark at its beginning.

    ``str.splitlines`` would also break at U+2028 and its like, which may stand inside JSON.

    Args:
        chunks: the stream.
        longest: bytes of a line.

    Raises:
        UnreadableBody: a line is longer.
    """
    buffer, searched, first = bytearray(), 0, True
    async for chunk in chunks:
        buffer += chunk
        begin = 0
        for end in _LINE_END.finditer(buffer, searched):
            # A CR at the very end may be the first half of a CRLF.
            if end.group() == b"\r" and end.end() == len(buffer):
                break
            line = bytes(buffer[begin : end.start()])
            yield _unmarked(line, first)
            begin, first = end.end(), False
        del buffer[:begin]
        if len(buffer) > longest:
            raise UnreadableBody(f"a line of its stream is longer than {longest >> 20} MiB")
        # Each byte is looked at once, however many chunks a line comes in.
        searched = max(0, len(buffer) - 1)
    if rest := bytes(buffer).removesuffix(b"\r"):
        yield _unmarked(rest, first)


def _unmarked(line: bytes, first: bool) -> bytes:
    return line.removeprefix(codecs.BOM_UTF8) if first else line


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream; comments and unknown fields are passed over.

    Raises:
        UnreadableBody: an event is longer than 16 MiB.
    """
    name, data, size = "message", list[str](), 0
    async for line in lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(name, "\n".join(data))
            name, data, size = "message", [], 0
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
            size += len(value) + _LINE_COST
            if size > _LONGEST:
                raise UnreadableBody(f"an event of its stream is longer than {_LONGEST >> 20} MiB")
    if data:
        yield ServerSentEvent(name, "\n".join(data))
