"""Worker processes for models: started on the first request, restarted after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import RateLimitedError
from lawtags_client.json_value import JsonObject
from lawtags_stack.processes.background import Background, result_of
from lawtags_stack.processes.frames import Message
from lawtags_stack.processes.launching import Child
from lawtags_stack.processes.suspects import RequestSlot, RequestSlots, Suspects
from lawtags_stack.services.nim.worker_process import (
    WorkerGoneError,
    WorkerOptions,
    WorkerProcess,
    adapter_suspect,
)

if TYPE_CHECKING:
    from lawtags_stack.services.nim.records import ServedEntry


class ModelProcess:
    """The worker process of one model, loaded once for all waiting requests.

    Args:
        name: the model.
        log: file for the process's output.
        options: options of the process.
    """

    def __init__(self, name: str, log: Path, options: WorkerOptions) -> None:
        self.name = name
        self._log = log
        self._options = options
        self._background = Background()
        self._loading: asyncio.Task[WorkerProcess] | None = None
        self._worker: WorkerProcess | None = None
        self._suspects = Suspects()
        self._turns = RequestSlots()
        self._stopped = False
        self._rows = 0
        self.last_used = 0.0

    @property
    def rows(self) -> int:
        """Number of answers in progress."""
        return self._rows

    @property
    def process(self) -> Child | None:
        """The process, including while it loads the model."""
        return self._worker.process if self._worker is not None else None

    @property
    def computing(self) -> str | None:
        """Device and precision of the process, once the model is loaded."""
        return self._worker.computing if self._worker is not None else None

    async def ask(self, served: ServedEntry, request: JsonObject, rows: int) -> AsyncGenerator[Message, None]:
        """Send a request and yield the worker's messages; the last one is ``done``.

        Args:
            served: the model.
            request: fields of a ``generate`` message.
            rows: number of answers.

        Raises:
            RateLimitedError: too many answers are in progress.
            BadRequestError: the worker rejects the request, or it crashed a worker before.
            WorkerGoneError: the process died meanwhile.
        """
        if self._rows and self._rows + rows > self._options.most_rows:
            busy = "Too many requests are waiting for this model"
            raise RateLimitedError(busy, retry_after=1.0, status=429)
        self._rows += rows
        suspects = _suspects(served, request)
        turn: RequestSlot | None = None
        try:
            turn = await self._turn(suspects)
            worker = await self._loaded(served)
            async with worker.adapter(served) as adapter:
                message = {**request, "op": "generate", "adapter": adapter}
                async with aclosing(worker.exchange(message, suspects[-1], turn.end)) as answers:
                    async for answer in answers:
                        yield answer
        except WorkerGoneError:
            self._suspected(suspects)  # rejects a known cause of crashes at once
            raise
        finally:
            if turn is not None:
                turn.end()
            self._rows -= rows
            self.last_used = asyncio.get_running_loop().time()

    async def _turn(self, suspects: Sequence[JsonObject]) -> RequestSlot:
        """Wait until a request may run; a suspect runs alone."""
        while True:
            alone = self._suspected(suspects)
            turn = await self._turns.take(alone=alone)
            try:
                if self._suspected(suspects) == alone:
                    return turn
            except BaseException:
                turn.end()
                raise
            turn.end()

    def _suspected(self, suspects: Sequence[JsonObject]) -> bool:
        # Check all of them, since each may be rejected.
        return sum(self._suspects.suspected(each) for each in suspects) > 0

    async def load(self, served: ServedEntry) -> None:
        """Load a model, and its adapter if it has one.

        Raises:
            LawtagsError: it cannot be loaded.
        """
        worker = await self._loaded(served)
        async with worker.adapter(served):
            self.last_used = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Stop the process permanently; waiting requests fail."""
        self._stopped = True
        worker, self._worker = self._worker, None
        await self._background.stop()
        if worker is not None:
            await worker.end()

    async def _loaded(self, served: ServedEntry) -> WorkerProcess:
        """Return the worker with its model in memory, starting it if needed."""
        if self._stopped:
            raise WorkerGoneError
        task = self._loading
        if task is None or (task.done() and not self._usable(task)):
            task = self._loading = self._background.start(self._load(served))
        return await result_of(task, gone=WorkerGoneError)

    @staticmethod
    def _usable(task: asyncio.Task[WorkerProcess]) -> bool:
        return not task.cancelled() and task.exception() is None and task.result().alive

    async def _load(self, served: ServedEntry) -> WorkerProcess:
        before, self._worker = self._worker, None
        if before is not None:
            await before.end()
        folder = await asyncio.to_thread(served.folder)
        worker = self._worker = WorkerProcess(self.name, folder, self._log, self._options, self._suspects)
        try:
            await worker.ready()
        except BaseException:
            self._worker = None
            await worker.end()
            raise
        return worker


def _suspects(served: ServedEntry, request: JsonObject) -> list[Message]:
    """The keys by which a crash is attributed: the adapter, if any, and the request."""
    if served.adapter is None:
        return [dict(request)]
    adapter = adapter_suspect(served.adapter)
    return [adapter, {**request, "adapter": adapter}]


class ModelProcesses:
    """All worker processes, one per set of base weights.

    Args:
        folder: for their logs.
        options: options of the processes.
    """

    def __init__(self, folder: Path, options: WorkerOptions) -> None:
        self._folder = folder
        self._options = options
        self._processes: dict[str, ModelProcess] = {}
        self._background = Background()

    def __iter__(self) -> Iterator[ModelProcess]:
        return iter(list(self._processes.values()))

    def of(self, served: ServedEntry) -> ModelProcess:
        """The process of a model, created if needed."""
        if served.process not in self._processes:
            log = self._folder / (served.process.replace("/", "--") + ".log")
            process = self._processes[served.process] = ModelProcess(served.process, log, self._options)
            process.last_used = asyncio.get_running_loop().time()
        return self._processes[served.process]

    async def retire(self, wanted: set[str]) -> None:
        """Stop processes whose model is no longer served, or that have been idle for long."""
        now, idle = asyncio.get_running_loop().time(), self._options.idle_seconds
        for name, process in list(self._processes.items()):
            unused = idle is not None and now - process.last_used > idle and not process.rows
            if name not in wanted or unused:
                del self._processes[name]
                await result_of(self._background.start(process.stop()), gone=WorkerGoneError)

    async def stop(self) -> None:
        """Stop all processes."""
        await asyncio.gather(*(process.stop() for process in self._processes.values()))
        await self._background.stop()
