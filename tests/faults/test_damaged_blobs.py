"""Content that was damaged on the disk is never given out as whole, and a new upload repairs it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lawtags_stack.stack import StackThread

CONTENT = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NDJSON = {"Content-Type": "application/x-ndjson"}
RESOLVE = "/v1/hf/datasets/law/rows/resolve/main/"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackThread]:
    with StackThread(tmp_path / "stack") as running:
        yield running


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.data_store_url, timeout=60) as client:
        client.post("/v1/datastore/namespaces", data={"namespace": "law"})
        client.post(
            "/v1/hf/api/repos/create", json={"organization": "law", "name": "rows", "type": "dataset"}
        )
        yield client


def blob_path(stack: StackThread, digest: str) -> Path:
    return stack.stack.dir / "blobs" / digest[:2] / digest


def announce(http: httpx.Client) -> dict[str, str] | None:
    asked = {"operation": "upload", "objects": [{"oid": DIGEST, "size": len(CONTENT)}]}
    answer = http.post("/v1/hf/datasets/law/rows.git/info/lfs/objects/batch", json=asked)
    [found] = answer.json()["objects"]
    assert "error" not in found
    links: dict[str, str] | None = found.get("actions", {}).get("upload")
    return links


def commit(http: httpx.Client, line: dict[str, object]) -> httpx.Response:
    lines = [{"key": "header", "value": {"summary": "rows"}}, line]
    body = "\n".join(map(json.dumps, lines))
    return http.post("/v1/hf/api/datasets/law/rows/commit/main", content=body, headers=NDJSON)


def put(http: httpx.Client) -> None:
    assert http.put(f"/v1/hf/lfs/{DIGEST}/{len(CONTENT)}", content=CONTENT).status_code == 200


POINTER = {"key": "lfsFile", "value": {"path": "a.jsonl", "oid": DIGEST, "size": len(CONTENT)}}


def tear(path: Path, how: str) -> None:
    if how == "shorter":
        os.truncate(path, len(CONTENT) // 2)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "longer":
        with path.open("ab") as stream:
            stream.write(b"x")
    else:
        with path.open("r+b") as stream:
            stream.seek(len(CONTENT) // 2)
            stream.write(b"?")


@pytest.mark.parametrize("how", ["shorter", "empty", "longer", "changed"])
def test_a_damaged_large_file_is_refused_everywhere_and_repaired(
    stack: StackThread, http: httpx.Client, how: str
) -> None:
    put(http)
    assert commit(http, POINTER).status_code == 200
    assert announce(http) is None
    tear(blob_path(stack, DIGEST), how)
    for headers in ({}, {"Range": "bytes=0-9"}):
        torn = http.get(RESOLVE + "a.jsonl", headers=headers)
        assert torn.status_code == 500
        assert "damaged" in torn.json()["detail"]
        assert torn.headers["x-should-retry"] == "false"
    assert http.post("/v1/hf/lfs/verify", json={"oid": DIGEST, "size": len(CONTENT)}).status_code == 404
    refused = commit(http, {"key": "lfsFile", "value": {**POINTER["value"], "path": "b.jsonl"}})  # type: ignore[dict-item]
    assert refused.status_code == 400 and "upload it again" in refused.json()["detail"]
    assert announce(http) is not None
    put(http)
    assert announce(http) is None
    assert http.get(RESOLVE + "a.jsonl").content == CONTENT


def test_a_damaged_small_file_is_wanted_again_and_repaired(stack: StackThread, http: httpx.Client) -> None:
    content = b'{"prompt": "a", "completion": "b"}\n'
    line: dict[str, object] = {
        "key": "file",
        "value": {"path": "s.jsonl", "content": base64.b64encode(content).decode(), "encoding": "base64"},
    }
    first = commit(http, line).json()["commitOid"]
    asked = {"files": [{"path": "s.jsonl", "size": len(content), "sample": ""}]}
    announced = "/v1/hf/api/datasets/law/rows/preupload/main"
    assert http.post(announced, json=asked).json()["files"][0]["oid"]
    blob_path(stack, hashlib.sha256(content).hexdigest()).write_bytes(content[:-4] + b"XXXX")
    assert http.post(announced, json=asked).json()["files"][0]["oid"] is None
    assert http.get(RESOLVE + "s.jsonl").status_code == 500
    assert commit(http, line).json()["commitOid"] == first
    assert http.get(RESOLVE + "s.jsonl").content == content


def misplace(path: Path, how: str) -> None:
    """Put something else in the place of a blob."""
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "folder with a file":
        path.mkdir()
        (path / "mine.txt").write_text("mine")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "link to nowhere":
        path.symlink_to("nowhere")
    elif how == "link to itself":
        path.symlink_to(path.name)
    elif how == "link to a folder":
        path.symlink_to(path.parent)
    elif how == "file above":
        path.parent.rmdir()
        path.parent.write_text("mine")


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "folder",
        "folder with a file",
        "pipe",
        "link to nowhere",
        "link to itself",
        "link to a folder",
        "file above",
    ],
)
def test_what_is_no_file_is_told_once_and_repaired(
    stack: StackThread, http: httpx.Client, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    put(http)
    assert commit(http, POINTER).status_code == 200
    misplace(blob_path(stack, DIGEST), how)
    caplog.clear()
    answer = http.get(RESOLVE + "a.jsonl")
    assert answer.status_code == 500
    assert "upload the file again" in answer.json()["detail"]
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert DIGEST in record.getMessage() and record.exc_info is None
    assert http.post("/v1/hf/lfs/verify", json={"oid": DIGEST, "size": len(CONTENT)}).status_code == 404
    assert announce(http) is not None
    put(http)
    assert http.get(RESOLVE + "a.jsonl").content == CONTENT
    kept = [path for path in (stack.stack.dir / "blobs" / "displaced").rglob("*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["mine"] * (how in ("folder with a file", "file above"))


@pytest.mark.parametrize("how", ["missing", "file", "folder with a file"])
def test_uploads_survive_the_loss_of_the_folder_that_they_arrive_in(
    stack: StackThread, http: httpx.Client, how: str
) -> None:
    incoming = stack.stack.dir / "blobs" / "incoming"
    incoming.rmdir()
    if how == "file":
        incoming.write_text("mine")
    elif how == "folder with a file":
        incoming.mkdir()
        (incoming / "mine.txt").write_text("mine")
    put(http)
    assert commit(http, POINTER).status_code == 200


def test_damage_is_noticed_after_a_restart(tmp_path: Path) -> None:
    with StackThread(tmp_path / "stack") as stack:
        with httpx.Client(base_url=stack.data_store_url) as http:
            http.post("/v1/datastore/namespaces", data={"namespace": "law"})
            made = {"organization": "law", "name": "rows", "type": "dataset"}
            http.post("/v1/hf/api/repos/create", json=made)
            put(http)
            commit(http, POINTER)
        path = blob_path(stack, DIGEST)
        before = path.stat()
    path.write_bytes(CONTENT[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with (
        StackThread(tmp_path / "stack") as stack,
        httpx.Client(base_url=stack.data_store_url) as http,
    ):
        assert announce(http) is not None
        assert http.get(RESOLVE + "a.jsonl").status_code == 500
