"""Messages between a worker and its parent process: JSON with a length prefix of four bytes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lawtags_client.errors import ProtocolError

if TYPE_CHECKING:
    import asyncio

Message: TypeAlias = dict[str, Any]
"""A message between processes; its fields depend on its kind."""

LARGEST = 256 << 20
_HEAD = struct.Struct(">I")


def pack(message: Mapping[str, object]) -> bytes:
    """Encode a message; NaN and infinities are allowed."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return _HEAD.pack(len(body)) + body


def unpack(body: bytes) -> Message:
    """Decode the body of a message.

    Raises:
        ProtocolError: it is not a JSON object.
    """
    try:
        message = json.loads(body.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise ProtocolError(f"a message from the worker is not valid JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError("a message from the worker is not an object")
    return message


def receive(connection: socket.socket) -> Message | None:
    """Wait for the next message; None if the other side is gone.

    Raises:
        ProtocolError: the message is invalid.
    """
    head = _exactly(connection, _HEAD.size)
    if head is None:
        return None
    body = _exactly(connection, _length(head))
    return None if body is None else unpack(body)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(min(size - len(data), 1 << 20))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def _length(head: bytes) -> int:
    size: int = _HEAD.unpack(head)[0]
    if size > LARGEST:
        raise ProtocolError(f"a message of {size} bytes exceeds the limit of {LARGEST} bytes")
    return size


async def receive_async(reader: asyncio.StreamReader) -> Message | None:
    """Like ``receive``, for asyncio."""
    from asyncio import IncompleteReadError  # local, to keep worker startup fast

    try:
        head = await reader.readexactly(_HEAD.size)
        return unpack(await reader.readexactly(_length(head)))
    except (IncompleteReadError, ConnectionError):
        return None
