"""Shared parts of client tests: a frozen clock, and a scripted server without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from lawtags_client.client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.transport.clock import Clock

if TYPE_CHECKING:
    from lawtags_stack.stack import StackThread

PLATFORM = "http://nemo.test"
BEGIN = datetime(2025, 6, 20, 12, tzinfo=UTC)


@dataclass
class StillTime:
    """A clock that advances only by sleeping."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self, chance: float = 0.0) -> Clock:
        return Clock(self._monotonic, self._now, self._sleep, lambda: chance)

    def _monotonic(self) -> float:
        return self.seconds

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class Script:
    """Returns one response after another; the last one repeats."""

    answers: Sequence[Answer]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # Each request needs a new response, since a body can be read once.
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]


def client(
    handler: Callable[[httpx.Request], httpx.Response],
    folder: Path,
    time: StillTime | None = None,
    **settings: Any,
) -> NeMo:
    """A client whose requests are handled by a function instead of the network."""
    settings = {"platform_url": PLATFORM, **settings}
    return NeMo(
        Settings(**settings),
        intents=SqliteIntents(folder / "intents.sqlite"),
        clock=(time or StillTime()).clock(),
        handler=httpx.MockTransport(handler),
    )


def connect(stack: StackThread, folder: Path, handler: Any = None, **settings: Any) -> NeMo:
    """A client of a stack, with its intents in a folder."""
    urls = {
        "platform_url": stack.platform_url,
        "data_store_url": stack.data_store_url,
        "inference_url": stack.inference_url,
    }
    intents = SqliteIntents(folder / "intents.sqlite")
    return NeMo(Settings(**{**urls, **settings}), intents=intents, handler=handler)
