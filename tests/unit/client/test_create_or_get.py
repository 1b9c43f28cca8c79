"""Making what may be there already: adopted if it is the same, explained if it is not, never made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client

from lawtags_client.errors import (
    ConfigurationError,
    ConflictError,
    LawtagsError,
    PermissionDeniedError,
    ServerError,
)
from lawtags_client.types.entity_store import DatasetRequest, DatasetUpdate

WANTED = DatasetRequest(name="tags", namespace="law", files_url="hf://datasets/law/tags", project="p")
# Services tell in three ways that a name is taken.
TAKEN = [
    httpx.Response(409, json={"detail": "Conflict"}),
    httpx.Response(422, json={"detail": "Dataset tags already exists in namespace law"}),
    httpx.Response(500, json={"detail": "dataset already exists"}, headers={"x-should-retry": "false"}),
]


class Store:
    """Has a data set, and says so in one way."""

    def __init__(self, taken: httpx.Response | Exception, **fields: Any) -> None:
        self.taken = taken
        self.there = {**WANTED.to_wire(), **fields}
        self.posts = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.posts += 1
            if isinstance(self.taken, Exception):
                raise self.taken
            return httpx.Response(self.taken.status_code, content=self.taken.content)
        return httpx.Response(200, json=self.there)


@pytest.mark.parametrize("taken", [*TAKEN, httpx.ReadError("reset")], ids=["409", "422", "500", "lost"])
async def test_an_identical_entity_is_used(taken: httpx.Response | Exception, tmp_path: Path) -> None:
    store = Store(taken, id="dataset-1")
    found = await client(store, tmp_path, StillTime()).entity_store.datasets.create_or_get(WANTED)
    assert (found.id, store.posts) == ("dataset-1", 1)


@pytest.mark.parametrize("taken", TAKEN, ids=["409", "422", "500"])
async def test_a_different_entity_is_rejected_with_the_differences(
    taken: httpx.Response, tmp_path: Path
) -> None:
    store = Store(taken, files_url="hf://datasets/law/others")
    with pytest.raises(ConflictError, match="law/tags already exists and differs in files_url"):
        await client(store, tmp_path, StillTime()).entity_store.datasets.create_or_get(WANTED)
    assert store.posts == 1


@pytest.mark.parametrize("taken", TAKEN, ids=["409", "422", "500"])
async def test_a_taken_name_is_a_conflict_whatever_the_status(taken: httpx.Response, tmp_path: Path) -> None:
    nemo = client(Store(taken), tmp_path, StillTime())
    with pytest.raises(ConflictError) as caught:
        await nemo.entity_store.datasets.create(WANTED)
    assert caught.value.status == taken.status_code


async def test_a_server_that_fails_is_no_conflict(tmp_path: Path) -> None:
    store = Store(httpx.Response(500, json={"detail": "the config law/c does not exist"}))
    with pytest.raises(ServerError):
        await client(store, tmp_path, StillTime()).entity_store.datasets.create(WANTED)


async def test_other_refusals_are_no_conflict(tmp_path: Path) -> None:
    store = Store(httpx.Response(422, json={"detail": "files_url: not a URL"}))
    with pytest.raises(LawtagsError, match="not a URL"):
        await client(store, tmp_path, StillTime()).entity_store.datasets.create_or_get(WANTED)


class Echo:
    """Answers with what it was sent, and keeps it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"{}")
        self.sent.append((request.method, request.url.path, body))
        return httpx.Response(200, json={"name": "n", "namespace": "law", **body})


async def test_entities_are_made_and_changed_by_keywords_as_by_requests(tmp_path: Path) -> None:
    server = Echo()
    datasets = client(server, tmp_path).entity_store.datasets
    made = await datasets.create(**WANTED.to_wire())
    assert made == await datasets.create(WANTED)
    assert made == await datasets.create_or_get(**WANTED.to_wire())
    await datasets.update("law/tags", description="May", extra_body={"colour": "red"})
    await datasets.update("law/tags", DatasetUpdate(description="May"), extra_body={"colour": "red"})
    posts, patches = server.sent[:3], server.sent[3:]
    assert posts == [("POST", "/v1/datasets", WANTED.to_wire())] * 3
    assert patches == [("PATCH", "/v1/datasets/law/tags", {"description": "May", "colour": "red"})] * 2


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "tags", "file_url": "hf://x"}, "file_url"),
        ({"name": "tags", "files_url": ["x"]}, "files_url"),
        ({"request": WANTED, "name": "tags"}, "name"),
        ({"name": "tags", "files_url": "hf://x", "extra_body": {"project": "p"}}, "project"),
    ],
)
async def test_wrong_keywords_are_named_before_anything_is_sent(
    fields: dict[str, Any], named: str, tmp_path: Path
) -> None:
    server = Echo()
    for make in (
        client(server, tmp_path).entity_store.datasets.create,
        client(server, tmp_path).entity_store.datasets.create_or_get,
    ):
        with pytest.raises(ConfigurationError, match=named):
            await make(**fields)
    assert not server.sent


async def test_an_upload_sends_its_headers_to_both_services_and_to_nothing_else(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers.get("x-team")))
        if "/v1/namespaces" in request.url.path and "datastore" not in request.url.path:
            return httpx.Response(200, json={"id": "law"})
        return httpx.Response(403, json={"detail": "not yours"})

    for part in ("training", "validation"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.jsonl").write_text('{"prompt": "p", "completion": "c"}\n')
    nemo = client(answer, tmp_path / "state")
    with pytest.raises(PermissionDeniedError):
        await nemo.data_store.upload_dataset("law/tags", tmp_path, extra_headers={"x-team": "law"})
    assert len({path for path, _ in seen}) > 1
    assert {team for _, team in seen} == {"law"}
    seen.clear()
    await nemo.entity_store.ensure_namespace("law")
    assert {team for _, team in seen} == {None}
