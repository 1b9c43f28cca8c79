"""As much of Google Cloud Storage's JSON protocol as copies need: objects, lists, and resumable uploads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@contextmanager
def small_gcs(objects: dict[str, bytes], asked: list[str]) -> Iterator[str]:
    """Serve objects, by ``bucket/name``.

    Args:
        objects: what the buckets hold; a bucket exists if it holds something.
        asked: gets a line for each request, with its headers.

    Yields:
        The URL, for STORAGE_EMULATOR_HOST.
    """
    uploads: dict[str, tuple[str, bytearray]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _json(self, status: int, value: object) -> None:
            self._answer(status, json.dumps(value).encode(), **{"Content-Type": "application/json"})

        def _missing(self) -> None:
            self._json(404, {"error": {"code": 404, "message": "not found", "errors": []}})

        def _place(self) -> tuple[str, str | None, dict[str, list[str]]]:
            """Bucket, object and query of a request."""
            asked.append(f"{self.command} {self.path} {dict(self.headers)}")
            address = urlsplit(self.path)
            words = address.path.partition("/b/")[2].split("/")
            name = unquote(words[2]) if len(words) > 2 else None
            return unquote(words[0]), name, parse_qs(address.query, keep_blank_values=True)

        def _entry(self, path: str) -> dict[str, object]:
            bucket, _, name = path.partition("/")
            return {
                "kind": "storage#object",
                "id": path,
                "name": name,
                "bucket": bucket,
                "generation": "1",
                "size": str(len(objects[path])),
                "updated": "2026-01-01T00:00:00Z",
                "timeCreated": "2026-01-01T00:00:00Z",
            }

        def do_GET(self) -> None:
            bucket, name, query = self._place()
            if name is None:
                prefix = f"{bucket}/{query.get('prefix', [''])[0]}"
                found = [self._entry(each) for each in objects if each.startswith(prefix)]
                if not any(each.startswith(f"{bucket}/") for each in objects):
                    self._missing()
                elif self.path.partition("/b/")[2].startswith(f"{bucket}/o"):
                    self._json(200, {"kind": "storage#objects", "items": found})
                else:
                    self._json(200, {"kind": "storage#bucket", "name": bucket, "id": bucket})
            elif f"{bucket}/{name}" not in objects:
                self._missing()
            elif query.get("alt") == ["media"]:
                held = objects[f"{bucket}/{name}"]
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = held[int(first) : int(last) + 1 if last else None]
                span = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(held)}"}
                self._answer(206, part, **span, **{"x-goog-generation": "1"})
            else:
                self._json(200, self._entry(f"{bucket}/{name}"))

        def do_POST(self) -> None:
            bucket, _, query = self._place()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = str(len(uploads))
            uploads[number] = f"{bucket}/{query['name'][0]}", bytearray()
            host, port = self.server.server_address[:2]
            where = f"http://{host!s}:{port}/upload/storage/v1/b/{bucket}/o?upload_id={number}"
            self._answer(200, Location=where)

        def do_PUT(self) -> None:
            _, _, query = self._place()
            path, held = uploads[query["upload_id"][0]]
            held += self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Range", "").endswith("*"):
                self._answer(308, Range=f"bytes=0-{len(held) - 1}")
                return
            objects[path] = bytes(held)
            self._json(200, self._entry(path))

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
