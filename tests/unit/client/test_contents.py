"""Files while they are sent: read as often as it takes, and closed whatever happens to the request."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path, PosixPath
from typing import IO, Any

import pytest

from lawtags_client.errors import DataError
from lawtags_client.services.data_store.contents import Sending, describe

SIZE = 5 << 19


class Watched(PosixPath):
    """A path that remembers what was opened, and opens only when it is let."""

    opened: list[IO[Any]]
    asked: threading.Event
    let: threading.Event

    def open(self, *args: Any, **kwargs: Any) -> IO[Any]:
        self.asked.set()
        assert self.let.wait(10)
        stream = super().open(*args, **kwargs)
        self.opened.append(stream)
        return stream


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    path = Watched(tmp_path / "weights.bin")
    path.opened, path.asked, path.let = [], threading.Event(), threading.Event()
    path.let.set()
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


async def test_every_reading_begins_anew_and_ends_the_one_before(watched: Watched) -> None:
    file = describe("weights.bin", watched)
    content = watched.read_bytes()
    del watched.opened[:]
    with Sending(file) as sending:
        given_up = sending.chunks()
        assert len(await anext(given_up)) < SIZE
        assert b"".join([chunk async for chunk in sending.chunks()]) == content
        assert [stream.closed for stream in watched.opened] == [True, False]
        with pytest.raises(StopAsyncIteration):
            await anext(given_up)
    assert all(stream.closed for stream in watched.opened)


async def test_file_whose_request_was_given_up_is_closed_with_the_context(watched: Watched) -> None:
    with Sending(describe("weights.bin", watched)) as sending:
        chunks = sending.chunks()
        await anext(chunks)
        assert not watched.opened[-1].closed
    assert watched.opened[-1].closed
    await chunks.aclose()


async def test_file_opened_by_a_thread_after_cancellation_is_closed(watched: Watched) -> None:
    file = describe("weights.bin", watched)
    del watched.opened[:]
    watched.asked.clear()
    watched.let.clear()
    with Sending(file) as sending:
        reading = asyncio.ensure_future(anext(sending.chunks()))
        assert await asyncio.to_thread(watched.asked.wait, 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    watched.let.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert [stream.closed for stream in watched.opened] == [True]


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten", "goes"])
async def test_changed_file_never_leaves_whole(watched: Watched, change: str) -> None:
    content = watched.read_bytes()
    file = describe("weights.bin", watched)
    if change == "goes":
        watched.unlink()
    else:
        changed = {"grows": content + b"x", "shrinks": content[:-1], "is rewritten": content[:-1] + b"?"}
        watched.write_bytes(changed[change])
    sent = b""
    with Sending(file) as sending, pytest.raises(DataError, match=r"weights\.bin"):
        async for chunk in sending.chunks():
            sent += chunk
    assert sent != content
    assert all(stream.closed for stream in watched.opened)
