"""Worker processes that hold the models: started when first asked, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import BadRequestError, RateLimitedError, ServerError
from lawtags_client.local.generation.frames import pack, receive_async
from lawtags_client.local.worker_environment import worker_environment

if TYPE_CHECKING:
    from lawtags_client.local.nim.state import AdapterFiles, Served

Message = dict[str, Any]
_START_SECONDS = 180.0
_STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How worker processes run.

    Args:
        threads: threads for computing; 0 leaves it to torch.
        precision: what a model's large products are computed in: ``float32`` or ``bfloat16``.
        most_rows: answers that may be under way at a time; more are refused with 429.
        most_adapters: adapters that are kept in memory.
        idle_seconds: an unused process ends after this time and gives its memory back; None keeps it.
    """

    threads: int = 0
    precision: str = "float32"
    most_rows: int = 4096
    most_adapters: int = 16
    idle_seconds: float | None = 900.0


class WorkerGoneError(ServerError):
    """The worker process ended while requests were waiting for it."""

    def __init__(self) -> None:
        super().__init__("The inference worker ended unexpectedly; it is started again", status=503)


class ModelProcess:
    """One worker process and the requests that wait for it.

    Args:
        name: the model that it holds.
        log: file for what the process prints.
        options: how it runs.
    """

    def __init__(self, name: str, log: Path, options: WorkerOptions) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log
        self._options = options
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._adapting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Message | None]] = {}
        self._rows = 0
        self._adapters: OrderedDict[str, AdapterFiles] = OrderedDict()
        self._used: dict[str, int] = {}
        self.last_used = 0.0
        self.computing: str | None = None

    @property
    def rows(self) -> int:
        """Answers under way."""
        return self._rows

    async def ask(self, served: Served, request: Mapping[str, Any], rows: int) -> AsyncIterator[Message]:
        """Send a request and give the worker's messages about it, the last one being ``done``.

        Args:
            served: the model asked for.
            request: fields of a ``generate`` message.
            rows: how many answers it will have.

        Raises:
            RateLimitedError: too much is under way.
            BadRequestError: the worker refuses the request.
            WorkerGoneError: the process died meanwhile.
        """
        if self._rows and self._rows + rows > self._options.most_rows:
            busy = "Too many requests are waiting for this model"
            raise RateLimitedError(busy, retry_after=1.0, status=429)
        self._rows += rows
        try:
            await self._start(served)
            async with self._adapter(served) as adapter:
                async for message in self._exchange({**request, "op": "generate", "adapter": adapter}):
                    yield message
        finally:
            self._rows -= rows
            self.last_used = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """End the process; waiting requests fail."""
        async with self._starting:
            await self._end()

    # The process

    async def _start(self, served: Served) -> None:
        async with self._starting:
            if self.process is not None and self.process.poll() is None and self._writer is not None:
                return
            await self._end()
            folder = await asyncio.to_thread(served.folder)
            ours, theirs = socket.socketpair()
            with theirs:
                self.process = self._spawn(folder, theirs.fileno())
            reader, self._writer = await asyncio.open_connection(sock=ours)
            try:
                first = await asyncio.wait_for(receive_async(reader), _START_SECONDS)
            except TimeoutError:
                first = None
            if first is None or first["event"] != "ready":
                await self._end()
                reason = first["message"] if first else f"it ended; see {self._log.name} of the stack"
                raise ServerError(f"The model {self.name} could not be loaded: {reason}", status=503)
            self.computing = first["computing"]
            self._reading = asyncio.create_task(self._read(reader))

    def _spawn(self, folder: Path, descriptor: int) -> subprocess.Popen[bytes]:
        module = "lawtags_client.local.generation.worker"
        options = ["--threads", str(self._options.threads), "--precision", self._options.precision]
        command = [sys.executable, "-m", module, "--fd", str(descriptor), "--model", str(folder), *options]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=worker_environment(),
            )

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (message := await receive_async(reader)) is not None:
                queue = self._waiting.get(int(message["id"]))
                if queue is not None:
                    queue.put_nowait(message)
        finally:
            self._lose()

    def _lose(self) -> None:
        """The process is gone: tell those who wait, and forget what it had loaded."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._adapters.clear()
        for queue in self._waiting.values():
            queue.put_nowait(None)

    async def _end(self) -> None:
        process, self.process = self.process, None
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        self._lose()
        if process is not None:
            # In a thread, which goes on to the end even if this task is cancelled meanwhile.
            await asyncio.to_thread(_reap, process)

    # Messages

    async def _exchange(self, message: Message) -> AsyncIterator[Message]:
        number = next(self._numbers)
        queue = self._waiting[number] = asyncio.Queue()
        over = False
        try:
            await self._send({**message, "id": number})
            while not over:
                answer = await queue.get()
                if answer is None:
                    over = True
                    raise WorkerGoneError
                over = answer["event"] != "piece"
                if answer["event"] == "error":
                    raise BadRequestError(str(answer["message"]), hint=answer.get("hint"))
                if answer["event"] == "gone":
                    raise ServerError(str(answer["message"]), status=503)
                yield answer
        finally:
            del self._waiting[number]
            if not over:
                with contextlib.suppress(WorkerGoneError):
                    await self._send({"id": number, "op": "cancel"})

    async def _send(self, message: Message) -> None:
        if self._writer is None:
            raise WorkerGoneError
        try:
            self._writer.write(pack(message))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerGoneError from error

    async def _command_worker(self, message: Message) -> None:
        async for _ in self._exchange(message):
            pass

    # Adapters

    @contextlib.asynccontextmanager
    async def _adapter(self, served: Served) -> AsyncIterator[str | None]:
        """Hold an adapter in the worker's memory while a request uses it."""
        if served.adapter is None:
            yield None
            return
        name = served.id
        self._used[name] = self._used.get(name, 0) + 1
        try:
            async with self._adapting:
                await self._load_adapter(name, served.adapter)
            yield name
        finally:
            self._used[name] -= 1

    async def _load_adapter(self, name: str, files: AdapterFiles) -> None:
        if self._adapters.get(name) == files:
            self._adapters.move_to_end(name)
            return
        for other in [other for other in self._adapters if not self._used.get(other)]:
            if len(self._adapters) < self._options.most_adapters:
                break
            del self._adapters[other]
            await self._command_worker({"op": "remove_adapter", "name": other})
        paths = {"config": str(files.config), "weights": str(files.weights)}
        await self._command_worker({"op": "add_adapter", "name": name, **paths})
        self._adapters[name] = files


def _reap(process: subprocess.Popen[bytes]) -> None:
    # The closed socket tells it to end; a long step may keep it from noticing in time.
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ModelProcesses:
    """All worker processes, one for each set of base weights.

    Args:
        folder: for their logs.
        options: how they run.
    """

    def __init__(self, folder: Path, options: WorkerOptions) -> None:
        self._folder = folder
        self._options = options
        self._processes: dict[str, ModelProcess] = {}

    def __iter__(self) -> Any:
        return iter(self._processes.values())

    def of(self, served: Served) -> ModelProcess:
        """The process that holds a model, or is going to."""
        if served.process not in self._processes:
            log = self._folder / (served.process.replace("/", "--") + ".log")
            process = self._processes[served.process] = ModelProcess(served.process, log, self._options)
            process.last_used = asyncio.get_running_loop().time()
        return self._processes[served.process]

    async def retire(self, wanted: set[str]) -> None:
        """End processes that nobody can name any more, or that nobody has used for long."""
        now, idle = asyncio.get_running_loop().time(), self._options.idle_seconds
        for name, process in list(self._processes.items()):
            unused = idle is not None and now - process.last_used > idle and not process.rows
            if name not in wanted or unused:
                del self._processes[name]
                await process.stop()

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(*(process.stop() for process in self._processes.values()))
