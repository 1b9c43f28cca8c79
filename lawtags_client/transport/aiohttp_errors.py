"""What aiohttp's errors are called in httpx's terms.

httpx-aiohttp names most of them ``ConnectTimeout``, a lost reply included. Here a name says when the fault
happened: ``ConnectError`` and ``ConnectTimeout`` stand for requests that no server has seen, the others for
requests that one may have acted on.
"""

from __future__ import annotations

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError


def renamed(error: BaseException) -> httpx.TransportError | None:
    """The error of httpx for one of aiohttp; None where it is not from aiohttp's connections."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(str(error.__cause__ or error))
    if isinstance(error, aiohttp.ServerTimeoutError):
        return httpx.ReadTimeout("the answer stopped coming")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError("the server hung up without an answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        said = _first_line(error.__cause__ or error)
        return httpx.RemoteProtocolError(f"the body is cut off or garbled: {said}")
    if isinstance(error, aiohttp.ClientResponseError):
        return httpx.RemoteProtocolError(_of_head(error))
    if isinstance(error, HttpProcessingError):
        return httpx.RemoteProtocolError(f"the body is garbled: {_first_line(error)}")
    if isinstance(error, aiohttp.ClientConnectionError):
        return httpx.ReadError(_first_line(error) or "connection closed")
    return None


def _of_head(error: aiohttp.ClientResponseError) -> str:
    said = _first_line(error.__cause__ or error)
    # h11 calls it so, too: whoever hints at https:// need not know which of the two has read the answer.
    illegal = said.startswith(("Bad status line", "Expected HTTP/"))
    return f"illegal status line: {said}" if illegal else f"the answer is garbled: {said}"


def _first_line(error: BaseException) -> str:
    # aiohttp's parser shows the bytes at fault below the first line.
    message = error.message if isinstance(error, HttpProcessingError) else str(error)
    return message.strip().partition("\n")[0].rstrip(":.")[:200]
