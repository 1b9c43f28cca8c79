from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from lawtags_stack.server.servers import Servers, listen


async def test_what_is_under_way_when_a_server_stops_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    arrived = asyncio.Semaphore(0)

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        """Answers nothing, or the beginning of something, for as long as it may."""
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})
        arrived.release()
        await asyncio.sleep(600)

    listening = listen("127.0.0.1", 0, purpose="test")
    servers = Servers([(silent, listening)])
    await servers.start()
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        with caplog.at_level(logging.ERROR):
            waiting = asyncio.create_task(client.get("/waits"))
            begun = asyncio.create_task(client.get("/begun"))
            for _ in range(2):
                await asyncio.wait_for(arrived.acquire(), 60)
            await servers.stop()
            answer = await waiting
            with pytest.raises(httpx.RemoteProtocolError):
                await begun
    assert (answer.status_code, answer.json()["detail"]) == (503, "The stack is shutting down")
    assert "Traceback" not in caplog.text
