"""The server's side of the embedding process: started on the first request, restarted after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lawtags_client.errors import BadRequestError, ServerError
from lawtags_stack.processes.background import Background, result_of
from lawtags_stack.processes.environment import worker_environment
from lawtags_stack.processes.frames import Message
from lawtags_stack.processes.suspects import Suspects

_MODULE = "lawtags_stack.engines.embedding.worker"
_LONGEST_ANSWER = 256 << 20
# Texts per exchange. If a client disconnects, at most one exchange is wasted.
_TEXTS = 32
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


class EmbeddingsGoneError(ServerError):
    """The process was stopped while requests were waiting for it."""

    def __init__(self) -> None:
        super().__init__("The embedding process was stopped", status=503)


class EmbeddingProcess:
    """One encoder in one process; requests take turns.

    An exchange that has started always completes, even if its request is cancelled: an unread response would
    be taken for the response to the next request.

    Args:
        folder: the encoder's folder.
        log: file for the process's output.
        threads: computing threads; 0 uses torch's default.
        device: as in ``Compute.choose``.
        precision: as in ``Compute.choose``.
    """

    def __init__(
        self, folder: Path, log: Path, threads: int, device: str = "cpu", precision: str = "auto"
    ) -> None:
        self._folder = folder
        self._log = log
        self._how = (str(threads), device, precision)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._background = Background()
        self._suspects = Suspects()
        self._stopped = False

    async def embed(self, texts: Sequence[str], truncate: str) -> tuple[list[list[float]], int]:
        """Return the vectors of texts, and the number of tokens.

        Raises:
            BadRequestError: a text is too long, or has crashed the process before.
            ServerError: the process could not start, crashed or failed.
        """
        vectors: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), _TEXTS):
            asked = {"texts": list(texts[start : start + _TEXTS]), "truncate": truncate}
            found = await self._answer(asked)
            if "refused" in found:
                raise BadRequestError(found["refused"])
            if "failed" in found:
                raise ServerError(found["failed"], status=500)
            vectors += found["vectors"]
            tokens += found["tokens"]
        return vectors, tokens

    async def stop(self) -> None:
        """Stop the process; it does not start again."""
        self._stopped = True
        process, self._process = self._process, None
        if process is not None:
            await _end(process)
        await self._background.stop()

    async def _answer(self, asked: Message) -> Message:
        wanted = asyncio.Event()
        wanted.set()
        task = self._background.start(self._exchange(asked, wanted))
        try:
            return await result_of(task, gone=EmbeddingsGoneError)
        finally:
            wanted.clear()

    async def _exchange(self, asked: Message, wanted: asyncio.Event) -> Message:
        async with self._turn:
            if not wanted.is_set():
                return {}
            self._suspects.suspected(asked)  # raises if the texts must not run again
            process = await self._started()
            answered = await _round_trip(process, asked)
            if answered is not None:
                self._suspects.succeeded(asked)
                return answered
            code = await process.wait()
            if not self._stopped:
                self._suspects.died([asked], crashed=code not in _KILLED)
                self._suspects.suspected(asked)
        raise ServerError(f"The embedding process exited; see {self._log.name} of the stack", status=503)

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE, str(self._folder), *self._how,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                limit=_LONGEST_ANSWER,
                env=worker_environment(),
            )  # fmt: skip
        if self._stopped:
            await _end(process)
            raise EmbeddingsGoneError
        self._process = process
        if await _line(process) is None:
            reason = f"it ended; see {self._log.name} of the stack"
            raise ServerError(f"The embedding model could not be loaded: {reason}", status=503)
        return process


async def _round_trip(process: asyncio.subprocess.Process, asked: Message) -> Message | None:
    """Send a request and return the response; None if the process exited."""
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await process.stdin.drain()
    return await _line(process)


async def _line(process: asyncio.subprocess.Process) -> Message | None:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        return None  # it exited, perhaps in the middle of a line
    found: Message = json.loads(line)
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
