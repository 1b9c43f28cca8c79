"""Making what may be there already: adopted if it is the same, explained if it is not, never made twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client

from lawtags_client.errors import ConflictError, LawtagsError, ServerError
from lawtags_client.types.entity_store import DatasetRequest

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
async def test_the_same_is_adopted(taken: httpx.Response | Exception, tmp_path: Path) -> None:
    store = Store(taken, id="dataset-1")
    found = await client(store, tmp_path, StillTime()).entity_store.datasets.create_or_get(WANTED)
    assert (found.id, store.posts) == ("dataset-1", 1)


@pytest.mark.parametrize("taken", TAKEN, ids=["409", "422", "500"])
async def test_another_is_explained_by_what_differs(taken: httpx.Response, tmp_path: Path) -> None:
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
