"""A real server on loopback that shares its time among all it was asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from simulated_time import Sharing

from lawtags_client.client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings

ROWS = 134
# The first 128 rows would take so many times as long as they may.
SLOWER = 3


async def _serve(sharing: Sharing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            length = next(int(value) for name, value in lines.items() if name.lower() == "content-length")
            prompt = json.loads(await reader.readexactly(length))["prompt"]
            prompts = prompt if isinstance(prompt, list) else [prompt]
            work = asyncio.create_task(sharing.serve([1.0] * len(prompts)))
            gone = asyncio.create_task(reader.read(1))
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                work.cancel()  # which stops it only where the server drops such work
                await asyncio.gather(work, return_exceptions=True)
                return
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            body = json.dumps({"choices": [{"index": n, "text": text} for n, text in enumerate(prompts)]})
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.mark.parametrize(("drops", "patience"), [(True, 1.5), (False, 0.8)])
async def test_a_real_server_too_slow_for_the_first_requests_loses_no_row(
    drops: bool, patience: float, tmp_path: Path
) -> None:
    sharing = Sharing(128 / patience / SLOWER, drops=drops)
    server = await asyncio.start_server(lambda r, w: _serve(sharing, r, w), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = Settings(platform_url=url, read_timeout=patience)
    async with NeMo(settings, intents=SqliteIntents(tmp_path / "intents.sqlite")) as nemo:
        outcomes = await nemo.inference.complete_many([f"p{row}" for row in range(ROWS)], model="m")
    assert [outcome.value.text for outcome in outcomes if outcome.value] == [f"p{row}" for row in range(ROWS)]
    server.close()
