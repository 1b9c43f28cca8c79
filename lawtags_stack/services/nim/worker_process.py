"""One worker process, and its message exchange with the server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import subprocess
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import BadRequestError, LawtagsError, ServerError
from lawtags_client.json_value import JsonObject
from lawtags_stack.processes.background import Background, result_of
from lawtags_stack.processes.frames import Message, pack, receive_async
from lawtags_stack.processes.launching import Child, Launcher, SpawnLauncher
from lawtags_stack.processes.suspects import Suspects

if TYPE_CHECKING:
    from lawtags_stack.services.nim.records import AdapterFiles, ServedEntry

_MODULE = "lawtags_stack.engines.generation.worker"
_START_SECONDS = 600.0
_STOP_SECONDS = 1.0
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class _Running:
    """A message in progress: its key for crash attribution, and a callback for its end."""

    request: JsonObject
    over: Callable[[], None]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of worker processes.

    Args:
        threads: computing threads; 0 uses torch's default.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: precision of large products: ``float32``, ``bfloat16``, or ``auto`` to suit the device.
        most_rows: maximum number of answers in progress; further requests get 429.
        most_adapters: maximum number of adapters in memory.
        idle_seconds: time after which an unused process exits; None keeps it.
        launcher: starts the processes.
    """

    threads: int = 0
    device: str = "cpu"
    precision: str = "auto"
    most_rows: int = 4096
    most_adapters: int = 16
    idle_seconds: float | None = 900.0
    launcher: Launcher = field(default_factory=SpawnLauncher)


class WorkerGoneError(ServerError):
    """The worker process died while requests were waiting for it."""

    def __init__(self) -> None:
        super().__init__("The inference worker exited unexpectedly and is being restarted", status=503)


class WorkerProcess:
    """A worker process with a model, and its waiting requests.

    The constructor starts the process; use it after ``ready``. A cancelled request leaves nothing half done:
    multi-step work runs in tasks that outlive it.

    Args:
        name: the model.
        folder: the model's folder.
        log: file for the process's output.
        options: options of the process.
        suspects: records what was running if the process dies.
    """

    def __init__(
        self, name: str, folder: Path, log: Path, options: WorkerOptions, suspects: Suspects
    ) -> None:
        self._name = name
        self._log = log
        self._suspects = suspects
        self._running: dict[int, _Running] = {}
        self._ending = False
        self._most_adapters = options.most_adapters
        self._ours, theirs = socket.socketpair()
        self._connected = False
        with theirs:
            try:
                self.process: Child = _start(folder, log, options, theirs.fileno())
            except BaseException:
                self._ours.close()
                raise
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._background = Background()
        self._adapting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Message | None]] = {}
        self._adapters: OrderedDict[str, AdapterFiles] = OrderedDict()
        self._used: dict[str, int] = {}
        self.computing: str | None = None

    @property
    def alive(self) -> bool:
        """Whether requests can be sent."""
        return self._writer is not None and self.process.poll() is None

    async def ready(self) -> None:
        """Wait until the model is loaded.

        Raises:
            ServerError: it cannot be loaded.
        """
        self._connected = True  # from here on, closing the transport closes the socket
        reader, self._writer = await asyncio.open_connection(sock=self._ours)
        try:
            first = await asyncio.wait_for(receive_async(reader), _START_SECONDS)
        except TimeoutError:
            first = {"event": "failed", "message": f"it took longer than {_START_SECONDS:g} s"}
        if first is None or first["event"] != "ready":
            reason = first["message"] if first else f"it ended; see {self._log.name} of the stack"
            raise ServerError(f"The model {self._name} could not be loaded: {reason}", status=503)
        self.computing = first["computing"]
        self._reading = asyncio.create_task(self._read(reader))

    async def end(self) -> None:
        """Stop the process; waiting requests fail."""
        self._ending = True
        if not self._connected:
            self._ours.close()
        self._lose()
        if self._reading is not None:
            self._reading.cancel()
        # In a thread, which completes even if this task is cancelled.
        await asyncio.to_thread(_reap, self.process)
        await self._background.stop()

    # Messages

    async def exchange(
        self, message: Message, suspect: JsonObject, over: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[Message, None]:
        """Send a message and yield the worker's responses; closing the generator early cancels it in the
        worker.

        Args:
            message: the message.
            suspect: the key by which a crash is attributed to the message.
            over: called once the process no longer works on the message.

        Raises:
            BadRequestError: the worker rejects it.
            WorkerGoneError: the process died meanwhile.
        """
        number = next(self._numbers)
        queue = self._waiting[number] = asyncio.Queue()
        self._running[number] = _Running(suspect, over)
        ended = False
        try:
            await self._send({**message, "id": number})
            while not ended:
                answer = await queue.get()
                if answer is None:
                    ended = True
                    raise WorkerGoneError
                ended = answer["event"] != "piece"
                if answer["event"] == "error":
                    raise _error(answer)
                if answer["event"] == "gone":
                    raise ServerError(str(answer["message"]), status=503)
                yield answer
        finally:
            del self._waiting[number]
            # No await here, since the closing task may be cancelled at the same time.
            if not ended and self._writer is not None:
                self._writer.write(pack({"id": number, "op": "cancel"}))

    async def _send(self, message: Message) -> None:
        if self._writer is None:
            raise WorkerGoneError
        try:
            self._writer.write(pack(message))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerGoneError from error

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (message := await receive_async(reader)) is not None:
                number = int(message["id"])
                queue = self._waiting.get(number)
                if queue is not None:
                    queue.put_nowait(message)
                if message["event"] != "piece" and number in self._running:
                    running = self._running.pop(number)
                    if message["event"] in ("done", "ok"):
                        self._suspects.succeeded(running.request)
                    running.over()
            if not self._ending:
                await self._died()
        finally:
            self._lose()

    async def _died(self) -> None:
        # A cancelled request stays here until the worker confirms that it was dropped.
        running = [each.request for each in self._running.values()]
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.process.wait, _STOP_SECONDS)
        self._suspects.died(running, crashed=self.process.returncode not in _KILLED)

    def _lose(self) -> None:
        """Close the connection, which ends the process if it still runs."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        for queue in self._waiting.values():
            queue.put_nowait(None)
        running, self._running = self._running, {}
        for each in running.values():
            each.over()

    # Adapters

    @contextlib.asynccontextmanager
    async def adapter(self, served: ServedEntry) -> AsyncIterator[str | None]:
        """Keep an adapter in the worker's memory while a request uses it.

        Raises:
            BadRequestError: it cannot be loaded.
            WorkerGoneError: the process died meanwhile.
        """
        if served.adapter is None:
            yield None
            return
        name = served.id
        self._used[name] = self._used.get(name, 0) + 1
        try:
            if self._adapters.get(name) == served.adapter:
                self._adapters.move_to_end(name)
            else:
                loading = self._background.start(self._load_adapter(name, served.adapter))
                await result_of(loading, gone=WorkerGoneError)
            yield name
        finally:
            self._used[name] -= 1

    async def _load_adapter(self, name: str, files: AdapterFiles) -> None:
        async with self._adapting:
            if self._adapters.get(name) == files:
                self._adapters.move_to_end(name)
                return
            if name in self._adapters:
                await self._forget_adapter(name)
            for other in [other for other in self._adapters if not self._used.get(other)]:
                if len(self._adapters) < self._most_adapters:
                    break
                await self._forget_adapter(other)
            paths = adapter_suspect(files)
            await self._command({"op": "add_adapter", "name": name, **paths}, paths)
            self._adapters[name] = files

    async def _forget_adapter(self, name: str) -> None:
        # Removed first, so that no new request uses it.
        del self._adapters[name]
        await self._command({"op": "remove_adapter", "name": name}, {"remove_adapter": name})

    async def _command(self, message: JsonObject, suspect: JsonObject) -> None:
        async for _ in self.exchange(dict(message), suspect):
            pass


def adapter_suspect(files: AdapterFiles) -> Message:
    """The key by which a crash is attributed to loading an adapter."""
    template = str(files.template) if files.template is not None else None
    return {"config": str(files.config), "weights": str(files.weights), "template": template}


def _error(answer: Message) -> LawtagsError:
    message, hint, status = str(answer["message"]), answer.get("hint"), int(answer.get("status", 400))
    return (
        ServerError(message, hint=hint, status=status)
        if status >= 500
        else BadRequestError(message, hint=hint)
    )


def _start(folder: Path, log: Path, options: WorkerOptions, descriptor: int) -> Child:
    how = ["--threads", str(options.threads), "--device", options.device, "--precision", options.precision]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return options.launcher.start(
            _MODULE, ["--model", str(folder), *how], output=stream, connection=descriptor
        )


def _reap(process: Child) -> None:
    # The closed socket tells it to exit; a long step or load may keep it from noticing in time.
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
