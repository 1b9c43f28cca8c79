"""What a call that is cancelled leaves behind."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from raw_server import RawServer, answer, send

from lawtags_client.client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings

FILE = {"type": "file", "path": "a.bin", "oid": "0" * 40, "size": 1000}
LOOKS = [send(answer(json.dumps(each).encode())) for each in ({"sha": "main"}, [FILE])]
STALLED = send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 10)


async def test_download_that_is_cancelled_twice_leaves_no_file_though_every_thread_is_busy(
    tmp_path: Path,
) -> None:
    threads, free = ThreadPoolExecutor(1), threading.Event()
    asyncio.get_running_loop().set_default_executor(threads)
    folder = tmp_path / "down"
    async with RawServer([*LOOKS, STALLED]) as server:
        settings = Settings(platform_url=server.url, data_store_url=server.url)
        async with NeMo(settings, intents=SqliteIntents(tmp_path / "intents.sqlite")) as nemo:
            work = asyncio.create_task(nemo.data_store.download("law/tags", folder, revision="main"))
            while not (folder.exists() and any(folder.iterdir())):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            # What the download itself still does in a thread comes first.
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            threads.submit(free.wait)
            for _ in range(2):
                work.cancel()
                await asyncio.sleep(0.01)
            free.set()
            with pytest.raises(asyncio.CancelledError):
                await work
    assert list(folder.iterdir()) == []
