"""As much of the S3 protocol as copies need: objects, lists, and uploads in parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def small_s3(objects: dict[str, bytes], key: str) -> Iterator[str]:
    """Serve objects, by ``bucket/name``, to requests that are signed with an access key; yields the URL."""
    parts: dict[int, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.close_connection = False
            super().handle_one_request()

        def _asked(self) -> tuple[str, dict[str, list[str]]]:
            address = urlsplit(self.path)
            return unquote(address.path).strip("/"), parse_qs(address.query, keep_blank_values=True)

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            length = headers.pop("length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _allowed(self) -> bool:
            if f"Credential={key}/" in self.headers.get("Authorization", ""):
                return True
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
            return False

        def do_HEAD(self) -> None:
            name, _ = self._asked()
            if not self._allowed():
                return
            if name in objects:
                self._answer(200, length=str(len(objects[name])), ETag='"x"')
            else:
                is_bucket = any(each.split("/")[0] == name for each in objects)
                self._answer(200 if is_bucket else 404)

        def do_GET(self) -> None:
            name, query = self._asked()
            if not self._allowed():
                return
            if "list-type" in query:
                prefix = f"{name}/{query.get('prefix', [''])[0]}"
                found = [each for each in objects if each.startswith(prefix)]
                rows = "".join(
                    f"<Contents><Key>{escape(each.partition('/')[2])}</Key><Size>{len(objects[each])}</Size>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                    for each in found
                )
                text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
                self._answer(200, text.encode())
            elif name not in objects:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                end = int(last) + 1 if last else None
                self._answer(206, objects[name][int(first) : end], ETag='"x"')

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Content-Encoding", ""):
                return self.rfile.read(int(self.headers["Content-Length"]))
            rest, found = self.rfile.read(int(self.headers["Content-Length"])), b""
            while True:
                head, _, rest = rest.partition(b"\r\n")
                size = int(head.split(b";")[0], 16)
                if not size:
                    return found
                found, rest = found + rest[:size], rest[size + 2 :]

        def do_PUT(self) -> None:
            name, query = self._asked()
            if not self._allowed():
                return
            if "partNumber" in query:
                parts[int(query["partNumber"][0])] = self._body()
            elif "/" in name:
                objects[name] = self._body()
            self._answer(200, ETag='"x"')

        def do_POST(self) -> None:
            name, query = self._asked()
            if not self._allowed():
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "uploads" in query:
                parts.clear()
                self._answer(
                    200,
                    b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
                )
            else:
                objects[name] = b"".join(parts[number] for number in sorted(parts))
                self._answer(200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
