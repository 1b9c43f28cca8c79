"""A server on loopback that gives recorded responses, to see that the client sends what was recorded."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from transcripts import Exchange


class Recording:
    """Gives the responses of some exchanges, in their order.

    Attributes:
        script: the exchanges that are left.
        received: each request as method, path with query, and body.
    """

    def __init__(self, script: Sequence[Exchange] = ()) -> None:
        self.script = list(script)
        self.received: list[tuple[str, str, bytes]] = []
        self.url = ""

    def next(self, method: str, path: str, body: bytes) -> Exchange | None:
        self.received.append((method, path, body))
        return self.script.pop(0) if self.script else None


@contextlib.contextmanager
def replaying(script: Sequence[Exchange] | Recording = ()) -> Iterator[Recording]:
    """Serve recorded responses on a free port of loopback."""
    recording = script if isinstance(script, Recording) else Recording(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self._body()
            exchange = recording.next(self.command, self.path, body)
            if exchange is None:
                self._send(500, {}, b'{"detail": "nothing was recorded"}')
                return
            headers = {
                name: value
                for name, value in exchange.response_headers.items()
                if name.lower() not in ("content-length", "transfer-encoding", "connection")
            }
            self._send(exchange.status, headers, _bytes(exchange))

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            if status != 204 and self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    recording.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield recording
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def same_request(received: tuple[str, str, bytes], exchange: Exchange) -> None:
    """Check that a request is the recorded one; the order of the query does not matter."""
    method, path, body = received
    assert method == exchange.method
    sent, recorded = urlsplit(path), urlsplit(exchange.path)
    assert unquote(sent.path) == unquote(recorded.path)
    query = dict(parse_qsl(recorded.query))
    # Pages and their size are the client's own choice.
    chosen = {name: value for name, value in parse_qsl(sent.query) if name not in ("page", "page_size")}
    assert chosen == {name: value for name, value in query.items() if name not in ("page", "page_size")}
    if isinstance(exchange.body, dict):
        assert json.loads(body) == exchange.body
    elif exchange.body is not None:
        assert body == exchange.content


def _bytes(exchange: Exchange) -> bytes:
    if isinstance(exchange.answer, str) and "json" not in exchange.response_headers.get("content-type", ""):
        return exchange.answer.encode()
    if exchange.answer is None and exchange.status == 204:
        return b""
    return json.dumps(exchange.answer).encode()
