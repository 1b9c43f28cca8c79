"""The embedding process as the server sees it: started when first asked, started again when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lawtags_client.errors import BadRequestError, ServerError

_LONGEST_ANSWER = 256 << 20


class EmbeddingProcess:
    """One encoder in one process; texts of different requests wait for one another.

    Args:
        folder: the encoder's folder.
        log: file for what the process prints.
        threads: threads for computing; 0 leaves it to torch.
    """

    def __init__(self, folder: Path, log: Path, threads: int) -> None:
        self._folder = folder
        self._log = log
        self._threads = threads
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def embed(self, texts: Sequence[str], truncate: str) -> tuple[list[list[float]], int]:
        """Vectors and the number of tokens.

        Raises:
            BadRequestError: a text is too long.
            ServerError: the process could not be started, or died over it.
        """
        async with self._turn:
            process = await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            line = json.dumps({"texts": list(texts), "truncate": truncate}).encode() + b"\n"
            with contextlib.suppress(ConnectionError):
                process.stdin.write(line)
                await process.stdin.drain()
            answered = await process.stdout.readline()
        if not answered:
            raise ServerError(f"The embedding process ended; see {self._log.name} of the stack", status=503)
        found: dict[str, Any] = json.loads(answered)
        if "refused" in found:
            raise BadRequestError(found["refused"])
        return found["vectors"], found["tokens"]

    async def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._log.parent.mkdir(parents=True, exist_ok=True)
        module = "lawtags_client.local.embedding.worker"
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, str(self._folder), str(self._threads),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                limit=_LONGEST_ANSWER,
            )  # fmt: skip
        return self._process
