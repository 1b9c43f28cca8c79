"""Simulated time: hours of waiting take moments."""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

from lawtags_client.transport.clock import Clock

T = TypeVar("T")
_BEGIN = datetime(2025, 6, 20, 12, tzinfo=UTC)


class _Selector(selectors.DefaultSelector):
    """Skips the time for which an event loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0 if timeout is not None else 5)
        assert found or timeout is not None, "everybody waits for something that no time will bring"
        if not found and timeout is not None:
            # The loop treats times within its clock's resolution as past.
            self.now += max(timeout, 1e-9)
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time."""

    def __init__(self) -> None:
        self.simulated = _Selector()
        super().__init__(self.simulated)

    def time(self) -> float:
        return self.simulated.now


def simulate(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work())


def simulated_clock(seed: int = 0) -> Clock:
    """The clock of the running event loop."""
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    return Clock(loop.time, lambda: _BEGIN + timedelta(seconds=loop.time()), asyncio.sleep, chance.random)


@dataclass
class Sharing:
    """A server that shares its capacity among all current rows.

    Args:
        rate: rows per second, in total.
        drops: whether to drop work if the client disconnects.
        places: maximum concurrent rows, each at ``rate / places`` rows per second.
    """

    rate: float
    drops: bool = True
    places: int = 1
    _served: float = 0.0
    _since: float = 0.0
    _ends: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _number: int = 0
    _timer: asyncio.TimerHandle | None = None

    async def serve(self, sizes: list[float]) -> None:
        """Process rows of these sizes; 1 is the usual size."""
        futures = [self._add(size) for size in sizes]
        try:
            await asyncio.gather(*futures)
        except asyncio.CancelledError:
            if self.drops:
                self._tick()
                gone = set(futures)
                self._ends = [end for end in self._ends if end[2] not in gone]
                heapq.heapify(self._ends)
                self._plan()
            raise

    def _add(self, size: float) -> asyncio.Future[None]:
        self._tick()
        future = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._ends, (self._served + size, self._number, future))
        self._plan()
        return future

    def _each(self) -> float:
        """Rows per second for each."""
        return self.rate / max(len(self._ends), self.places)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._ends:
            self._served += (now - self._since) * self._each()
        self._since = now
        while self._ends and self._ends[0][0] <= self._served + 1e-9:
            future = heapq.heappop(self._ends)[2]
            if not future.done():
                future.set_result(None)

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ends:
            seconds = (self._ends[0][0] - self._served) / self._each()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._tick()
        self._plan()


@dataclass
class Queueing:
    """A server with a fixed concurrency, which processes the rows of a request sequentially; the rest waits.

    Args:
        places: the concurrency.
        seconds: per row.
        drops: whether to drop work if the client disconnects.
    """

    places: int
    seconds: float
    drops: bool = True
    _free: asyncio.Semaphore | None = None

    async def serve(self, sizes: list[float]) -> None:
        """Process rows of these sizes."""
        work = asyncio.create_task(self._work(sizes))
        try:
            await asyncio.shield(work)
        finally:
            if self.drops:
                work.cancel()

    async def _work(self, sizes: list[float]) -> None:
        self._free = self._free or asyncio.Semaphore(self.places)
        async with self._free:
            await asyncio.sleep(self.seconds * sum(sizes))


@dataclass
class Batching:
    """A server that generates all answers as one batch, word by word; each row slows it down.

    Args:
        word: base time per word, in seconds.
        more: additional seconds per row.
        words: words per answer.
    """

    word: float
    more: float
    words: int
    _running: int = 0
    _written: asyncio.Event | None = None
    _writing: asyncio.Task[None] | None = None

    async def serve(self, sizes: list[float]) -> None:
        """Process some rows."""
        self._running += len(sizes)
        if self._writing is None:
            self._written = asyncio.Event()
            self._writing = asyncio.create_task(self._write())
        try:
            for _ in range(self.words):
                assert self._written is not None
                await self._written.wait()
        finally:
            self._running -= len(sizes)

    async def _write(self) -> None:
        while self._running:
            await asyncio.sleep(self.word + self.more * self._running)
            written, self._written = self._written, asyncio.Event()
            assert written is not None
            written.set()
        self._writing = None


class SimulatedNim(httpx.AsyncBaseTransport):
    """A server of completions and chats in simulated time.

    Args:
        serve: takes the time for rows of some sizes.
        size: the size of a prompt's row.
        cut: seconds after which connections are cut, as some proxies do.
    """

    def __init__(
        self,
        serve: Callable[[list[float]], Awaitable[None]],
        *,
        size: Callable[[str], float] = lambda prompt: 1.0,
        cut: float | None = None,
    ) -> None:
        self._serve, self._size, self._cut = serve, size, cut
        self.requests: list[tuple[float, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        prompts = body.get("prompt") or body["messages"][0]["content"]
        prompts = prompts if isinstance(prompts, list) else [prompts]
        self.requests.append((asyncio.get_running_loop().time(), len(prompts)))
        patience = request.extensions["timeout"]["read"]
        work = self._serve([self._size(prompt) for prompt in prompts])
        try:
            async with asyncio.timeout(min(patience, self._cut or patience)):
                await work
        except TimeoutError:
            if self._cut is not None and self._cut < patience:
                raise httpx.ReadError("cut") from None
            raise httpx.ReadTimeout("slow") from None
        return httpx.Response(200, json={"choices": list(_choices(prompts, chat="messages" in body))})


def _choices(prompts: Iterable[str], *, chat: bool) -> Iterable[dict[str, Any]]:
    for index, prompt in enumerate(prompts):
        text = {"message": {"role": "assistant", "content": prompt}} if chat else {"text": prompt}
        yield {"index": index, **text, "finish_reason": "stop"}
