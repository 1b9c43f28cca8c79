"""As much of Azure Blob Storage's protocol as copies need: blobs, lists, and uploads in blocks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ACCOUNT = "lawaccount"
_XML = '<?xml version="1.0" encoding="utf-8"?>'
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@contextmanager
def small_azure(blobs: dict[str, bytes], asked: list[str]) -> Iterator[str]:
    """Serve blobs, by ``container/name``.

    Args:
        blobs: what the containers hold; a container exists if it holds something.
        asked: gets a line for each request, with its headers.

    Yields:
        The URL, for AZURE_STORAGE_ENDPOINT.
    """
    blocks: dict[str, dict[str, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(
            self, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
        ) -> None:
            self.send_response(status)
            known = {
                "x-ms-request-id": "1",
                "x-ms-version": "2024-08-04",
                "ETag": '"1"',
                "Last-Modified": _DATE,
            }
            for name, value in (known | headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _refuse(self, status: int, code: str) -> None:
            if self.command == "HEAD":
                self._answer(status, **{"x-ms-error-code": code})
                return
            body = f"{_XML}<Error><Code>{code}</Code><Message>no</Message></Error>"
            self._answer(
                status, body.encode(), **{"x-ms-error-code": code, "Content-Type": "application/xml"}
            )

        def _place(self) -> tuple[str, str, dict[str, str]]:
            """Container, blob and query of a request."""
            asked.append(f"{self.command} {self.path} {dict(self.headers)}")
            address = urlsplit(self.path)
            path = unquote(address.path).removeprefix(f"/{ACCOUNT}/")
            container, _, name = path.partition("/")
            query = {
                key: values[0] for key, values in parse_qs(address.query, keep_blank_values=True).items()
            }
            return container, name, query

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            container, name, query = self._place()
            path = f"{container}/{name}"
            if "action" in query or query.get("comp") == "properties":
                # What pyarrow asks to find out whether folders are more than parts of names.
                self._refuse(400, "HierarchicalNamespaceNotEnabled")
            elif not any(each.startswith(f"{container}/") for each in blobs):
                self._refuse(404, "ContainerNotFound")
            elif query.get("comp") == "list":
                self._list(container, query.get("prefix", ""), query.get("delimiter", ""))
            elif not name:
                self._answer(200, **{"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"})
            elif path not in blobs:
                self._refuse(404, "BlobNotFound")
            else:
                self._blob(blobs[path])

        def _blob(self, held: bytes) -> None:
            kind = {
                "x-ms-blob-type": "BlockBlob",
                "x-ms-creation-time": _DATE,
                "x-ms-server-encrypted": "true",
            }
            kind |= {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"}
            kind |= {"Content-Type": "application/octet-stream"}
            wished = self.headers.get("x-ms-range") or self.headers.get("Range")
            if self.command == "HEAD" or wished is None:
                self._answer(200, held, **kind)
                return
            first, _, last = wished.removeprefix("bytes=").partition("-")
            part = held[int(first) : int(last) + 1 if last else None]
            span = f"bytes {first}-{int(first) + len(part) - 1}/{len(held)}"
            self._answer(206, part, **kind, **{"Content-Range": span})

        def _list(self, container: str, prefix: str, delimiter: str) -> None:
            names = [each.removeprefix(f"{container}/") for each in sorted(blobs)]
            names = [each for each in names if each.startswith(prefix) and f"{container}/{each}" in blobs]
            folders, items = dict[str, None](), ""
            for name in names:
                rest = name.removeprefix(prefix)
                if delimiter and delimiter in rest:
                    folders[prefix + rest.partition(delimiter)[0] + delimiter] = None
                    continue
                items += (
                    f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{_DATE}</Creation-Time>"
                    f"<Last-Modified>{_DATE}</Last-Modified><Etag>1</Etag>"
                    f"<Content-Length>{len(blobs[f'{container}/{name}'])}</Content-Length>"
                    "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
                    "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
                    "<ServerEncrypted>true</ServerEncrypted></Properties></Blob>"
                )
            items += "".join(f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>" for each in folders)
            body = (
                f'{_XML}<EnumerationResults ServiceEndpoint="x" ContainerName="{container}">'
                f"<Prefix>{escape(prefix)}</Prefix><Blobs>{items}</Blobs><NextMarker/></EnumerationResults>"
            )
            self._answer(200, body.encode(), **{"Content-Type": "application/xml"})

        def do_PUT(self) -> None:
            container, name, query = self._place()
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = f"{container}/{name}"
            if query.get("restype") == "container":
                self._refuse(409, "ContainerAlreadyExists")
            elif query.get("comp") == "block":
                blocks.setdefault(path, {})[query["blockid"]] = sent
                self._answer(201, **{"x-ms-request-server-encrypted": "true"})
            elif query.get("comp") == "blocklist":
                wished = [each.text or "" for each in ElementTree.fromstring(sent)]
                blobs[path] = b"".join(blocks[path][each] for each in wished)
                self._answer(201, **{"x-ms-request-server-encrypted": "true"})
            else:
                blobs[path] = sent
                self._answer(201, **{"x-ms-request-server-encrypted": "true"})

        def do_DELETE(self) -> None:
            container, name, _ = self._place()
            blobs.pop(f"{container}/{name}", None)
            self._answer(202)

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
