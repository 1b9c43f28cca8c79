"""Whatever a server sends, a caller sees a result or a LawtagsError, within the limits of time and memory."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from client_kit import Script, StillTime, client
from hostile_servers import answers
from httpx import Response
from raw_server import Act, RawServer, answer, send

from lawtags_client import tag
from lawtags_client.client import NeMo
from lawtags_client.errors import DataError, DeadlineExceededError, LawtagsError, ProtocolError
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage, CompletionRequest

SERVERS = 64
REQUEST = CustomizationJobRequest(
    config="a/b@v1", dataset="law/tags", hyperparameters=Hyperparameters(finetuning_type="lora")
)
ASK = CompletionRequest(model="m", prompt="Tags:", max_tokens=4)
CHAT = ChatCompletionRequest(model="m", messages=[ChatMessage(role="user", content="x")])


def connect(url: str, folder: Path, **settings: Any) -> NeMo:
    urls = {"platform_url": url, "data_store_url": url, "inference_url": url}
    settings = {"read_timeout": 0.1, "total_timeout": 0.5, "max_retries": 1, **settings}
    intents = SqliteIntents(folder / "intents.sqlite")
    return NeMo(Settings(**urls, **settings), intents=intents, clock=StillTime().clock())


async def some(entries: AsyncIterator[Any]) -> None:
    """The first of what may have no end."""
    count = 0
    async for _ in entries:
        count += 1
        if count == 300:
            break
    await entries.aclose()  # type: ignore[attr-defined]


def calls(nemo: NeMo, folder: Path) -> Iterator[Callable[[], Awaitable[Any]]]:
    yield lambda: some(nemo.customizer.jobs.list())
    yield lambda: nemo.customizer.jobs.get("cust-1")
    yield lambda: nemo.customizer.jobs.create(REQUEST)
    yield lambda: nemo.entity_store.namespaces.delete("law")
    yield lambda: some(nemo.entity_store.models.list())
    yield lambda: nemo.evaluator.jobs.results("eval-1")
    yield lambda: nemo.evaluator.jobs.download_results("eval-1")
    yield lambda: nemo.data_store.files("law/tags")
    yield lambda: nemo.data_store.download("law/tags", folder / "down")
    yield lambda: nemo.data_store.upload_files("law/tags", {"a.txt": b"one"})
    yield lambda: nemo.inference.models()
    yield lambda: nemo.inference.complete(ASK)
    yield lambda: some(nemo.inference.stream_completion(ASK))
    yield lambda: some(nemo.inference.stream_chat(CHAT))
    yield lambda: tag(nemo, title="Can I?", model="m")


async def provoke(seed: int, folder: Path) -> tuple[int, int]:
    """Put every call to a hostile server; how many came back with a result, and how many with an error."""
    rng = Random(seed)
    rounds: list[Act] = [answers(rng) for _ in range(60)]
    results = errors = 0
    async with RawServer(rounds) as server, connect(server.url, folder) as nemo:
        for call in calls(nemo, folder):
            try:
                await call()
                results += 1
            except LawtagsError as error:
                # They have to be printable, too.
                assert str(error) and json.dumps(error.as_dict(), default=str)
                errors += 1
    return results, errors


@pytest.mark.parametrize("first", range(0, SERVERS, 8))
async def test_hostile_servers_cause_errors_of_this_package_alone(first: int, tmp_path: Path) -> None:
    folders = [tmp_path / str(seed) for seed in range(first, first + 8)]
    for folder in folders:
        folder.mkdir()
    found = await asyncio.gather(*(provoke(first + place, folder) for place, folder in enumerate(folders)))
    assert all(results + errors == 15 for results, errors in found)
    assert all(errors for _, errors in found)
    # Nothing of what they sent stands outside of the folders meant for it.
    assert {path.name for path in tmp_path.iterdir()} == {folder.name for folder in folders}


BOMB = gzip.compress(bytes(200 << 20), 9)
TOO_LARGE = {
    "compressed": answer(BOMB, "content-encoding: gzip"),
    "compressed twice": answer(gzip.compress(BOMB), "content-encoding: gzip, gzip"),
    "too many lists": answer(b"[" + b"[]," * (2 << 20) + b"[]]"),
}


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_bodies_that_expand_are_given_up(body: bytes, tmp_path: Path) -> None:
    async with RawServer([send(body)]) as server:
        nemo = connect(server.url, tmp_path, read_timeout=60, total_timeout=120)
        async with nemo:
            with pytest.raises(ProtocolError, match=r"larger than 64 MiB|more than once|more than 1,000,000"):
                await nemo.customizer.jobs.get("cust-1")
            # The size is no accident, so that asking again would be for nothing.
            assert len(server.requests) == 1


async def test_an_error_of_any_size_is_told_by_its_status(tmp_path: Path) -> None:
    body = answer(BOMB, "content-encoding: gzip", status="404 Not Found")
    async with RawServer([send(body)]) as server:
        nemo = connect(server.url, tmp_path, read_timeout=60, total_timeout=120)
        async with nemo:
            with pytest.raises(LawtagsError) as caught:
                await nemo.customizer.jobs.get("cust-1")
    assert caught.value.status == 404
    assert len(str(caught.value)) < 5000


async def test_the_loop_has_its_turns_while_a_large_answer_is_decoded(tmp_path: Path) -> None:
    entries = [{"id": f"cust-{n}", "status": "created", "extra": [n, n / 3]} for n in range(40_000)]
    body = gzip.compress(json.dumps({"data": entries}).encode(), 1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with RawServer([send(answer(body, "content-encoding: gzip"))]) as server:
        nemo = connect(server.url, tmp_path, read_timeout=60, total_timeout=120)
        async with nemo:
            http = nemo.customizer.jobs._http
            from lawtags_client.transport.body import decode_json
            from lawtags_client.transport.call import Call

            reply = await http.send(Call("GET", "/v1/customization/jobs"))
            counting = asyncio.create_task(count())
            await asyncio.sleep(0)
            assert len((await decode_json(reply.body))["data"]) == len(entries)
            counting.cancel()
    # Decoded on the loop, or in a thread that does not let go, there would be one or two.
    assert turns > 10


@pytest.mark.parametrize("piece", [b": still here\n\n", b" "], ids=["comments", "blanks"])
async def test_a_stream_that_never_ends_is_given_up_in_time(piece: bytes, tmp_path: Path) -> None:
    async def forever(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for _ in itertools.count():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with RawServer([forever]) as server, connect(server.url, tmp_path, total_timeout=0.5) as nemo:
        with pytest.raises(DeadlineExceededError):
            await some(nemo.inference.stream_completion(ASK))


TREES = {
    "a file that is a folder, too": ["a", "a/b"],
    "the same below": ["x/y/z", "x"],
    "a name that is too long": ["n" * 300],
    "a way out": ["../a"],
    "a name with NUL": ["a\0b"],
}


@pytest.mark.parametrize("paths", TREES.values(), ids=TREES)
async def test_files_that_no_folder_can_hold_are_refused_before_any_is_fetched(
    paths: list[str], tmp_path: Path
) -> None:
    entries = [{"type": "file", "path": path, "oid": "0" * 40, "size": 3} for path in ["good", *paths]]
    script = Script([Response(200, json={"sha": "main"}), Response(200, json=entries)])
    async with client(script, tmp_path / "state", data_store_url="http://data.test") as nemo:
        with pytest.raises(ProtocolError):
            await nemo.data_store.download("law/tags", tmp_path / "down", revision="main")
    assert len(script.requests) == 2
    assert not (tmp_path / "down").exists()


async def test_a_longest_name_can_be_downloaded(tmp_path: Path) -> None:
    import hashlib

    oid = hashlib.sha1(b"blob 3\0one").hexdigest()
    entries = [{"type": "file", "path": "n" * 255, "oid": oid, "size": 3}]
    script = Script(
        [Response(200, json={"sha": "main"}), Response(200, json=entries), Response(200, content=b"one")]
    )
    async with client(script, tmp_path / "state", data_store_url="http://data.test") as nemo:
        await nemo.data_store.download("law/tags", tmp_path / "down", revision="main")
    assert (tmp_path / "down" / ("n" * 255)).read_bytes() == b"one"


async def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "down").write_text("a file")
    entries = [{"type": "file", "path": "a", "oid": "0" * 40, "size": 3}]
    script = Script([Response(200, json={"sha": "main"}), Response(200, json=entries)])
    async with client(script, tmp_path / "state", data_store_url="http://data.test") as nemo:
        with pytest.raises(DataError, match=r"down.*cannot be written"):
            await nemo.data_store.download("law/tags", tmp_path / "down", revision="main")
