"""A proxy before NeMo Helix that shows NVIDIA's jobs controller only the steps meant for child processes.

The controller fails every waiting step for which it has no executor. Behind this proxy, it and a runner work
on one platform side by side, both unmodified. Every other request passes as it is.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_QUEUE = re.compile(r"/apis/jobs/v2/workspaces/-/jobs/-/steps(\?|$)")
_HOP_BY_HOP = {
    "connection",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_SECONDS = 600


def for_child_processes(body: bytes) -> bytes:
    """The queue without the steps that are not carried out by child processes."""
    page = json.loads(body)
    page["data"] = [step for step in page.get("data", []) if _provider(step) == "subprocess"]
    if isinstance(page.get("pagination"), dict):
        page["pagination"]["current_page_size"] = len(page["data"])
    return json.dumps(page).encode()


def _provider(step: dict[str, dict[str, dict[str, str]]]) -> str | None:
    return step.get("step_spec", {}).get("executor", {}).get("provider")


class Gate(BaseHTTPRequestHandler):
    """Passes requests on to the platform."""

    protocol_version = "HTTP/1.1"
    host: str
    port: int

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the platform logs its requests."""

    def pass_on(self) -> None:
        """Pass a request on, and its answer back."""
        body = self._body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        is_queue = self.command == "GET" and _QUEUE.match(self.path) is not None
        if is_queue:
            headers["Accept-Encoding"] = "identity"
        upstream = http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        try:
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        except OSError as error:
            content = json.dumps({"detail": f"the platform does not answer: {error}"}).encode()
            self._answer(502, [("Content-Type", "application/json")], content, len(content))
            return
        finally:
            upstream.close()
        if is_queue and answer.status == 200:
            content = for_child_processes(content)
        size = int(answer.getheader("Content-Length") or 0) if self.command == "HEAD" else len(content)
        self._answer(answer.status, answer.getheaders(), content, size)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def _body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        length = self.headers.get("Content-Length")
        return self.rfile.read(int(length)) if length else None

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, size: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def main() -> None:
    """Listen on loopback until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True, metavar="PORT")
    parser.add_argument("--platform", required=True, metavar="URL")
    arguments = parser.parse_args()
    target = urllib.parse.urlsplit(arguments.platform)
    Gate.host, Gate.port = target.hostname or "127.0.0.1", target.port or 80
    ThreadingHTTPServer(("127.0.0.1", arguments.listen), Gate).serve_forever()


if __name__ == "__main__":
    main()
