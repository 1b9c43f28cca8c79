"""OpenTelemetry spans of a run and its stages, if the program uses OpenTelemetry.

The spans of requests (``lawtags_client.transport.tracing``) become their children. Nothing is imported here:
a program that records spans has loaded ``opentelemetry.trace`` already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lawtags_client.version import __version__


@contextmanager
def run_span(name: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
    """A span around the body; none if the program does not use OpenTelemetry.

    Args:
        name: of the span.
        attributes: by name, without ``lawtags.``.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import trace

    tracer = trace.get_tracer("lawtags_client", __version__)
    # An exception's text may repeat what a server sent; its class says enough.
    with tracer.start_as_current_span(
        name,
        attributes={f"lawtags.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise
