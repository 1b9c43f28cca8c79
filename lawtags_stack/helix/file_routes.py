"""Upload and download of files, by ranges and in streams."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lawtags_client.errors import PayloadTooLargeError
from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.files import checked_path
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.refusals import HelixError, helix_error_response
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, helix_route
from lawtags_stack.http.operations import BINARY
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.store import Blob, BlobWriter

_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


def file_routes(filesets: Filesets, largest: int) -> list[ApiRoute]:
    """The routes of files.

    Args:
        filesets: the filesets.
        largest: maximum size of a file in bytes.
    """
    root = f"/apis/files{WORKSPACE}/filesets/{{name}}"

    def read(call: HelixCall) -> Response:
        """Download a file, or a range of it."""
        workspace, name = call.workspace, call.path["name"]
        filesets.get(workspace, name)
        file = filesets.files.get(workspace, name, call.path["path"])
        return _content(filesets.files.blobs.path(file.sha256), file.size, call.request.headers.get("range"))

    def delete(call: HelixCall) -> JsonObject:
        """Delete a file."""
        workspace, name = call.workspace, call.path["name"]
        filesets.check_mutable(workspace, name, service=call.is_service)
        file = filesets.files.get(workspace, name, call.path["path"])
        filesets.files.delete(file)
        return file.shown()

    def list_files(call: HelixCall) -> JsonObject:
        """List the files of a fileset, or of one of its folders."""
        workspace, name = call.workspace, call.path["name"]
        filesets.get(workspace, name)
        folder = call.request.query_params.get("path", "")
        files = filesets.files.within(workspace, name, folder)
        return {"data": [each.shown("not_cacheable") for each in files]}

    async def write(call: RouteCall) -> JsonObject:
        """Upload a file; it replaces an existing one once it is complete."""
        workspace, name = call.path["workspace"], call.path["name"]
        service = call.request.headers.get("x-nhx-principal-id", "").startswith("service:")
        await run_in_threadpool(filesets.check_mutable, workspace, name, service=service)
        path = checked_path(call.path["path"])
        with filesets.files.blobs.writer() as writer:
            blob = await _received(call.request, writer, largest)
        file = await run_in_threadpool(filesets.files.put, workspace, name, path, blob)
        return file.shown()

    return [
        helix_route("GET", f"{root}/files", list_files),
        helix_route("GET", f"{root}/-/{{path:path}}", read),
        helix_route("DELETE", f"{root}/-/{{path:path}}", delete),
        route(
            "PUT",
            f"{root}/-/{{path:path}}",
            write,
            reads=bytes,
            accepts=(BINARY,),
            answers=dict,
            on_error=helix_error_response,
        ),
    ]


async def _received(request: Request, writer: BlobWriter, largest: int) -> Blob:
    """Write the body of a request; of a form, its first part."""
    multipart = request.headers.get("content-type", "").startswith("multipart/")
    chunks = _first_part(request) if multipart else request.stream()
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if writer.size + len(buffer) > largest:
            raise PayloadTooLargeError(f"The file exceeds this stack's limit of {largest} bytes per file")
        if len(buffer) >= _CHUNK:
            await run_in_threadpool(writer.write, bytes(buffer))
            buffer.clear()
    await run_in_threadpool(writer.write, bytes(buffer))
    return await run_in_threadpool(writer.commit)


async def _first_part(request: Request) -> AsyncIterator[bytes]:
    async with request.form(max_files=1, max_fields=1, max_part_size=_CHUNK) as form:
        for _, part in form.multi_items():
            if isinstance(part, UploadFile):
                while chunk := await part.read(_CHUNK):
                    yield chunk
            else:
                yield part.encode("utf-8")
            return


def _content(path: Path, size: int, wanted: str | None) -> Response:
    headers = {"accept-ranges": "bytes"}
    if wanted is None:
        headers["content-length"] = str(size)
        return StreamingResponse(_chunks(path, 0, size), 200, headers, BINARY)
    start, end = _range(wanted, size)
    headers |= {"content-range": f"bytes {start}-{end - 1}/{size}", "content-length": str(end - start)}
    return StreamingResponse(_chunks(path, start, end), 206, headers, BINARY)


def _range(wanted: str, size: int) -> tuple[int, int]:
    """The first range of a header, as start and end."""
    first = wanted.replace(" ", "").partition(",")[0]
    found = _RANGE.match(first)
    if found is None or not (found[1] or found[2]):
        raise HelixError(416, f"Invalid range: {wanted[:200]}")
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    if start >= end:
        raise HelixError(416, f"Invalid range: {wanted[:200]}")
    return start, end


def _chunks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while start < end:
            chunk = stream.read(min(_CHUNK, end - start))
            if not chunk:
                return
            start += len(chunk)
            yield chunk
