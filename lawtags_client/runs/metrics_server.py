"""Serves metrics to Prometheus, from a thread beside the event loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from lawtags_client.errors import ConfigurationError

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A client that sends nothing must not hold a thread forever.
_REQUEST_TIMEOUT = 10.0


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``.

    Raises:
        ConfigurationError: it has another form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"--listen {text!r} is not HOST:PORT", hint="For example: 127.0.0.1:9109")
    return host.strip("[]"), int(port)


class MetricsServer:
    """Answers ``/metrics`` with text, and ``/healthz``.

    Args:
        address: host and port; port 0 is any free one.
        text: returns the metrics.

    Raises:
        ConfigurationError: the address cannot be bound to.
    """

    def __init__(self, address: tuple[str, int], text: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _REQUEST_TIMEOUT

            def do_GET(self) -> None:
                answers: dict[str, Callable[[], str]] = {"/metrics": text, "/healthz": lambda: "ok\n"}
                answer = answers.get(self.path.partition("?")[0])
                body = (answer() if answer else "See /metrics.\n").encode()
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", _CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a scrape every few seconds is no news."""

        class _Server(ThreadingHTTPServer):
            # A cluster may have IPv6 alone.
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

        try:
            self._server = _Server(address, Handler)
        except OSError as problem:
            raise ConfigurationError(
                f"cannot listen on {address[0]}:{address[1]}: {problem.strerror}",
                hint="Choose another port for --listen.",
            ) from problem
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
