"""OpenTelemetry spans of requests, if the program uses OpenTelemetry.

Attributes follow its semantic conventions for HTTP clients. Nothing is imported here: a program that records
spans has loaded ``opentelemetry.trace`` already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lawtags_client.transport.urls import shown
from lawtags_client.version import __version__

if TYPE_CHECKING:
    import httpx
    from opentelemetry.trace import Span

_ERROR_STATUS = 400


def enabled() -> bool:
    """Whether the program has loaded OpenTelemetry's API."""
    return "opentelemetry.trace" in sys.modules


@contextmanager
def request_span(request: httpx.Request, service: str, resend: int) -> Iterator[Span]:
    """A span around one attempt to send a request.

    Args:
        request: sent within the span.
        service: the name of the service.
        resend: how many attempts came before.
    """
    from opentelemetry import trace

    url = request.url
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "server.address": url.host,
        "url.full": shown(url),
        "lawtags.service": service,
    }
    if (port := url.port or {"http": 80, "https": 443}.get(url.scheme)) is not None:
        attributes["server.port"] = port
    if resend:
        attributes["http.request.resend_count"] = resend
    tracer = trace.get_tracer("lawtags_client", __version__)
    # An exception's text may repeat what a server sent; its class says enough.
    with tracer.start_as_current_span(
        f"{request.method} {service}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise


def propagate(headers: MutableMapping[str, str]) -> None:
    """Add the headers by which a server continues the current trace."""
    from opentelemetry import propagate

    propagate.inject(headers)


def answered(span: Span, response: httpx.Response) -> None:
    """Note the status of a response."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= _ERROR_STATUS:
        span.set_attribute("error.type", str(response.status_code))
        span.set_status(StatusCode.ERROR)
