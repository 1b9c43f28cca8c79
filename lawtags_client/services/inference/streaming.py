"""Answers in pieces, as they are made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TypeVar

from pydantic import BaseModel

from lawtags_client.errors import ProtocolError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.parsing import parse
from lawtags_client.transport.body import UnreadableBody, decode_json
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.sse import DONE

C = TypeVar("C", bound=BaseModel)


async def stream(
    http: ServiceTransport,
    path: str,
    body: Mapping[str, JsonValue],
    kind: type[C],
    headers: Mapping[str, str],
) -> AsyncGenerator[C, None]:
    """The chunks of a streamed answer.

    Args:
        http: the transport of the service.
        path: where to ask.
        body: the request, with ``stream`` set.
        kind: what a chunk is.
        headers: further ones.

    Raises:
        ProtocolError: the stream ended early, or carried an error.
    """
    sent = {"accept": "text/event-stream", **headers}
    call = Call("POST", path, json=body, headers=sent, repeatable=True)
    # A caller that stops halfway must not leave the connection open until the collector comes by.
    async with aclosing(http.events(call)) as events:
        async for event in events:
            if event.data.startswith(DONE):
                return
            try:
                data = await decode_json(event.data.encode())
            except (ValueError, RecursionError, UnreadableBody) as error:
                raise _broken(f"an event that is not JSON: {event.data[:200]!r}", http) from error
            if event.name == "error" or (isinstance(data, dict) and "error" in data):
                raise _broken(f"an error in the stream: {event.data[:200]}", http)
            if event.name == "message":
                yield await parse(kind, data, http)
    raise _broken("the stream ended before it was done", http)


def _broken(what: str, http: ServiceTransport) -> ProtocolError:
    return ProtocolError(what, hint="Ask again.", service="inference", url=http.address.url)
