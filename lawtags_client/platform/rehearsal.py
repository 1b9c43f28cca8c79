"""The requests of a job, made by the client itself against a platform that is played and has nothing yet.

What is recorded is what would be sent, byte by byte, because the same code makes it. A real platform may have
some of it already, or decide otherwise where an answer decides, such as which files go through LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lawtags_client.intents import SqliteIntents
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.protocol import Dialect, Platform
from lawtags_client.settings import Settings
from lawtags_client.transport.rehearsal import RehearsedRequest, rehearsal_handler

_NOWHERE = "http://platform.invalid"
# Beyond this, the Hugging Face protocol keeps files by LFS.
_LARGEST_REGULAR = 10 << 20
_COMMIT = "0" * 40

__all__ = ["RehearsedRequest", "rehearsed_platform"]


@asynccontextmanager
async def rehearsed_platform(
    settings: Settings | None, dialect: Dialect
) -> AsyncIterator[tuple[Platform, list[RehearsedRequest]]]:
    """A platform that records requests in place of sending them, and the requests.

    Args:
        settings: of the platform; None for none, as addresses are not part of what is recorded.
        dialect: its API.
    """
    recorded: list[RehearsedRequest] = []
    known = settings is not None and settings.has_address("platform")
    chosen = settings if settings is not None and known else Settings(platform_url=_NOWHERE)
    with TemporaryDirectory(prefix="lawtags-rehearsal-") as folder:
        intents = SqliteIntents(Path(folder) / "intents.sqlite")
        if dialect == "helix":
            from lawtags_client.helix.client import Helix
            from lawtags_client.platform.helix import HelixPlatform
            from lawtags_client.platform.helix_rehearsal import FreshHelix

            handler = rehearsal_handler(FreshHelix(), recorded)
            async with Helix(chosen, handler=handler, intents=intents) as helix:
                yield HelixPlatform(helix), recorded
            return
        from lawtags_client.client import NeMo
        from lawtags_client.platform.v1 import V1Platform

        handler = rehearsal_handler(_FreshPlatform(), recorded)
        async with NeMo(chosen, handler=handler, intents=intents) as nemo:
            yield V1Platform(nemo), recorded


class _FreshPlatform:
    """The answers of a v1 platform that has nothing yet."""

    def __init__(self) -> None:
        self._files: list[JsonValue] = []

    def __call__(self, request: RehearsedRequest) -> tuple[int, JsonValue]:
        path = request.path.partition("?")[0]
        if "/tree/" in path:
            return 200, self._files
        if request.reads:
            return 200, {"id": "rehearsed", "sha": _COMMIT, "data": []}
        if path.endswith("/datastore/namespaces"):
            return 200, {"namespace": "rehearsed"}
        if "/preupload/" in path:
            return 200, {"files": [_mode(file) for file in json.loads(request.body)["files"]]}
        if path.endswith("/lfs/objects/batch"):
            # Without actions: as if the object were there already.
            objects = json.loads(request.body)["objects"]
            return 200, {"objects": [{"oid": each["oid"], "size": each["size"]} for each in objects]}
        if "/commit/" in path:
            self._files += _committed(request.body)
            return 200, {"success": True, "commitOid": _COMMIT}
        body = json.loads(request.body) if request.body.startswith(b"{") else {}
        return 200, {"id": "rehearsed", **body, "status": "created"}


def _mode(file: dict[str, JsonValue]) -> JsonValue:
    size = file["size"]
    large = isinstance(size, int) and size > _LARGEST_REGULAR
    return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}


def _committed(body: bytes) -> list[JsonValue]:
    """The files of a commit, as a repository lists them afterwards."""
    found: list[JsonValue] = []
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "file":
            content = base64.b64decode(value["content"])
            name = hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
            found.append({"type": "file", "path": value["path"], "oid": name, "size": len(content)})
        elif entry["key"] == "lfsFile":
            lfs: JsonValue = {"oid": value["oid"], "size": value["size"]}
            found.append(
                {"type": "file", "path": value["path"], "oid": "", "size": value["size"], "lfs": lfs}
            )
    return found
