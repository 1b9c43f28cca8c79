"""Links that the Data Store hands out, and where they are followed to."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from client_kit import client

from lawtags_client.errors import ConnectionFailedError, ProtocolError
from lawtags_client.services.data_store.links import Links
from lawtags_client.settings import LfsRewrite
from lawtags_client.transport.call import Call

STORE = "http://store.test:3000"


class Cluster:
    """The Data Store, with a host that only the cluster itself reaches."""

    def __init__(self, *reachable: str) -> None:
        self.reachable = ("store.test", *reachable)
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if request.url.host not in self.reachable:
            raise httpx.ConnectError("no such host")
        return httpx.Response(200)


def links(cluster: Cluster, folder: Path, rewrite: LfsRewrite, store: str = STORE) -> Links:
    nemo = client(cluster, folder, data_store_url=store)
    return Links(nemo.data_store._http, rewrite)


@pytest.mark.parametrize(
    ("store", "link", "followed"),
    [
        (STORE, "https://minio:9000/lfs/ab?sig=%2B&x=1", f"{STORE}/lfs/ab?sig=%2B&x=1"),
        (STORE, "http://minio/lfs/ab#part", f"{STORE}/lfs/ab"),
        (STORE, "http://minio", STORE),
        (f"{STORE}/data", "http://minio/lfs/ab", f"{STORE}/data/lfs/ab"),
        (f"{STORE}/data", "http://minio/data/lfs/ab", f"{STORE}/data/lfs/ab"),
        (f"{STORE}/data", "http://minio/data", f"{STORE}/data"),
        (f"{STORE}/data", "http://minio/database/ab", f"{STORE}/data/database/ab"),
    ],
)
async def test_a_rewritten_link_keeps_path_and_query(
    store: str, link: str, followed: str, tmp_path: Path
) -> None:
    cluster = Cluster()
    await links(cluster, tmp_path, "always", store).send(Call("GET", link))
    assert cluster.asked == [followed]


@pytest.mark.parametrize("rewrite", ["never", "auto"])
async def test_a_link_that_can_be_reached_is_followed_as_it_is(rewrite: LfsRewrite, tmp_path: Path) -> None:
    cluster = Cluster("minio")
    followed = links(cluster, tmp_path, rewrite)
    for _ in range(2):
        await followed.send(Call("GET", "http://minio/ab?x=1"))
    assert cluster.asked == ["http://minio/ab?x=1"] * 2


async def test_an_unreachable_host_is_tried_once_and_then_never_again(tmp_path: Path) -> None:
    cluster = Cluster("other")
    followed = links(cluster, tmp_path, "auto")
    for link in ("http://minio/1", "http://minio/2", "http://minio:9000/3", "http://other/4"):
        await followed.send(Call("GET", link))
    assert cluster.asked == [
        "http://minio/1", f"{STORE}/1", f"{STORE}/2", "http://minio:9000/3", f"{STORE}/3", "http://other/4",
    ]  # fmt: skip


async def test_a_host_that_must_not_be_replaced_is_retried_and_its_failure_told(tmp_path: Path) -> None:
    cluster = Cluster()
    call = Call("GET", "http://minio/1", max_retries=1, total_timeout=5.0)
    with pytest.raises(ConnectionFailedError, match="minio"):
        await links(cluster, tmp_path, "never").send(call)
    assert cluster.asked == ["http://minio/1"] * 2


async def test_a_link_to_the_store_keeps_its_scheme_and_path_whatever_is_set(tmp_path: Path) -> None:
    cluster = Cluster()
    followed = links(cluster, tmp_path, "always", f"{STORE}/data")
    await followed.send(Call("GET", "https://store.test:3000/ab"))
    assert cluster.asked == ["https://store.test:3000/ab"]


@pytest.mark.parametrize("link", ["ftp://minio/ab", "/lfs/ab", "http:///ab", "http://[::1/ab", ""])
async def test_a_link_that_is_no_address_is_refused(link: str, tmp_path: Path) -> None:
    cluster = Cluster()
    with pytest.raises(ProtocolError, match="not an HTTP URL"):
        await links(cluster, tmp_path, "auto").send(Call("GET", link))
    assert cluster.asked == []
