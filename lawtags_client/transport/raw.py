"""Replies as they came, for callers that want status, headers and body beside what was read from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lawtags_client.errors import ConfigurationError, ProtocolError
from lawtags_client.transport.headers import request_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with a success status, and its whole body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str


@dataclass(frozen=True, slots=True)
class RawResponse(Generic[T]):
    """The result of a call, with the response that it was read from.

    Attributes:
        status: the HTTP status.
        headers: of the response; names are case-insensitive.
        body: decompressed bytes.
        url: without its query.
        parsed: the result of the call.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str
    parsed: T

    @property
    def request_id(self) -> str | None:
        """The server's id for the request."""
        return request_id(self.headers)


def check_method(call: object) -> None:
    """Refuse what ``with_raw_response`` cannot call.

    Raises:
        ConfigurationError: ``call`` is not callable.
    """
    if not callable(call):
        raise ConfigurationError(
            f"with_raw_response takes a method, not a {type(call).__name__}",
            hint="Pass the method itself: nemo.with_raw_response(nemo.inference.models)",
        )


class Recording:
    """Keeps the last reply that was received while it was active."""

    def __init__(self) -> None:
        self.last: Reply | None = None

    def response(self, parsed: T) -> RawResponse[T]:
        """The last reply, with what was read from it.

        Raises:
            ProtocolError: no whole response was received.
        """
        if self.last is None:
            raise ProtocolError("the call received no response", hint="Streams have no raw response.")
        return RawResponse(self.last.status, self.last.headers, self.last.body, self.last.url, parsed)


_recording: ContextVar[Recording | None] = ContextVar("lawtags_recording", default=None)


@contextmanager
def recording() -> Iterator[Recording]:
    """Record the replies of the calls in a ``with`` block."""
    started = Recording()
    token = _recording.set(started)
    try:
        yield started
    finally:
        _recording.reset(token)


def record(reply: Reply) -> None:
    """Keep a reply, if replies are being recorded."""
    if (current := _recording.get()) is not None:
        current.last = reply
