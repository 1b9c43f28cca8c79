"""Answers that are valid HTTP and hurt in other ways: absurd waits, endless lists, depth, odd numbers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client
from raw_server import RawServer, answer, send, silence

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    DeadlineExceededError,
    LawtagsError,
    ProtocolError,
    RateLimitedError,
)
from lawtags_client.helix import evaluations, jobs
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.jobs import LogLine, QueuedStep
from lawtags_client.intents import SqliteIntents
from lawtags_client.services import following, watching

JOB = {"id": "cust-1", "status": "running"}
DEEP: Any = {"a": 1}
for _ in range(300):
    DEEP = {"a": DEEP}


def helix(handler: Callable[[httpx.Request], httpx.Response], time: StillTime | None = None) -> Helix:
    return Helix(
        base_url="http://helix.test",
        workspace="law",
        clock=(time or StillTime()).clock(),
        handler=httpx.MockTransport(handler),
    )


async def count(entries: AsyncIterator[Any], most: int = 10_000) -> int:
    found = 0
    async for _ in entries:
        found += 1
        assert found < most, "without an end"
    return found


@pytest.mark.parametrize("asked", ["1e9", "1e308", "Fri, 31 Dec 9999 23:59:59 GMT", "31536000"])
@pytest.mark.parametrize("product", ["v1", "helix"])
async def test_a_wait_ends_in_time_however_long_a_server_asks_to_be_left_alone(
    product: str, asked: str, tmp_path: Path
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/status"):
            return httpx.Response(429, json={"detail": "slow down"}, headers={"retry-after": asked})
        return httpx.Response(200, json=JOB)

    time = StillTime()
    with pytest.raises(RateLimitedError):
        if product == "v1":
            async with client(refuse, tmp_path, time) as nemo:
                await (await nemo.customizer.job("cust-1")).wait(timeout=60)
        else:
            async with helix(refuse, time) as platform:
                await platform.jobs.wait("law/training", timeout=60)
    assert 60 <= time.seconds < 130


@pytest.mark.parametrize("product", ["v1", "helix"])
async def test_a_short_wait_is_not_held_up_by_a_server_that_never_answers(
    product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LEAST", 0.2)
    job = send(answer(json.dumps(JOB).encode()))
    async with RawServer([job, silence] if product == "v1" else [silence]) as server:
        with pytest.raises(DeadlineExceededError, match="no answer within 0 s"):
            if product == "v1":
                async with NeMo(base_url=server.url, intents=SqliteIntents(tmp_path / "intents")) as nemo:
                    await (await nemo.customizer.job("cust-1")).wait(timeout=0.1)
            else:
                async with Helix(base_url=server.url, workspace="law") as platform:
                    await platform.jobs.wait("law/training", timeout=0.1)


@pytest.mark.parametrize("cursors", [["a", "b"], ["a"], ["a", "a", "b", "c", "a"]])
async def test_a_log_whose_pages_name_one_another_ends(cursors: list[str]) -> None:
    asked = 0

    def page(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        following = cursors[(asked - 1) % len(cursors)]
        return httpx.Response(200, json={"data": [{"message": "x"}], "next_page": following})

    async with helix(page) as platform:
        assert await count(platform.jobs.logs("law/training")) <= len(cursors) + 1


async def test_a_log_of_nothing_but_empty_pages_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_MOST_EMPTY_PAGES", 20)
    asked = 0

    def page(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json={"data": [], "next_page": f"page-{asked}"})

    async with helix(page) as platform:
        with pytest.raises(ProtocolError, match="empty pages"):
            await count(platform.jobs.logs("law/training"))
    assert asked == 20


async def test_a_followed_job_is_found_beside_a_list_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_MOST_PAGES", 20)
    pages = 0

    def endless(request: httpx.Request) -> httpx.Response:
        nonlocal pages
        if request.url.path.endswith("/cust-1"):
            return httpx.Response(200, json={**JOB, "status": "completed"})
        pages += 1
        return httpx.Response(200, json={"data": [{"id": f"cust-other-{pages}", "status": "running"}]})

    async with client(endless, tmp_path, StillTime()) as nemo:
        found = [str(change) async for change in nemo.customizer.watch_many(["cust-1"])]
    assert found == ["cust-1 completed"]


DATASET = {"name": "tags", "namespace": "law", "files_url": "hf://datasets/law/tags"}
CALLS: dict[str, Callable[[NeMo, Helix], Awaitable[object]]] = {
    "v1, read": lambda nemo, _: nemo.entity_store.datasets.get("law/tags"),
    "v1, compared": lambda nemo, _: nemo.entity_store.datasets.create_or_get(**DATASET),
    "helix, read": lambda _, platform: platform.filesets.get("tags"),
    "helix, compared": lambda _, platform: platform.filesets.ensure(name="tags", purpose="dataset"),
    "helix, scores": lambda _, platform: platform.evaluations.scores("tags-eval"),
    "helix, rows": lambda _, platform: count(platform.evaluations.rows("tags-eval")),
}


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_what_is_nested_too_deeply_to_be_written_again_is_not_taken(
    call: Callable[[NeMo, Helix], Awaitable[object]], size: str, tmp_path: Path
) -> None:
    padding = {"padding": "x" * (2 << 20)} if size == "large" else {}

    def deep(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("healthz"):
            return httpx.Response(200, json={})
        if request.method == "POST":
            return httpx.Response(409, json={"detail": "already exists"})
        return httpx.Response(200, json={**DATASET, "row_index": 1, "metadata": DEEP, **padding})

    async with client(deep, tmp_path) as nemo, helix(deep) as platform:
        with pytest.raises(ProtocolError, match="nested more than 100 levels"):
            await call(nemo, platform)


ROWS = {
    "no JSON": (b'{"row_index": 0}\n<html>\n', "line 2 is not valid JSON"),
    "half UTF-8": (b'{"row_index": 0}\n{"item": {"a": "\xc3\n', "line 2 is not valid JSON"),
    "too many lists": (b'{"row_index": 0}\n' + b"[" + b"[]," * (1 << 20) + b"[]]\n", "more than 1,000,000"),
    "a list": (b'{"row_index": 0}\n[]\n', "not a valid HelixScoredRow"),
    "an endless line": (b'{"row_index": 0}\n' + b" " * (1 << 20), "a line of its stream is longer"),
}


@pytest.mark.parametrize(("body", "said"), ROWS.values(), ids=ROWS)
async def test_rows_that_are_none_are_told_after_those_before(
    body: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said.startswith("a line"):
        monkeypatch.setattr(evaluations, "_LONGEST_LINE", 1 << 19)

    def answered(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, json={})
            if request.url.path.endswith("healthz")
            else httpx.Response(200, content=body)
        )

    found = 0
    async with helix(answered) as platform:
        with pytest.raises(ProtocolError, match=said):
            async for _ in platform.evaluations.rows("tags-eval"):
                found += 1
    assert found == 1


async def test_scores_have_the_limits_of_other_answers() -> None:
    """Not those of an archive: a gibibyte of lists would take all memory."""

    def answered(request: httpx.Request) -> httpx.Response:
        lists = b"[" + b"[]," * (1 << 20) + b"[]]"
        return httpx.Response(200, content=b"{}" if request.url.path.endswith("healthz") else lists)

    async with helix(answered) as platform:
        with pytest.raises(ProtocolError, match="more than 1,000,000 arrays"):
            await platform.evaluations.scores("tags-eval")


@pytest.mark.parametrize(
    ("refused", "number"),
    [(2, 2), ("2", 2), ("²", 0), ("-1", 0), ("many", 0), ("9" * 5000, 0), (None, 0), ([], 0), (0.5, 0)],
)
async def test_the_number_of_refused_log_lines_may_be_anything(refused: object, number: int) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"partialSuccess": {"rejectedLogRecords": refused}})

    step = QueuedStep(id="s", job="training", name="train", workspace="law")
    async with helix(answered) as platform:
        assert await platform.runner.send_logs(step, "task", [LogLine(message="x")]) == number


async def test_events_of_a_stream_have_the_limits_of_other_answers(tmp_path: Path) -> None:
    nested = b"data: " + b"[" * 200 + b"]" * 200 + b"\n\n"

    def streamed(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=nested, headers={"content-type": "text/event-stream"})

    async with client(streamed, tmp_path) as nemo:
        with pytest.raises(LawtagsError, match="not JSON"):
            await count(nemo.inference.stream_completion(model="m", prompt="Tags:"))


HALF = b'{"name": "tags", "metadata": {"\\udc00": "a\\ud800b \\ud83d\\ude00"}, "purpose": "dataset"}'


@pytest.mark.parametrize("size", ["small", "large"])
async def test_halves_of_characters_are_replaced_where_an_answer_is_read(size: str) -> None:
    body = HALF if size == "small" else HALF[:-1] + b', "padding": "' + b"x" * (2 << 20) + b'"}'

    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"detail": "already exists"})
        return httpx.Response(200, content=body)

    async with helix(answered) as platform:
        found = await platform.filesets.ensure(name="tags", purpose="dataset")
    assert found.metadata == {"\ufffd": "a\ufffdb \U0001f600"}
    assert found.model_dump_json()


async def test_a_file_that_is_another_one_each_time_is_not_downloaded_for_ever(tmp_path: Path) -> None:
    asked = 0

    def answered(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"data": [{"path": "a", "size": 100}]})
        asked += 1
        letter = chr(ord("a") + asked % 26).encode()
        return httpx.Response(206 if "range" in request.headers else 200, content=Cut(letter * 50))

    async with helix(answered) as platform:
        with pytest.raises(ProtocolError, match="another file each time"):
            await platform.filesets.download("tags", tmp_path)
    assert asked < 20


class Cut(httpx.AsyncByteStream):
    """A body that breaks off behind its first bytes."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        raise httpx.ReadError("cut off")


@pytest.mark.parametrize("size", [-1, 1 << 63, 10**400])
async def test_a_file_of_an_impossible_size_is_not_downloaded(size: int, tmp_path: Path) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        entry = {"path": "a", "size": size, "type": "file"}
        if "/api/datasets/" in request.url.path:
            return httpx.Response(200, json=[entry] if "/tree/" in request.url.path else {"sha": "main"})
        return httpx.Response(200, json={"data": [entry]})

    async with helix(answered) as platform:
        with pytest.raises(ProtocolError, match="size: Input should be"):
            await platform.filesets.download("tags", tmp_path)
    async with client(answered, tmp_path, data_store_url="http://data.test") as nemo:
        with pytest.raises(ProtocolError, match="size: Input should be"):
            await nemo.data_store.download("law/tags", tmp_path / "down", revision="main")
