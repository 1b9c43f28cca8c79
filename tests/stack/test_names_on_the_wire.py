"""Names from the wire never become paths: whatever is sent, nothing appears outside the stack's folder."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lawtags_stack.stack import Stack, StackThread

NASTY = [
    "../x", "a/b", "C:\\x", "-rf", "%2e%2e", "..", ".", "a\0b", "x" * 300, "😀", "con", "/etc/x", "~", "a\nb",
]  # fmt: skip
names = st.sampled_from(NASTY) | st.text(max_size=20)


@pytest.fixture(scope="module")
def within(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, StackThread]]:
    folder = tmp_path_factory.mktemp("names")
    with StackThread(folder / "stack") as running:
        yield folder, running


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(namespace=names, repo=names, path=names)
def test_nothing_appears_outside_the_folder(
    within: tuple[Path, StackThread], namespace: str, repo: str, path: str
) -> None:
    folder, stack = within
    hub = f"{stack.data_store_url}/v1/hf"
    with httpx.Client(timeout=30) as http:
        http.post(f"{stack.data_store_url}/v1/datastore/namespaces", json={"namespace": namespace})
        body = {"name": repo, "organization": namespace, "type": "dataset"}
        made = http.post(f"{hub}/api/repos/create", json=body)
        where = f"{quote(namespace, safe='')}/{quote(repo, safe='')}"
        file = {"path": path, "content": base64.b64encode(b"content").decode(), "encoding": "base64"}
        lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": file}]
        content = "\n".join(map(json.dumps, lines))
        done = http.post(
            f"{hub}/api/datasets/{where}/commit/main",
            content=content,
            headers={"Content-Type": "application/x-ndjson"},
        )
        entity = http.post(f"{stack.platform_url}/v1/models", json={"namespace": "default", "name": repo})
        read = http.get(f"{hub}/datasets/{where}/resolve/main/{quote(path, safe='')}")
    for answer in (made, done, entity, read):
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if done.status_code == 200 and "/" not in path:
        assert read.content == b"content"
    assert [each.name for each in folder.iterdir()] == ["stack"]
    assert {each.name for each in (folder / "stack").iterdir()} <= {
        "stack.sqlite", "stack.sqlite-wal", "stack.sqlite-shm", "stack.lock", "stack.json",
        "blobs", "evaluator", "nim", "customizer",
    }  # fmt: skip


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
async def test_a_stack_on_ipv6_only_responds_with_its_own_address(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", host="::1")
    address = await stack.start()
    try:
        assert address.platform_url.startswith("http://[::1]:")
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{address.platform_url}/v1/models")).status_code == 200
    finally:
        await stack.stop()
