"""Submits in a separate process, which can be killed at a named point."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from lawtags_client.client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.intents import Intent, SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.transport.clock import Clock
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters
from lawtags_stack.stack import StackThread

Point = Literal["before the intent", "before the request", "before the id", "after the id"]
POINTS: tuple[Point, ...] = ("before the intent", "before the request", "before the id", "after the id")

_PRELOADED = [
    "httpx",
    "httpcore",
    "h11",
    "anyio._backends._asyncio",
    "httpx_aiohttp",
    "sqlite3",
    "filelock",
    "lawtags_client.client",
    "lawtags_client.services.customizer",
    "lawtags_client.transport.pooled",
]

# A submission is a few calls, each of which the client gives 300 seconds: what takes longer than all of them
# hangs. Long before, a process shows what it is at.
_LONGEST = 1800.0
_SLOW = 120.0

CONFIG = "huggingfacetb/smollm2-135m-instruct@v1.0.0+cpu"
DATASET = "law/tags"


@dataclass(frozen=True, slots=True)
class Wish:
    """A submission that must happen once.

    Args:
        number: identifies it; part of the job's description.
        project: shared by all submissions of one test.
        key: the caller's own key, if any.
        named: whether the output model has a name.
    """

    number: int
    project: str
    key: str | None
    named: bool

    @property
    def request(self) -> CustomizationJobRequest:
        """The request to send."""
        request = CustomizationJobRequest(
            config=CONFIG, dataset=DATASET, hyperparameters=Hyperparameters(finetuning_type="lora")
        )
        # An explicit key identifies the submission; without one, the request does.
        wished = 0 if self.key else self.number
        request.description = f"wish {wished}"
        request.project = self.project
        if self.named:
            request.output_model = f"law/{self.project}-{wished}"
        return request


@contextlib.contextmanager
def waiting_stack(folder: Path) -> Iterator[StackThread]:
    """A stack with a dataset that accepts jobs without training them."""
    with StackThread(folder / "stack") as stack:
        (customizer,) = (each for each in stack.stack.services if each.name == "customizer")
        customizer.state.queue.stop()  # type: ignore[attr-defined]
        for part in ("training", "validation"):
            (folder / "data" / part).mkdir(parents=True)
            (folder / "data" / part / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')

        async def upload() -> None:
            urls = {"platform_url": stack.platform_url, "data_store_url": stack.data_store_url}
            async with connect(urls, folder / "upload.sqlite") as nemo:
                await nemo.data_store.upload_dataset(DATASET, folder / "data")

        asyncio.run(upload())
        yield stack


class DyingIntents(SqliteIntents):
    """Intents whose process is killed at a named point."""

    def __init__(self, path: Path, point: Point | None) -> None:
        super().__init__(path)
        self._point = point

    def begin(self, intent: Intent) -> Intent:
        self._die("before the intent")
        found = super().begin(intent)
        self._die("before the request")
        return found

    def settle(self, key: str, remote_id: str) -> None:
        self._die("before the id")
        super().settle(key, remote_id)
        self._die("after the id")

    def _die(self, point: Point) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def connect(urls: dict[str, str], store: Path, point: Point | None = None) -> NeMo:
    """A client without delays between attempts."""

    async def nap(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    intents = DyingIntents(store, point)
    return NeMo(Settings(**urls, max_retries=2), intents=intents, clock=Clock(sleep=nap))  # type: ignore[arg-type]


async def submit(urls: dict[str, str], store: Path, wish: Wish, point: Point | None = None) -> str:
    """Submit, and return the job's id."""
    async with connect(urls, store, point) as nemo:
        return (await nemo.customizer.submit(wish.request, key=wish.key)).id


def _main(urls: dict[str, str], store: Path, wish: Wish, point: Point | None, told: Connection) -> None:
    faulthandler.register(signal.SIGUSR1)
    try:
        told.send(("job", asyncio.run(submit(urls, store, wish, point))))
    except LawtagsError as error:
        told.send(("error", type(error).__name__))


class Submitter:
    """A submitting process.

    Args:
        urls, store, wish, point: as for ``submit``.
    """

    def __init__(self, urls: dict[str, str], store: Path, wish: Wish, point: Point | None = None) -> None:
        processes = multiprocessing.get_context("forkserver")
        # Imported once, so that a process costs a fork and not a second of imports.
        processes.set_forkserver_preload(_PRELOADED)
        self._told, child = processes.Pipe(duplex=False)
        self.process: BaseProcess = processes.Process(
            target=_main, args=(urls, store, wish, point, child), daemon=True
        )
        self.process.start()
        child.close()

    def result(self, timeout: float = _LONGEST) -> tuple[str, str] | None:
        """The job's id or the error; None if it was killed first."""
        found = None
        with contextlib.suppress(EOFError):
            if not self._told.poll(_SLOW) and self.process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.process.pid, signal.SIGUSR1)
            assert self._told.poll(timeout), (
                "the process neither ended nor told anything; see its stack above"
            )
            found = self._told.recv()
        self.process.join(timeout)
        self._told.close()
        return found

    def kill(self) -> None:
        """Kill it like the kernel when memory is short."""
        self.process.kill()


__all__ = ["POINTS", "Point", "Submitter", "Wish", "connect", "submit", "waiting_stack"]
