"""Fetching a tuned model: whole, checked, resumed, and never without weights."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import httpx
import pytest
from client_kit import client

from lawtags_client.errors import ConfigurationError, DataError, NotFoundError
from lawtags_client.platform.v1_model_files import fetch_from_data_store

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
FILES = {
    "README.md": b"# Tagger\n",
    "adapter_config.json": b"{}",
    "adapter_model.safetensors": struct.pack("<Q", len(HEADER)) + HEADER + bytes(8),
}


class Store:
    """A Data Store and an Entity Store with one model."""

    def __init__(self, files: dict[str, bytes], artifact: dict[str, str] | None) -> None:
        self.files = files
        self.artifact = artifact
        self.broken: set[str] = set()
        self.sent: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.startswith("/v1/models/"):
            if self.artifact is None:
                return httpx.Response(404, json={"detail": "no such model"})
            body = {"namespace": "law", "name": "tagger@v1", "artifact": self.artifact}
            return httpx.Response(200, json=body)
        if path.endswith("/refs"):
            branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": "c"} for name in ("v1",)]
            return httpx.Response(200, json={"branches": branches})
        if "/tree/" in path:
            return httpx.Response(200, json=[self._entry(name) for name in self.files])
        if "/resolve/" in path:
            name = path.rpartition("/")[2]
            self.sent.append(name)
            return httpx.Response(200, content=b"other" if name in self.broken else self.files[name])
        return httpx.Response(200, json={"id": "law/tagger", "sha": "c"})

    def _entry(self, name: str) -> dict[str, object]:
        data = self.files[name]
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return {"type": "file", "path": name, "oid": oid, "size": len(data)}


DONE = {"files_url": "hf://law/tagger@v1", "status": "upload_completed"}


async def test_an_adapter_is_fetched_whole(tmp_path: Path) -> None:
    async with client(Store(FILES, DONE), tmp_path, data_store_url="http://data.test") as nemo:
        done = await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")
        assert (done.kind, done.size) == ("adapter", sum(map(len, FILES.values())))
        assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == FILES
        with pytest.raises(DataError, match="exists already"):
            await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")


async def test_what_was_complete_is_kept_after_an_interruption(tmp_path: Path) -> None:
    store = Store(FILES, DONE)
    store.broken = {"adapter_model.safetensors"}
    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(Exception, match="does not match its hash"):
            await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")
        assert not (tmp_path / "got").exists()
        (tmp_path / ".got.partial" / "new" / "of-another-version").write_text("x")
        store.broken, store.sent = set(), []
        await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")
    assert store.sent == ["adapter_model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == sorted(FILES)
    assert not (tmp_path / ".got.partial").exists()


@pytest.mark.parametrize(
    ("artifact", "what"),
    [
        ({"files_url": "hf://law/tagger@v1", "status": "upload_failed"}, "its upload failed"),
        ({"files_url": "hf://law/tagger@v1", "status": "created"}, "not uploaded yet"),
        ({"status": "upload_completed"}, "its entity names none"),
        (DONE, "has no weights on the platform; there is: README.md"),
        (None, "has no weights on the platform; there is: README.md"),
    ],
)
async def test_a_model_without_weights_is_no_success(
    artifact: dict[str, str] | None, what: str, tmp_path: Path
) -> None:
    store = Store({"README.md": b"# Tagger\n"}, artifact)
    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(NotFoundError, match=what):
            await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")
    assert not (tmp_path / "got").exists() and not (tmp_path / ".got.partial").exists()


async def test_files_elsewhere_are_named(tmp_path: Path) -> None:
    store = Store(FILES, {"files_url": "ngc://nvidia/nemo/m:1", "status": "upload_completed"})
    async with client(store, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(ConfigurationError, match="are at ngc://nvidia/nemo/m:1"):
            await fetch_from_data_store(nemo, "nvidia/m", tmp_path / "got")


async def test_damaged_weights_are_no_success(tmp_path: Path) -> None:
    files = FILES | {"adapter_model.safetensors": FILES["adapter_model.safetensors"][:-1]}
    async with client(Store(files, DONE), tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(DataError, match="does not fit into the file"):
            await fetch_from_data_store(nemo, "law/tagger@v1", tmp_path / "got")
    assert not (tmp_path / "got").exists()
