"""Web pages and rebound names cannot use a stack that has no token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

PORTS = ("platform", "data_store", "inference")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(token="secret", allowed_hosts=("Stack.Internal",))
    with StackThread(tmp_path_factory.mktemp("guarded") / "stack", options=options) as running:
        yield running


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    # One for all: each of its own would read the certificates again.
    with httpx.Client() as client:
        yield client


def urls(stack: StackThread) -> list[str]:
    return [getattr(stack, f"{port}_url") for port in PORTS]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:{port}",
        "0.0.0.0:{port}",
        "169.254.169.254",
        "[fe80::1]",
        "localhost:99999999",
        "notlocalhost",
        "evil.example@127.0.0.1",
        "evil.example\\@127.0.0.1",
        "127.0.0.1@evil.example",
        "localhost/evil.example",
        "localhost?evil.example",
        "localhost#evil.example",
        "localhost:80:80",
        "localhost evil.example",
        "",
    ],
)
def test_a_host_that_is_not_ours_is_refused(http: httpx.Client, stack: StackThread, host: str) -> None:
    for url in urls(stack):
        given = host.replace("{port}", url.rpartition(":")[2])
        for path in ("/v1/models", "/v1/health/ready", "/openapi.json"):
            answer = http.get(url + path, headers={"Host": given})
            assert answer.status_code == 403, path
            assert "--allow-host" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "app.localhost:80", "127.0.0.1:9", "127.9.9.9", "[::1]:7"],
)
def test_every_name_of_this_machine_is_answered(http: httpx.Client, stack: StackThread, host: str) -> None:
    for url in urls(stack):
        assert http.get(f"{url}/v1/health/ready", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:notaport"},
        {"Origin": "{own}/"},
        {"Origin": "http://evil.example@127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Origin": "{own}", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_origin_is_refused(
    http: httpx.Client, stack: StackThread, headers: dict[str, str]
) -> None:
    for url in urls(stack):
        given = {name: value.replace("{own}", url) for name, value in headers.items()}
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/namespaces"), ("DELETE", "/v1/models/a/b")):
            assert http.request(method, url + path, headers=given).status_code == 403, (url, path)


def test_a_foreign_origin_is_seen_behind_one_of_our_own(http: httpx.Client, stack: StackThread) -> None:
    for name, own, foreign in (
        ("Origin", stack.platform_url, "http://evil.example"),
        ("Sec-Fetch-Site", "same-origin", "cross-site"),
    ):
        for values in ((own, foreign), (foreign, own)):
            answer = http.get(f"{stack.platform_url}/v1/models", headers=[(name, value) for value in values])
            assert answer.status_code == 403
            assert foreign in answer.json()["detail"]


def test_a_page_of_our_own_origin_and_programs_are_answered(http: httpx.Client, stack: StackThread) -> None:
    for url in urls(stack):
        for headers in ({"Origin": url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
            assert http.get(f"{url}/v1/health/ready", headers=headers).status_code == 200


def test_with_a_token_names_are_free_and_pages_still_refused(
    http: httpx.Client, guarded: StackThread
) -> None:
    token = {"Authorization": "Bearer secret"}
    for url in urls(guarded):
        assert http.get(f"{url}/v1/models", headers={**token, "Host": "stack:8000"}).status_code != 403
        assert http.get(f"{url}/v1/models", headers={"Host": "stack:8000"}).status_code == 401
        page = {**token, "Origin": "http://evil.example"}
        assert http.get(f"{url}/v1/models", headers=page).status_code == 403


def test_a_name_can_be_allowed(http: httpx.Client, tmp_path: Path) -> None:
    options = StackOptions(allowed_hosts=("Stack.Internal", "2001:db8::7"))
    with StackThread(tmp_path / "stack", options=options) as running:
        for host, status in (
            ("stack.internal:80", 200),
            ("[2001:DB8:0::7]", 200),
            ("x.stack.internal", 403),
        ):
            got = http.get(f"{running.platform_url}/v1/health/ready", headers={"Host": host})
            assert got.status_code == status, host


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", ["text/plain", FORM, "multipart/form-data; boundary=x", None, "text/json"])
def test_json_must_be_called_json(http: httpx.Client, stack: StackThread, kind: str | None) -> None:
    body = json.dumps({"id": f"typed-{abs(hash(kind))}"})
    headers = {} if kind is None else {"Content-Type": kind}
    answer = http.post(f"{stack.platform_url}/v1/namespaces", content=body, headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
    names = http.get(f"{stack.platform_url}/v1/namespaces?page_size=1000").json()["data"]
    assert json.loads(body)["id"] not in {each["id"] for each in names}


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.git-lfs+json"]
)
def test_every_json_type_is_read(http: httpx.Client, stack: StackThread, kind: str) -> None:
    answer = http.post(
        f"{stack.platform_url}/v1/namespaces", content=b'{"id": ".."}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 422


def test_every_route_that_reads_a_body_wants_its_type(http: httpx.Client, stack: StackThread) -> None:
    wrong = []
    for url in urls(stack):
        document = http.get(f"{url}/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                accepted = operation.get("requestBody", {}).get("content", {})
                if not accepted or "application/octet-stream" in accepted:
                    continue
                place = path.replace("{", "").replace("}", "")
                answer = http.request(
                    method, url + place, content=b"{}", headers={"Content-Type": "text/plain"}
                )
                if answer.status_code != 415:
                    wrong.append((method, path, answer.status_code))
    assert not wrong
