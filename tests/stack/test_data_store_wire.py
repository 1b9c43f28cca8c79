"""The Data Store's wire where clients of our own making, or hostile ones, come by."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lawtags_stack.stack import StackThread


@pytest.fixture
def http(stack: StackThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.data_store_url, timeout=30) as client:
        yield client


@pytest.fixture
def repo(http: httpx.Client) -> str:
    namespace = f"wire-{uuid.uuid4().hex[:8]}"
    assert http.post("/v1/datastore/namespaces", json={"namespace": namespace}).status_code == 201
    body = {"name": "r", "organization": namespace, "type": "dataset"}
    assert http.post("/v1/hf/api/repos/create", json=body).json()["url"] == f"datasets/{namespace}/r"
    return f"{namespace}/r"


def commit(http: httpx.Client, repo: str, *lines: dict[str, object]) -> httpx.Response:
    header = {"key": "header", "value": {"summary": "s", "description": ""}}
    body = "\n".join(json.dumps(line) for line in (header, *lines))
    return http.post(
        f"/v1/hf/api/datasets/{repo}/commit/main",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )


def file_line(path: str, content: bytes) -> dict[str, object]:
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


def test_namespace_by_form_and_json_answers_201_and_409(http: httpx.Client) -> None:
    for send in ({"data": {"namespace": "by-form"}}, {"json": {"namespace": "by-json"}}):
        made = http.post("/v1/datastore/namespaces", **send)  # type: ignore[arg-type]
        assert made.status_code == 201
        name = made.json()["namespace"]
        assert made.json()["created_at"].endswith("Z") and "." not in made.json()["created_at"]
        assert http.post("/v1/datastore/namespaces", **send).status_code == 409  # type: ignore[arg-type]
        assert http.get(f"/v1/datastore/namespaces/{name}").status_code == 201
        assert http.delete(f"/v1/datastore/namespaces/{name}").status_code == 200
        assert http.get(f"/v1/datastore/namespaces/{name}").status_code == 404


def test_namespace_without_a_name_is_422(http: httpx.Client) -> None:
    answer = http.post("/v1/datastore/namespaces", json={})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "namespace"]


def test_repository_in_an_unknown_namespace_is_refused(http: httpx.Client) -> None:
    body = {"name": "r", "organization": "nowhere", "type": "dataset"}
    assert http.post("/v1/hf/api/repos/create", json=body).status_code == 404


def test_commit_answers_a_relative_address(http: httpx.Client, repo: str) -> None:
    answer = commit(http, repo, file_line("a.txt", b"a")).json()
    assert answer["commitUrl"] == f"datasets/{repo}/commit/{answer['commitOid']}"


def test_ranges_and_heads(http: httpx.Client, repo: str) -> None:
    oid = commit(http, repo, file_line("a.txt", b"0123456789")).json()["commitOid"]
    url = f"/v1/hf/datasets/{repo}/resolve/main/a.txt"
    head = http.head(url)
    assert head.headers["x-repo-commit"] == oid
    assert head.headers["content-length"] == "10" and head.headers["accept-ranges"] == "bytes"
    part = http.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert http.get(url, headers={"Range": "bytes=50-"}).status_code == 416


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/../../b", "a\\b", ".git/config", "a\u0000b", "a\nb", "", "."]
)
def test_paths_that_leave_the_repository_are_refused(http: httpx.Client, repo: str, path: str) -> None:
    assert commit(http, repo, file_line(path, b"x")).status_code == 400
    assert http.get(f"/v1/hf/api/datasets/{repo}/tree/main").json() == []


def test_path_cannot_be_file_and_folder(http: httpx.Client, repo: str) -> None:
    assert commit(http, repo, file_line("a", b"x")).status_code == 200
    assert commit(http, repo, file_line("a/b", b"x")).status_code == 400


def test_commit_on_a_moved_branch_is_refused(http: httpx.Client, repo: str) -> None:
    first = commit(http, repo, file_line("a", b"1")).json()["commitOid"]
    commit(http, repo, file_line("a", b"2"))
    header = {"key": "header", "value": {"summary": "s", "parentCommit": first}}
    body = json.dumps(header) + "\n" + json.dumps(file_line("a", b"3"))
    assert (
        http.post(
            f"/v1/hf/api/datasets/{repo}/commit/main",
            content=body,
            headers={"Content-Type": "application/x-ndjson"},
        ).status_code
        == 412
    )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"key":"file"}', b"\xff\xfe", b'{"key":"x","value":{}}']
)
def test_garbled_commit_is_a_400(http: httpx.Client, repo: str, body: bytes) -> None:
    answer = http.post(
        f"/v1/hf/api/datasets/{repo}/commit/main",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 400 and answer.json()["detail"]


def lfs_batch(http: httpx.Client, repo: str, content: bytes) -> dict[str, str]:
    body = {
        "operation": "upload",
        "objects": [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}],
    }
    answer = http.post(f"/v1/hf/datasets/{repo}.git/info/lfs/objects/batch", json=body)
    actions = answer.json()["objects"][0].get("actions", {})
    return {name: action["href"] for name, action in actions.items()}


def test_upload_cut_short_or_garbled_stores_nothing(http: httpx.Client, repo: str) -> None:
    content = b"law" * 1000
    links = lfs_batch(http, repo, content)
    for wrong in (content[:30], content + b"!", b"x" * len(content)):
        assert http.put(links["upload"], content=wrong).status_code == 400
    line = {
        "key": "lfsFile",
        "value": {
            "path": "big",
            "algo": "sha256",
            "oid": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        },
    }
    assert commit(http, repo, line).status_code == 400
    assert http.put(links["upload"], content=content).status_code == 200
    body = {"oid": line["value"]["oid"], "size": len(content)}  # type: ignore[index]
    assert http.post(links["verify"], json=body).status_code == 200
    assert http.post(links["verify"], json={**body, "size": 1}).status_code == 404
    assert commit(http, repo, line).status_code == 200
    assert lfs_batch(http, repo, content) == {}
    [entry] = http.get(f"/v1/hf/api/datasets/{repo}/tree/main").json()
    assert entry["lfs"] == {"oid": body["oid"], "size": 3000, "pointerSize": 129}


@pytest.mark.parametrize(
    "place",
    [
        *(f"{'a' * 64}/x", f"{'a' * 64}/-1", f"{'a' * 64}/{'9' * 19}", f"{'a' * 64}/１"),
        *(f"{'a' * 63}/1", f"{'A' * 64}/1", f"{'g' * 64}/1", "x/y"),
    ],
)
def test_large_file_at_another_place_than_its_digest_and_size_is_refused(
    http: httpx.Client, place: str
) -> None:
    refused = http.put(f"/v1/hf/lfs/{place}", content=b"a")
    assert refused.status_code == 404 and "<SHA-256>/<size in bytes>" in refused.json()["detail"]


def test_pages_of_a_list_of_files_hold_what_was_asked_for(http: httpx.Client, repo: str) -> None:
    commit(http, repo, *(file_line(name, b"x") for name in "abc"))
    tree = f"/v1/hf/api/datasets/{repo}/tree/main"
    seen, page = [], http.get(tree, params={"limit": 1})
    while True:
        assert len(page.json()) == 1
        seen += [entry["path"] for entry in page.json()]
        if "next" not in page.links:
            break
        page = http.get(page.links["next"]["url"])
    assert seen == ["a", "b", "c"]


def test_unknown_route_names_what_there_is(http: httpx.Client) -> None:
    answer = http.get("/v1/hf/api/spaces/a/b")
    assert answer.status_code == 501 and answer.headers["x-should-retry"] == "false"
    assert (
        "post" in httpx.get(answer.json()["available"], timeout=60).json()["paths"]["/v1/hf/api/repos/create"]
    )


def test_xet_is_refused_in_words_that_help(http: httpx.Client, repo: str) -> None:
    answer = http.get(f"/v1/hf/api/datasets/{repo}/xet-write-token/main")
    assert answer.status_code == 404 and "HF_HUB_DISABLE_XET" in answer.headers["x-error-message"]


def test_data_store_answers_on_the_platform_too(stack: StackThread, repo: str) -> None:
    answer = httpx.get(f"{stack.platform_url}/v1/hf/api/datasets/{repo}")
    assert answer.json()["id"] == repo


def test_commits_at_the_same_time_all_count(http: httpx.Client, repo: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(commit, http, repo, file_line(f"f{n}", b"%d" % n)) for n in range(16)]
        assert {each.result().status_code for each in sent} == {200}
    assert len(http.get(f"/v1/hf/api/datasets/{repo}/tree/main").json()) == 16
    assert len(http.get(f"/v1/hf/api/datasets/{repo}/commits/main").json()) == 17
