"""Calls, and the HTTP requests that carry them: addresses, headers, tokens and bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lawtags_client.json_value import JsonValue
from lawtags_client.settings import ServiceAddress, Settings
from lawtags_client.transport.body import JSON_LIMIT, encoded
from lawtags_client.transport.headers import secrets_in_headers
from lawtags_client.transport.redact import Redactor
from lawtags_client.transport.urls import parsed

if TYPE_CHECKING:
    import httpx

Stream: TypeAlias = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as a service means it.

    Args:
        method: GET, POST and so on.
        path: below the service's base; or a whole URL, which then gets no token.
        query: pairs of the query string.
        json: the body, as JSON.
        content: the body as bytes, or a function that produces its chunks again for every attempt.
        headers: beyond the usual ones; never shown anywhere.
        repeatable: doing it twice is the same as doing it once; by default all but POST.
        token: whether the service's token is sent.
        read_timeout: seconds between two pieces of the answer.
        total_timeout: seconds for everything, retries included.
        max_retries: attempts beyond the first.
        max_bytes: most bytes of an answer that is read into memory, after decompression.
    """

    method: str
    path: str
    query: Iterable[tuple[str, str]] = ()
    json: Mapping[str, JsonValue] | None = None
    content: bytes | Stream | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeatable: bool | None = None
    token: bool = True
    read_timeout: float | None = None
    total_timeout: float | None = None
    max_retries: int | None = None
    max_bytes: int = JSON_LIMIT


class Requests:
    """Builds the requests to one service.

    Args:
        address: where the service is.
        settings: the timeouts, and the secrets to mask.
        headers: sent with every request to the service.
    """

    def __init__(self, address: ServiceAddress, settings: Settings, headers: Mapping[str, str]) -> None:
        self.address = address
        self._settings = settings
        self._headers = headers
        self._timeouts = {
            "connect": settings.connect_timeout,
            **dict.fromkeys(("read", "write", "pool"), settings.read_timeout),
        }
        self._masks: tuple[frozenset[str], Redactor] | None = None

    def request(self, call: Call, client: httpx.AsyncClient) -> httpx.Request:
        """The request of a call, for one attempt."""
        import httpx

        # Given in full here: merging them with a client's own takes longer than all the rest of a request.
        headers = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "connection": "keep-alive",
            "user-agent": "lawtags",
        }
        if self._headers and self.is_ours(call):
            headers.update(self._headers)
        headers.update({name.lower(): value for name, value in call.headers.items()})
        content: bytes | AsyncIterator[bytes] | None = None
        if call.json is not None:
            headers.setdefault("content-type", "application/json")
            content = encoded(call.json)
        elif call.content is not None:
            content = call.content if isinstance(call.content, bytes) else call.content()
        if self.takes_token(call) and self.address.token:
            headers["authorization"] = f"Bearer {self.address.token}"
        timeout = dict(self._timeouts)
        if call.read_timeout is not None:
            timeout["read"] = call.read_timeout
        return httpx.Request(
            call.method,
            self.url(call),
            params=list(call.query) or None,
            headers=headers,
            cookies=client.cookies,
            content=content,
            extensions={"timeout": timeout},
        )

    def redirected(
        self, target: httpx.URL, same: bool, call: Call, client: httpx.AsyncClient
    ) -> httpx.Request:
        """The request of a call that was redirected.

        Args:
            target: where it leads.
            same: whether that is the server that was asked first.
            call: the call.
            client: sends it.
        """
        import httpx

        # Built again, since a streamed body can be read only once.
        moved = self.request(call, client)
        moved.url = target
        if not same:
            # Another server gets neither the token nor any other header of ours.
            moved.headers = httpx.Headers({"accept": moved.headers["accept"]})
        moved.headers["host"] = target.netloc.decode("ascii")
        return moved

    def takes_token(self, call: Call) -> bool:
        """Whether the service's token is sent; an Authorization header of the caller takes precedence."""
        if not call.token or not self.is_ours(call) or "authorization" in self._headers:
            return False
        return not call.headers or all(name.lower() != "authorization" for name in call.headers)

    def is_ours(self, call: Call) -> bool:
        """Whether a call goes to the service itself, not to a link that it gave."""
        return "://" not in call.path or call.path.startswith(self.address.url + "/")

    def url(self, call: Call) -> httpx.URL:
        """Where a call goes.

        Raises:
            ProtocolError: the address is not valid.
        """
        return parsed(call.path if "://" in call.path else self.address.url + call.path)

    def redactor(self, call: Call) -> Redactor:
        """What keeps secrets out of messages: those of settings, tokens, headers and the body."""
        if self._masks is None or self._masks[0] != self.address.credential.secrets:
            _ = self.address.token
            secrets = self.address.credential.secrets
            headers = secrets_in_headers(self._headers)
            self._masks = secrets, Redactor([*self._settings.secrets, *secrets, *headers])
        redactor = self._masks[1]
        if call.headers and (added := list(secrets_in_headers(call.headers))):
            redactor = redactor.with_secrets(added)
        return redactor if call.json is None else redactor.with_body(call.json)
