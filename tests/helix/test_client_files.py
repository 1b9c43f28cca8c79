"""Files of filesets: sent once, compared by content, resumed, and never outside a folder."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime

from lawtags_client.errors import DataError, NotFoundError, PermissionDeniedError, ProtocolError
from lawtags_client.helix.client import Helix

_FILE = re.compile(r"/apis/files/v2/workspaces/law/filesets/tags/-/(.+)")


class SmallFiles:
    """One fileset in memory, with ranges, and faults on demand.

    Attributes:
        files: path to content.
        cut: bytes after which the next downloads break off.
        puts: the paths that were sent.
        ranges: the ranges that were asked for.
        locked: whether a service's mark makes the files immutable.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.listed: list[dict[str, Any]] | None = None
        self.cut: list[int] = []
        self.puts: list[str] = []
        self.ranges: list[str] = []
        self.locked = False
        self.fields: dict[str, Any] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/tags/files"):
            entries = self.listed
            if entries is None:
                entries = [{"path": name, "size": len(body)} for name, body in self.files.items()]
            return httpx.Response(200, json={"data": entries})
        if (found := _FILE.fullmatch(path)) is not None:
            return await self._file(request, found[1])
        if request.method == "PATCH":
            return self._patch(request)
        return httpx.Response(200, json={"name": "tags", "workspace": "law", "custom_fields": self.fields})

    def _patch(self, request: httpx.Request) -> httpx.Response:
        import json

        given = json.loads(request.content)["custom_fields"]
        # A mark survives a change to other fields, and goes with all of them.
        kept = {"service_source": "automodel"} if self.locked and given else {}
        self.fields, self.locked = {**given, **kept}, bool(kept)
        return httpx.Response(200, json={"name": "tags", "workspace": "law", "custom_fields": self.fields})

    async def _file(self, request: httpx.Request, name: str) -> httpx.Response:
        if request.method == "PUT":
            if self.locked:
                detail = "Access denied: This fileset's files are immutable"
                return httpx.Response(403, json={"detail": detail})
            self.files[name] = await request.aread()
            self.puts.append(name)
            return httpx.Response(200, json={"path": name, "size": len(self.files[name])})
        if name not in self.files:
            return httpx.Response(404, json={"detail": f"File '{name}' not found in fileset 'law/tags'"})
        if request.method == "DELETE":
            return httpx.Response(200, json={"path": name, "size": len(self.files.pop(name))})
        return self._read(request, self.files[name])

    def _read(self, request: httpx.Request, body: bytes) -> httpx.Response:
        start, status = 0, 200
        if (asked := request.headers.get("range")) is not None:
            self.ranges.append(asked)
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(body):
                return httpx.Response(416, json={"detail": f"Invalid range: {asked}"})
        left = body[start:]
        if self.cut:
            return httpx.Response(status, content=_broken(left[: self.cut.pop(0)]))
        return httpx.Response(status, content=left)


async def _broken(content: bytes) -> Any:
    yield content
    raise httpx.ReadError("cut off")


def client(files: SmallFiles) -> Helix:
    return Helix(
        base_url="http://helix.test",
        workspace="law",
        clock=StillTime().clock(),
        handler=httpx.MockTransport(files),
    )


def run(files: SmallFiles, work: Any) -> Any:
    async def ask() -> Any:
        async with client(files) as helix:
            return await work(helix.filesets)

    return asyncio.run(ask())


BODY = random.Random(7).randbytes(300_000)


def test_only_what_differs_is_sent_and_the_rest_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "rows.jsonl").write_bytes(b'{"a": 1}\n')
    (tmp_path / "same.bin").write_bytes(BODY)
    (tmp_path / ".hidden").write_bytes(b"x")
    # Of the same size as the new one, and of other content.
    files = SmallFiles({"training/rows.jsonl": b'{"a": 2}\n', "same.bin": BODY, "old.txt": b"x"})
    told: list[tuple[int, int]] = []
    done = run(
        files,
        lambda filesets: filesets.upload("tags", tmp_path, prune=True, on_bytes=lambda *at: told.append(at)),
    )
    assert done.sent == ("training/rows.jsonl",)
    assert done.deleted == ("old.txt",)
    assert files.files == {"training/rows.jsonl": b'{"a": 1}\n', "same.bin": BODY}
    assert told[-1] == (300_009, 300_009)


def test_a_stored_size_that_differs_is_an_error() -> None:
    files = SmallFiles()

    async def short(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(200, json={"path": "a", "size": len(await request.aread()) - 1})
        return await SmallFiles.__call__(files, request)

    async def ask() -> None:
        async with Helix(
            base_url="http://helix.test", workspace="law", handler=httpx.MockTransport(short)
        ) as helix:
            await helix.filesets.upload("tags", {"a": b"abc"})

    with pytest.raises(ProtocolError, match="arrived with 2 of 3 bytes"):
        asyncio.run(ask())


@pytest.mark.parametrize("begun", [0, 1, 1000, 100_000, 299_999, 300_000])
def test_a_partial_download_resumes(tmp_path: Path, begun: int) -> None:
    (tmp_path / ".a.bin.lawtags-part").write_bytes(BODY[:begun])
    files = SmallFiles({"a.bin": BODY})
    files.cut = [70_000, 90_000]
    done = run(files, lambda filesets: filesets.download("tags", tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert done.files == {"a.bin": 300_000}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin"]


@pytest.mark.parametrize("part", [b"\0" * 1000, b"\0" * 200_000, BODY + b"more"])
def test_a_partial_file_of_other_content_is_dropped(tmp_path: Path, part: bytes) -> None:
    (tmp_path / ".a.bin.lawtags-part").write_bytes(part)
    done = run(SmallFiles({"a.bin": BODY}), lambda filesets: filesets.download("tags", tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert done.resumed == ()


def test_folders_and_empty_files_arrive(tmp_path: Path) -> None:
    files = SmallFiles({"a/b/c.txt": b"c", "empty": b""})
    run(files, lambda filesets: filesets.download("tags", tmp_path / "new"))
    assert (tmp_path / "new/a/b/c.txt").read_bytes() == b"c"
    assert (tmp_path / "new/empty").read_bytes() == b""


@pytest.mark.parametrize("path", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\b", "a//b", "."])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    files = SmallFiles()
    files.listed = [{"path": "good.txt", "size": 1}, {"path": path, "size": 1}]
    with pytest.raises(ProtocolError, match="leaves the folder"):
        run(files, lambda filesets: filesets.download("tags", tmp_path / "in"))
    assert not (tmp_path / "out.txt").exists()


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a").symlink_to(tmp_path / "out")
    with pytest.raises(ProtocolError, match="leaves the folder"):
        run(SmallFiles({"a/b": b"x"}), lambda filesets: filesets.download("tags", tmp_path / "in"))
    assert list((tmp_path / "out").iterdir()) == []


def test_files_of_a_service_can_be_added_to_after_its_mark_is_taken_off() -> None:
    files = SmallFiles()
    files.locked, files.fields = True, {"service_source": "automodel", "team": "law"}
    with pytest.raises(PermissionDeniedError, match="immutable"):
        run(files, lambda filesets: filesets.upload("tags", {"README.md": b"# Card"}))
    assert run(files, lambda filesets: filesets.unlock("tags")).custom_fields == {"team": "law"}
    run(files, lambda filesets: filesets.upload("tags", {"README.md": b"# Card"}))
    assert files.puts == ["README.md"]


def test_folders_that_cannot_be_sent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        run(SmallFiles(), lambda filesets: filesets.upload("tags", tmp_path / "none"))
    with pytest.raises(DataError, match="no files"):
        run(SmallFiles(), lambda filesets: filesets.upload("tags", tmp_path))
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="symbolic"):
        run(SmallFiles(), lambda filesets: filesets.upload("tags", tmp_path))
    with pytest.raises(NotFoundError, match="no files"):
        run(SmallFiles(), lambda filesets: filesets.download("tags", tmp_path))
