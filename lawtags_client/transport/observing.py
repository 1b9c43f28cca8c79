"""Sends a request while hooks and spans observe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lawtags_client.transport import hooks, tracing
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.failures import Context
from lawtags_client.transport.headers import secrets_in_headers
from lawtags_client.transport.hooks import EventHooks, RequestEvent, ResponseEvent, checked_hooks
from lawtags_client.transport.redact import MASK, Redactor
from lawtags_client.transport.urls import parsed, same_place, shown

if TYPE_CHECKING:
    import httpx

# Cookies of a session are as good as a token, and known to no setting.
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "wandb-api-key"})


class Observer:
    """Calls hooks and records spans for each request.

    Args:
        event_hooks: functions of the user.
        clock: to measure.
    """

    def __init__(self, event_hooks: EventHooks | None, clock: Clock) -> None:
        self._hooks = checked_hooks(event_hooks)
        self._clock = clock

    @property
    def active(self) -> bool:
        """Whether there are hooks, or the program uses OpenTelemetry."""
        return bool(self._hooks) or tracing.enabled()

    async def send(
        self, client: httpx.AsyncClient, request: httpx.Request, context: Context, resend: int
    ) -> httpx.Response:
        """Send a request; the body of the response is unread.

        Raises:
            ConfigurationError: a request hook failed; nothing was sent.
            httpx.HTTPError: no response came.
        """
        if not tracing.enabled():
            return await self._send(client, request, context, resend)
        with tracing.request_span(request, context.address.service, resend) as span:
            if _is_own(request, context):
                tracing.propagate(request.headers)
            response = await self._send(client, request, context, resend)
            tracing.answered(span, response)
            return response

    async def _send(
        self, client: httpx.AsyncClient, request: httpx.Request, context: Context, resend: int
    ) -> httpx.Response:
        if not self._hooks:
            return await client.send(request, stream=True)
        event = RequestEvent(
            context.address.service,
            request.method,
            shown(request.url),
            _masked(request.headers, context.redactor),
            resend,
        )
        added = await hooks.before(self._hooks, event)
        context.redactor.learn(secrets_in_headers(added))
        if _is_own(request, context):
            request.headers.update(added)
        begin = self._clock.monotonic()
        try:
            response = await client.send(request, stream=True)
        except Exception as error:
            took = self._clock.monotonic() - begin
            await hooks.after(
                self._hooks, ResponseEvent(event, None, {}, took, error=type(error).__qualname__)
            )
            raise
        try:
            took = self._clock.monotonic() - begin
            headers = _masked(response.headers, context.redactor)
            answered = ResponseEvent(event, response.status_code, headers, took, context.request_id(response))
            await hooks.after(self._hooks, answered)
        except BaseException:
            await response.aclose()
            raise
        return response


def _is_own(request: httpx.Request, context: Context) -> bool:
    """Whether a request goes to the service itself, not where a link or a redirect led."""
    return same_place(parsed(context.address.url), request.url)


def _masked(headers: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    return {
        name: MASK if name.lower() in _SECRET else redactor.text(value) for name, value in headers.items()
    }
