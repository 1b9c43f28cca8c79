"""Routes for Git LFS: batch, upload, verify."""

from __future__ import annotations

import re
from functools import partial

from starlette.concurrency import run_in_threadpool

from lawtags_client.errors import BadRequestError, NotFoundError, PayloadTooLargeError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.types.data_store import LfsBatchRequest, LfsBatchResponse, LfsObject, RepoType
from lawtags_stack.http.operations import BINARY
from lawtags_stack.http.responses import JsonResponse
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.http.signing import signed_query
from lawtags_stack.service import StackContext
from lawtags_stack.services.data_store.errors import hub_error_response
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.store import BlobWriter

_MEDIA_TYPE = "application/vnd.git-lfs+json"
_DIGITS = frozenset("0123456789abcdef")
# Chunks that are written and hashed in a thread.
_BUFFER = 1 << 20


def lfs_routes(context: StackContext, state: DataStoreState) -> list[ApiRoute]:
    """Routes for the three steps of an LFS upload."""
    hub = partial(route, on_error=hub_error_response)

    def batch(repo_type: RepoType, call: RouteCall) -> JsonResponse:
        """Announce large files."""
        state.repositories.get(repo_type, call.path["namespace"], call.path["repo"])
        request = call.sent(LfsBatchRequest)
        if request.operation not in ("upload", "download"):
            raise BadRequestError(f"LFS supports upload and download, not {request.operation[:80]!r}")
        objects = [_announced(context, state, request, each, call.base_url) for each in request.objects]
        answer = {"transfer": "basic", "objects": objects, "hash_algo": "sha256"}
        return JsonResponse(answer, media_type=_MEDIA_TYPE)

    async def upload(call: RouteCall) -> None:
        """Upload a large file."""
        oid, size = call.path["oid"], call.path["size"]
        # Not an integer path parameter: Starlette would call int(), which rejects thousands of digits.
        if not re.fullmatch("[0-9]{1,18}", size) or not _is_digest(oid):
            raise NotFoundError("LFS objects are sent to /v1/hf/lfs/<SHA-256>/<size in bytes>")
        announced = int(size)
        if announced > context.options.largest_upload:
            raise PayloadTooLargeError(f"{announced} bytes exceed this stack's limit per file")
        with state.blobs.writer() as writer:
            await _receive(call, writer, announced)
            await run_in_threadpool(writer.commit, sha256=oid, size=announced)

    def verify(call: RouteCall) -> None:
        """Verify that a large file is stored completely."""
        sent = call.sent(LfsObject)
        if not _is_digest(sent.oid) or not state.blobs.has(sent.oid, sent.size):
            raise NotFoundError(f"The object {sent.oid[:80]} is not stored with {sent.size} bytes")

    batches: tuple[tuple[RepoType, str], ...] = (("dataset", "datasets/"), ("model", ""))
    return [
        *(
            hub(
                "POST",
                f"/v1/hf/{prefix}{{namespace}}/{{repo}}.git/info/lfs/objects/batch",
                partial(batch, repo_type),
                body=LfsBatchRequest,
                answers=LfsBatchResponse,
                gives=_MEDIA_TYPE,
            )
            for repo_type, prefix in batches
        ),
        hub("PUT", "/v1/hf/lfs/{oid}/{size}", upload, reads=bytes, accepts=(BINARY,)),
        hub("POST", "/v1/hf/lfs/verify", verify, body=LfsObject),
    ]


async def _receive(call: RouteCall, writer: BlobWriter, announced: int) -> None:
    buffer = bytearray()
    async for chunk in call.request.stream():
        buffer += chunk
        if writer.size + len(buffer) > announced:
            raise BadRequestError(f"More than the announced {announced} bytes arrived")
        if len(buffer) >= _BUFFER:
            await run_in_threadpool(writer.write, bytes(buffer))
            buffer.clear()
    await run_in_threadpool(writer.write, bytes(buffer))


def _announced(
    context: StackContext, state: DataStoreState, request: LfsBatchRequest, wanted: LfsObject, base: str
) -> JsonObject:
    shown: dict[str, JsonValue] = {"oid": wanted.oid, "size": wanted.size, "authenticated": True}
    if not _is_digest(wanted.oid) or wanted.size < 0:
        return shown | {"error": {"code": 422, "message": "Not a SHA-256 and a size"}}
    stored = state.blobs.has(wanted.oid, wanted.size)
    if request.operation == "download":
        return shown | {"error": {"code": 404, "message": "Fetch files through /resolve/"}}
    if stored:
        return shown
    if wanted.size > context.options.largest_upload:
        return shown | {"error": {"code": 413, "message": "Larger than this stack's limit per file"}}
    path = f"/v1/hf/lfs/{wanted.oid}/{wanted.size}"
    signed = signed_query(context.options.token, "PUT", path, context.clock)
    return shown | {
        "actions": {
            "upload": {"href": f"{base}{path}{signed}", "header": {}},
            "verify": {"href": f"{base}/v1/hf/lfs/verify", "header": {}},
        }
    }


def _is_digest(oid: str) -> bool:
    return len(oid) == 64 and _DIGITS.issuperset(oid)
