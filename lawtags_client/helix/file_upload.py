"""Sending files to a fileset: what is there already is compared, the rest is sent in pieces."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError, NotFoundError, ProtocolError
from lawtags_client.helix.types.filesets import FilesetFile
from lawtags_client.services.data_store.contents import (
    ANSWER,
    SLOWEST,
    LocalFile,
    Sending,
    Source,
    describe_some,
)
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import file_path

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class UploadedFiles:
    """What an upload did.

    Args:
        files: every file to its SHA-256.
        sent: the paths that had to be sent; the others were there already.
        deleted: the paths that were deleted.
    """

    files: dict[str, str]
    sent: tuple[str, ...]
    deleted: tuple[str, ...] = ()


class FileWriter:
    """Sends files to one fileset.

    Args:
        http: the transport of the platform.
        path: of the fileset.
        name: the fileset, for messages.
        on_bytes: called with the bytes done and the total.
    """

    def __init__(
        self,
        http: ServiceTransport,
        path: str,
        name: str,
        on_bytes: Callable[[int, int], None] | None,
    ) -> None:
        self._http = http
        self._path = path
        self._name = name
        self._on_bytes = on_bytes
        self._done = 0
        self._total = 0

    async def upload(
        self, sources: Path | Mapping[str, Source], there: Mapping[str, FilesetFile]
    ) -> UploadedFiles:
        """Send what the fileset does not have.

        Args:
            sources: a folder, or paths in the fileset and their contents.
            there: the files of the fileset.
        """
        chosen = await asyncio.to_thread(_folder, sources) if isinstance(sources, Path) else sources
        files: list[LocalFile] = []
        entries = iter(sorted(chosen.items()))
        while some := await asyncio.to_thread(describe_some, entries):
            files += some
        for file in files:
            file_path(file.path)
        self._total = sum(file.size for file in files)
        gate, sent = asyncio.Semaphore(_AT_ONCE), list[str]()

        async def one(file: LocalFile) -> None:
            async with gate:
                if not await self._is_there(file, there.get(file.path)):
                    await self._send(file)
                    sent.append(file.path)
                self._advance(file.size)

        try:
            async with asyncio.TaskGroup() as group:
                for file in files:
                    group.create_task(one(file))
        except BaseExceptionGroup as failed:
            # The others were cancelled because of the first one.
            raise failed.exceptions[0] from None
        return UploadedFiles({file.path: file.sha256 for file in files}, tuple(sorted(sent)))

    async def _is_there(self, file: LocalFile, found: FilesetFile | None) -> bool:
        if found is None or found.size != file.size:
            return False
        call = Call(
            "GET",
            f"{self._path}/-/{file_path(file.path)}",
            headers={"accept": "*/*"},
            total_timeout=ANSWER + file.size / SLOWEST,
        )
        digest, size = hashlib.sha256(), 0
        try:
            async with self._http.stream(call) as (_, pieces):
                async for piece in pieces:
                    size += len(piece)
                    if size > file.size:
                        return False
                    await asyncio.to_thread(digest.update, piece)
        except NotFoundError:
            return False
        return digest.hexdigest() == file.sha256

    async def _send(self, file: LocalFile) -> None:
        with Sending(file) as sending:
            call = Call(
                "PUT",
                f"{self._path}/-/{file_path(file.path)}",
                content=sending.chunks,
                headers={"content-type": "application/octet-stream", "content-length": str(file.size)},
                read_timeout=ANSWER,
                total_timeout=ANSWER + file.size / SLOWEST,
            )
            stored = await parse(FilesetFile, await self._http.json(call) or {}, self._http)
        if stored.size is not None and stored.size != file.size:
            raise ProtocolError(
                f"{self._name}: {file.path} arrived with {stored.size:,} of {file.size:,} bytes",
                hint="Upload it again. If that fails as well, check the proxy in between.",
                service=self._http.address.service,
            )

    def _advance(self, size: int) -> None:
        self._done += size
        if self._on_bytes is not None:
            self._on_bytes(self._done, self._total)


def _folder(folder: Path) -> dict[str, Path]:
    """The files of a folder by their paths below it, without hidden ones.

    Raises:
        DataError: it is no folder, has no files, or holds a symbolic link.
    """
    if not folder.is_dir():
        raise DataError("is not a folder", path=folder, hint="Pass a folder of files.", wrong_path=True)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if any(part.startswith(".") for part in below.parts):
            continue
        if path.is_symlink():
            raise DataError("symbolic links are not followed", path=path, hint="Copy the file itself there.")
        if path.is_file():
            found[below.as_posix()] = path
    if not found:
        raise DataError("there are no files", path=folder, hint="Hidden files are not uploaded.")
    return found
