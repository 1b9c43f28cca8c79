"""Names that would lead elsewhere: refused by the client before a request, and by the stack in any case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lawtags_stack.stack import StackThread

NAMES = [
    "../x",
    "..",
    ".",
    "a/b",
    "a/../../b",
    "C:\\x",
    "\\\\host\\share",
    "-rf",
    "%2e%2e",
    "..%2f..%2fx",
    "%2e%2e%2fx",
    "a\x00b",
    "x" * 300,
    "\U0001f525",
    "con",
    "nul.txt",
    "a\nb",
    "~root",
    "$(id)",
    ".git",
    "stack.sqlite",
    "/etc/passwd",
]
ANY = st.one_of(
    st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    # Deep, so that a name with a few steps up would still be seen.
    with StackThread(tmp_path_factory.mktemp("names") / "in" / "here" / "stack") as running:
        yield running


@pytest.fixture(scope="module")
def http(stack: StackThread) -> Iterator[httpx.Client]:
    # A fresh connection each: one that has been idle may be closed as it is used again.
    with httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


def outside(stack: StackThread) -> set[Path]:
    """Everything beside the stack's own folder."""
    root = stack.stack.dir
    return {path for path in root.parents[1].rglob("*") if not path.is_relative_to(root)}


def inside(stack: StackThread) -> set[str]:
    """The folders that the stack has made, which are its own to name."""
    return {path.relative_to(stack.stack.dir).parts[0] for path in stack.stack.dir.rglob("*")}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(namespace=ANY, name=ANY, path=ANY)
@example("default", "../../x", "../../../x")
@example("a\x00b", "a\x00b", "a\x00b")
@example("a\x7fb", "x\x1b", "\x85")
def test_no_name_creates_a_file_outside_the_stack_or_overwrites_its_files(
    stack: StackThread, http: httpx.Client, namespace: str, name: str, path: str
) -> None:
    before, own = outside(stack), (stack.stack.dir / "stack.sqlite").stat().st_ino
    platform, store = stack.platform_url, stack.data_store_url
    entity = {"namespace": namespace, "name": name, "files_url": f"hf://datasets/{namespace}/{name}"}
    answers = [
        http.post(f"{platform}/v1/namespaces", json={"id": namespace}),
        http.post(f"{platform}/v1/datasets", json=entity),
        http.post(
            f"{platform}/v1/models", json={**entity, "artifact": {"files_url": f"hf://{namespace}/{name}"}}
        ),
        http.post(f"{store}/v1/datastore/namespaces", json={"namespace": namespace}),
        http.post(
            f"{store}/v1/hf/api/repos/create",
            json={"type": "dataset", "name": name, "organization": namespace},
        ),
        http.request("GET", f"{platform}/v1/models/{quote(namespace, safe='')}/{quote(name, safe='')}"),
        http.request("DELETE", f"{platform}/v1/datasets/{quote(namespace, safe='')}/{quote(name, safe='')}"),
        http.get(f"{store}/v1/hf/datasets/{quote(namespace)}/{quote(name)}/resolve/main/{quote(path)}"),
        http.get(f"{platform}/v1/customization/jobs/{quote(name, safe='')}"),
    ]
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": path, "content": "eA==", "encoding": "base64"}},
    ]
    commit = f"{store}/v1/hf/api/datasets/{quote(namespace, safe='')}/{quote(name, safe='')}/commit/main"
    answers.append(
        http.post(
            commit,
            content="\n".join(map(json.dumps, lines)),
            headers={"Content-Type": "application/x-ndjson"},
        )
    )
    assert all(answer.status_code < 500 or answer.status_code == 501 for answer in answers), [
        (answer.request.method, str(answer.request.url)[:200], answer.status_code, answer.text[:200])
        for answer in answers
        if answer.status_code >= 500
    ]
    assert outside(stack) == before
    assert (stack.stack.dir / "stack.sqlite").stat().st_ino == own
    assert inside(stack) <= {
        "stack.sqlite",
        "stack.sqlite-wal",
        "stack.sqlite-shm",
        "stack.json",
        "blobs",
        "lock",
    } | {
        "customizer",
        "data_store",
        "entity_store",
        "evaluator",
        "deployments",
        "nim",
        "stack.lock",
        "lock.json",
    }
