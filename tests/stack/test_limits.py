"""What is too large is refused, and nothing of it stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lawtags_stack.http.bodies import LARGEST_JSON
from lawtags_stack.service import StackOptions
from lawtags_stack.services.data_store import commits
from lawtags_stack.services.data_store.commits import LONGEST_LINE
from lawtags_stack.stack import StackThread

LARGEST_FILE = 10_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(largest_upload=LARGEST_FILE)
    with StackThread(tmp_path_factory.mktemp("limits") / "stack", options=options) as running:
        names = {"namespace": "law"}
        httpx.post(f"{running.data_store_url}/v1/datastore/namespaces", json=names).raise_for_status()
        body = {"name": "rows", "organization": "law", "type": "dataset"}
        httpx.post(f"{running.data_store_url}/v1/hf/api/repos/create", json=body).raise_for_status()
        yield running


@pytest.fixture
def hub(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stack.data_store_url}/v1/hf", timeout=60) as client:
        yield client


def endless(start: bytes, size: int) -> Iterator[bytes]:
    """More than a limit, in pieces, so that the sender holds no more than one."""
    yield start
    for _ in range(size // (1 << 20) + 1):
        yield b" " * (1 << 20)


@pytest.mark.parametrize("port", ["platform", "inference"])
def test_body_that_is_too_large_is_refused(stack: StackThread, port: str) -> None:
    path = {"platform": "/v1/datasets", "inference": "/v1/completions"}[port]
    url = f"{getattr(stack, f'{port}_url')}{path}"
    answer = httpx.post(
        url,
        content=endless(b'{"name": "x",', LARGEST_JSON),
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert answer.status_code == 413
    assert str(LARGEST_JSON) in answer.json()["detail"]
    assert httpx.get(f"{stack.platform_url}/v1/datasets").json()["data"] == []


def test_file_that_is_too_large_is_refused_as_it_is_announced(stack: StackThread, hub: httpx.Client) -> None:
    content = b"x" * (LARGEST_FILE + 1)
    digest = hashlib.sha256(content).hexdigest()
    announced = {"operation": "upload", "objects": [{"oid": digest, "size": len(content)}]}
    batch = hub.post("/datasets/law/rows.git/info/lfs/objects/batch", json=announced)
    assert batch.json()["objects"][0]["error"]["code"] == 413
    assert hub.put(f"/lfs/{digest}/{len(content)}", content=content).status_code == 413
    assert_nothing_stays(stack)


def test_line_of_a_commit_that_is_too_long_is_refused(stack: StackThread, hub: httpx.Client) -> None:
    header = json.dumps({"key": "header", "value": {"summary": "s"}}).encode()
    start = header + b'\n{"key": "file", "value": {"path": "a", "content": "'
    answer = hub.post(
        "/api/datasets/law/rows/commit/main",
        content=endless(start, LONGEST_LINE),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 413
    assert "LFS" in answer.json()["detail"]
    assert_nothing_stays(stack)


def assert_nothing_stays(stack: StackThread) -> None:
    blobs: Path = stack.stack.dir / "blobs"
    assert [path for path in blobs.rglob("*") if path.is_file()] == []
    url = f"{stack.data_store_url}/v1/hf/api/datasets/law/rows/tree/main"
    assert httpx.get(url).json() == []


def test_a_commit_of_endless_lines_is_refused(hub: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MOST_LINES", 50)
    line, url = b'{"key": "deletedFile", "value": {"path": "a"}}\n', "/api/datasets/law/rows/commit/main"
    headers = {"Content-Type": "application/x-ndjson"}
    many = hub.post(url, content=line * 60, headers=headers)
    monkeypatch.setattr(commits, "LARGEST_COMMIT", 100)
    large = hub.post(url, content=line * 20, headers=headers)
    for answer in (many, large):
        assert answer.status_code == 413
        assert "at most" in answer.json()["detail"]
