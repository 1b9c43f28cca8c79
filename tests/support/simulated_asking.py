"""Sends many rows to a server in simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from client_kit import PLATFORM
from simulated_time import simulate, simulated_clock

from lawtags_client.client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.intents import SqliteIntents
from lawtags_client.services.inference import Load
from lawtags_client.settings import Settings
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage


@dataclass
class Told:
    """The outcome of all rows."""

    seconds: float
    errors: list[LawtagsError]
    rows: list[int]
    loads: list[Load]

    @property
    def lost(self) -> int:
        return len(self.errors)


def ask(
    server: httpx.AsyncBaseTransport,
    folder: Path,
    *,
    rows: int = 134,
    chat: bool = False,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Told:
    """Send many rows to a server; the time is simulated."""

    async def work() -> Told:
        nemo = NeMo(
            Settings(platform_url=PLATFORM, **settings),
            intents=SqliteIntents(folder / "intents.sqlite"),
            clock=simulated_clock(),
            handler=server,
        )
        told = Told(0.0, [], [], [])
        outcomes: Any
        if chat:
            asked = (
                ChatCompletionRequest(model="m", messages=[ChatMessage(role="user", content=f"p{row}")])
                for row in range(rows)
            )
            outcomes = nemo.inference.chat_each(asked, on_load=told.loads.append, **(options or {}))
        else:
            prompts = (f"p{row}" for row in range(rows))
            outcomes = nemo.inference.complete_each(
                prompts, model="m", on_load=told.loads.append, **(options or {})
            )
        async for outcome in outcomes:
            told.rows.append(outcome.row)
            if outcome.error is not None:
                told.errors.append(outcome.error)
            else:
                assert outcome.value is not None and outcome.value.text == f"p{outcome.row}"
        told.seconds = asyncio.get_running_loop().time()
        await nemo.close()
        return told

    told = simulate(work)
    assert sorted(told.rows) == list(range(rows))
    return told
