"""Requests and replies: one HTTP client for all services, with deadlines, retries and typed failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lawtags_client.closing import closing
from lawtags_client.errors import APIError, LawtagsError, ProtocolError
from lawtags_client.json_value import JsonValue
from lawtags_client.settings import ServiceAddress, ServiceName, Settings
from lawtags_client.transport import failures, redirects, retry
from lawtags_client.transport.body import (
    ERROR_LIMIT,
    UnreadableBody,
    body_pieces,
    decode_json,
    read_body,
)
from lawtags_client.transport.call import Call, Requests
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.connections import Connections
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.hooks import EventHooks
from lawtags_client.transport.observing import Observer
from lawtags_client.transport.raw import Reply, record
from lawtags_client.transport.sse import ServerSentEvent, byte_lines, events
from lawtags_client.transport.urls import shown

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handler: TypeAlias = "httpx.AsyncBaseTransport"

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOST_REDIRECTS = 5


# What is taken of an answer whose head has come.
Take: TypeAlias = Callable[["httpx.Response", Call, failures.Context], Coroutine[None, None, T]]


class Transport:
    """The connections of one client.

    Args:
        settings: addresses, credentials, timeouts.
        clock: time, sleep and chance.
        handler: answers instead of the network, for tests.
        headers: sent with every request to a service; never shown anywhere.
        event_hooks: called before each request and after each response.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        handler: httpx.AsyncBaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.observer = Observer(event_hooks, self.clock)
        self.headers = checked_headers(headers)
        self.budget = retry.RetryBudget()
        self.connections = Connections(settings, handler)
        self._addresses: dict[ServiceName, ServiceAddress] = {}

    def with_options(self, settings: Settings, headers: Mapping[str, str] | None = None) -> Transport:
        """A copy with other limits and further headers, on the same connections.

        Tokens that were renewed and the budget of retries are shared, too.

        Args:
            settings: those of this transport, with other timeouts or retries.
            headers: added to those of this transport.

        Raises:
            ConfigurationError: a header is invalid.
        """
        changed = copy(self)
        changed.settings = settings
        changed.headers = {**self.headers, **checked_headers(headers)}
        return changed

    def service(self, name: ServiceName) -> ServiceTransport:
        """The way to one service.

        Raises:
            ConfigurationError: its address is not set.
        """
        if name not in self._addresses:
            self._addresses[name] = self.settings.address(name)
        return ServiceTransport(self, self._addresses[name])

    async def close(self) -> None:
        """Close every connection."""
        await self.connections.close()


class ServiceTransport:
    """The way to one service.

    Args:
        transport: the connections.
        address: where the service is.
        explain: turns an error status into an error that says more; for services with refusals of their own.
    """

    def __init__(
        self,
        transport: Transport,
        address: ServiceAddress,
        explain: Callable[[APIError], APIError] | None = None,
    ) -> None:
        self.address = address
        self.clock = transport.clock
        self._explain = explain
        self._transport = transport
        self._requests = Requests(address, transport.settings, transport.headers)

    async def json(self, call: Call) -> JsonValue:
        """Send a request and decode the JSON it is answered with; None for an empty success.

        Raises:
            TransportError: no usable answer; DoubtfulOutcomeError where a create may have happened.
            APIError: the service refused.
        """
        return (await self._run(call, self._context(call), _json))[1]

    async def json_reply(self, call: Call) -> tuple[Reply, JsonValue]:
        """As ``json``, with the answer's headers."""
        return await self._run(call, self._context(call), _json)

    async def send(self, call: Call) -> Reply:
        """Send a request and take the body as it comes.

        Raises:
            TransportError: no usable answer.
            APIError: the service refused.
        """
        return (await self._run(call, self._context(call), _bytes))[0]

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        """Send a request and read the body in pieces; what comes before the body is retried, the body is not.

        The call's ``total_timeout`` covers the whole body, so that a server cannot keep a reader for ever.

        Raises:
            TransportError: no usable answer.
            APIError: the service refused.
        """
        context = self._context(call)
        total = call.total_timeout or self._transport.settings.total_timeout
        deadline = asyncio.get_running_loop().time() + total
        response = await self._run(call, context, _opened)
        try:
            yield _reply(response, b""), self._chunks(response, context, deadline)
        finally:
            await response.aclose()

    async def events(self, call: Call) -> AsyncGenerator[ServerSentEvent, None]:
        """Send a request and read the events it is answered with."""
        async with self.stream(call) as (reply, chunks):
            kind = reply.headers.get("content-type", "")
            if "event-stream" not in kind:
                page = "html" in kind.lower()
                raise ProtocolError(
                    f"expected a stream of events, got {kind or 'no content type'}",
                    hint=f"Check the address; it comes from {self.address.origin}. A proxy may be answering."
                    if page
                    else "The server may not stream; ask without streaming.",
                    service=self.address.service,
                    url=reply.url,
                )
            try:
                async with closing(events(chunks)) as found:
                    async for event in found:
                        yield event
            except UnreadableBody as error:
                raise failures.unreadable(error, self._context(call)).error from error

    async def json_lines(self, call: Call, longest: int) -> AsyncGenerator[JsonValue, None]:
        """Send a request and decode the JSON values it is answered with, one per line, as they come.

        Args:
            call: the request.
            longest: bytes of a line.

        Raises:
            TransportError: no usable answer.
            APIError: the service refused.
        """
        async with self.stream(call) as (_, chunks):
            number = 0
            try:
                async with closing(byte_lines(chunks, longest)) as found:
                    async for line in found:
                        number += 1
                        if line.strip():
                            yield await decode_json(line)
            except (ValueError, RecursionError) as error:
                problem = UnreadableBody(f"line {number} is not valid JSON")
                raise failures.unreadable(problem, self._context(call)).error from error
            except UnreadableBody as error:
                raise failures.unreadable(error, self._context(call)).error from error

    async def _run(self, call: Call, context: failures.Context, take: Take[T]) -> T:
        if self._explain is None:
            return await self._try(call, context, take)
        try:
            return await self._try(call, context, take)
        except APIError as error:
            raise self._explain(error) from error

    async def _try(self, call: Call, context: failures.Context, take: Take[T]) -> T:
        """Try until what is wanted of an answer was taken, or no further attempt is due."""
        attempts = self._attempts(call, context)
        lost_before = False
        while True:
            try:
                async with asyncio.timeout(attempts.left):
                    taken = await take(await self._open(call, context, attempts.retries), call, context)
            except LawtagsError:
                raise
            except Exception as error:
                failure, cause = failures.of(error, context)
            else:
                attempts.succeeded()
                return taken
            if call.method == "DELETE" and lost_before and failure.error.status == 404:
                # The delete whose answer was lost did happen.
                return await take(_done(context), call, context)
            unreadable = failure.error.status is None or failure.error.status < 300
            lost_before = lost_before or (failure.processed and unreadable)
            await attempts.failed(failure, cause)

    def _attempts(self, call: Call, context: failures.Context) -> retry.Attempts:
        settings = self._transport.settings
        retries = settings.max_retries if call.max_retries is None else call.max_retries
        policy = retry.RetryPolicy(retries, total=call.total_timeout or settings.total_timeout)
        return retry.Attempts(policy, self._transport.budget, self.clock, repeatable=context.repeatable)

    async def _open(self, call: Call, context: failures.Context, resend: int) -> httpx.Response:
        """Send, and turn error statuses into failures; the body of a success is unread."""
        sent = self.address.token
        response = await self._exchange(call, context, resend)
        refused = response.status_code == 401 and self._requests.takes_token(call)
        # Tokens expire, or are set, while jobs are waited for; a request that is refused has done nothing.
        if refused and await self._renewed(response, sent):
            await response.aclose()
            context = replace(context, redactor=self._requests.redactor(call))
            response = await self._exchange(call, context, resend + 1)
        if response.is_success:
            return response
        try:
            body = await read_body(response, ERROR_LIMIT, cut=True)
        except UnreadableBody:
            body = b""  # the status says enough
        finally:
            await response.aclose()
        raise retry.AttemptFailed(failures.from_response(response, body, context, self.clock.now()))

    async def _renewed(self, response: httpx.Response, sent: str | None) -> bool:
        """Look the token up again; whoever is cancelled meanwhile gives the connection back."""
        try:
            return await asyncio.to_thread(self.address.credential.renew, sent)
        except BaseException:
            await response.aclose()
            raise

    async def _exchange(self, call: Call, context: failures.Context, resend: int) -> httpx.Response:
        """Send, and follow redirects."""
        import httpx

        begin, observer = self.clock.monotonic(), self._transport.observer
        client = await self._client(self._requests.url(call), call, context)
        request = self._requests.request(call, client)
        for redirected in range(_MOST_REDIRECTS + 1):
            try:
                if observer.active:
                    response = await observer.send(client, request, context, resend)
                else:
                    response = await client.send(request, stream=True)
            except httpx.TransportError as error:
                if not redirected:
                    raise
                moved = replace(context, target=shown(request.url))
                raise retry.AttemptFailed(failures.from_exception(error, moved)) from error
            if logger.isEnabledFor(logging.DEBUG):
                took = self.clock.monotonic() - begin
                where = shown(request.url)
                logger.debug("%s %s: %d in %.3f s", call.method, where, response.status_code, took)
            if not redirects.is_redirect(response):
                break
            await response.aclose()
            target, same = redirects.followed(self._requests.url(call), request, response, context)
            client = await self._client(target, call, context)
            request = self._requests.redirected(target, same, call, client)
        else:
            what = "loops"
            raise retry.AttemptFailed(failures.refused_redirect(what, context, response))
        return response

    async def _client(self, url: httpx.URL, call: Call, context: failures.Context) -> httpx.AsyncClient:
        at_hand = call.content is None or isinstance(call.content, bytes)
        # Whoever deletes must know that one may have happened already: the next finds nothing.
        again = context.repeatable and at_hand and call.method != "DELETE"
        return await self._transport.connections.client(url, repeatable=again)

    def _context(self, call: Call) -> failures.Context:
        repeatable = call.method in _REPEATABLE if call.repeatable is None else call.repeatable
        url = shown(self._requests.url(call))
        redactor = self._requests.redactor(call)
        if self._transport.observer.active:
            # Secrets that hooks add to this call are not kept for other calls.
            redactor = redactor.with_secrets(())
        with_token = self._requests.takes_token(call) and self.address.token is not None
        proxy = self._transport.connections.may_use_proxy(self._requests.url(call))
        return failures.Context(self.address, call.method, url, redactor, repeatable, with_token, proxy)

    async def _chunks(
        self, response: httpx.Response, context: failures.Context, deadline: float
    ) -> AsyncGenerator[bytes, None]:
        import httpx

        chunks = body_pieces(response)
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk
        except TimeoutError as error:
            raise failures.out_of_time(replace(context, repeatable=True)).error from error
        except httpx.HTTPError as error:
            raise failures.from_exception(error, context).error from error
        except UnreadableBody as error:
            raise failures.unreadable(error, context).error from error
        finally:
            await chunks.aclose()


def _reply(response: httpx.Response, body: bytes) -> Reply:
    return Reply(response.status_code, response.headers, body, shown(response.url))


def _done(context: failures.Context) -> httpx.Response:
    """An empty success, where the one that a server sent was lost."""
    import httpx

    return httpx.Response(204, request=httpx.Request(context.method, context.url))


async def _opened(response: httpx.Response, call: Call, context: failures.Context) -> httpx.Response:
    return response


async def _bytes(response: httpx.Response, call: Call, context: failures.Context) -> tuple[Reply, None]:
    try:
        reply = _reply(response, await read_body(response, call.max_bytes))
        record(reply)
        if context.method == "DELETE" and failures.is_page(response, reply.body):
            raise retry.AttemptFailed(failures.not_json(response, reply.body, context))
        return reply, None
    finally:
        await response.aclose()


async def _json(response: httpx.Response, call: Call, context: failures.Context) -> tuple[Reply, JsonValue]:
    reply, _ = await _bytes(response, call, context)
    if not reply.body.strip() and (reply.status == 204 or context.method in ("DELETE", "PUT")):
        return reply, None
    try:
        return reply, await decode_json(reply.body)
    except (ValueError, RecursionError) as error:
        raise retry.AttemptFailed(failures.not_json(response, reply.body, context)) from error
