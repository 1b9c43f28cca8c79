"""Getting the files of a fileset: in pieces, resumed where they broke off, and never outside a folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lawtags_client.errors import (
    APIError,
    ConfigurationError,
    DataError,
    LawtagsError,
    NotFoundError,
    ProtocolError,
)
from lawtags_client.helix.types.filesets import FilesetFile
from lawtags_client.services.data_store.contents import ANSWER, SLOWEST
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import file_path
from lawtags_client.transport.retry import is_passing

_OVERLAP = 64 << 10
"""Bytes before the end of a partial file that are read again, to see that the file is still the same."""
_CHUNK = 1 << 20
_TRIES = 5
_PAUSE = 1.0
_PARTIAL = ".lawtags-part"


@dataclass(frozen=True, slots=True)
class DownloadedFiles:
    """What a download got.

    Args:
        folder: where the files are.
        files: path below the folder to the size in bytes.
        resumed: the paths of which a part was here already.
    """

    folder: Path
    files: dict[str, int]
    resumed: tuple[str, ...] = ()


class _Changed(Exception):
    """The partial file is not the beginning of what the fileset has now."""


class FileReader:
    """Gets the files of one fileset.

    Args:
        http: the transport of the platform.
        clock: time and sleep.
        path: of the fileset.
        name: the fileset, for messages.
        on_bytes: called with the bytes done and the total.
        keep: whether files that are there already are the work of an earlier attempt: they are kept if their
            size and their end are those of the fileset's files.
    """

    def __init__(
        self,
        http: ServiceTransport,
        clock: Clock,
        path: str,
        name: str,
        on_bytes: Callable[[int, int], None] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self._http = http
        self._clock = clock
        self._path = path
        self._name = name
        self._on_bytes = on_bytes
        self._keep = keep
        self._done = 0
        self._total = 0

    async def download(self, listed: Sequence[FilesetFile], folder: Path) -> DownloadedFiles:
        """Get files; each is complete under its own name, or not there at all.

        Args:
            listed: the files to get.
            folder: where they go.
        """
        if not listed:
            raise NotFoundError(
                f"the fileset {self._name} has no files there", service=self._http.address.service
            )
        _check_paths(file.path for file in listed)
        self._total = sum(file.size or 0 for file in listed)
        files, resumed, place = dict[str, int](), list[str](), folder
        try:
            for file in listed:
                place = folder / file.path
                target = await asyncio.to_thread(_target, folder, file.path)
                size, part = await self._get(file, target)
                files[file.path] = size
                if part:
                    resumed.append(file.path)
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror or error}",
                path=place,
                hint="Check the folder's permissions and free space, or choose another folder.",
            ) from error
        return DownloadedFiles(folder, files, tuple(resumed))

    async def _get(self, file: FilesetFile, target: Path) -> tuple[int, bool]:
        partial = target.with_name(f".{target.name[:200]}{_PARTIAL}")
        if self._keep and await asyncio.to_thread(target.is_file):
            # Checked like one that broke off: Helix has no checksums.
            await asyncio.to_thread(target.replace, partial)
        begun = await asyncio.to_thread(_size, partial)
        resumed = begun > 0
        tries = changes = 0
        while True:
            before = await asyncio.to_thread(_size, partial)
            try:
                size = await self._receive(file, partial)
                break
            except _Changed:
                resumed, changes = False, changes + 1
                if changes >= _TRIES:
                    raise ProtocolError(
                        f"{self._name}: {file.path} is another file each time that its rest is asked for",
                        hint="Download it again once it is no longer written to.",
                        service=self._http.address.service,
                    ) from None
                await asyncio.to_thread(partial.unlink, missing_ok=True)
            except LawtagsError as error:
                grown = await asyncio.to_thread(_size, partial) > before
                tries = 0 if grown else tries + 1
                if not is_passing(error) or isinstance(error, ProtocolError) or tries >= _TRIES:
                    raise
                await self._clock.sleep(_PAUSE * (1 + tries))
        await asyncio.to_thread(partial.replace, target)
        return size, resumed

    async def _receive(self, file: FilesetFile, partial: Path) -> int:
        """Append what is missing to a partial file; returns the size of the whole.

        Raises:
            _Changed: the partial file is of other content.
        """
        have = await asyncio.to_thread(_size, partial)
        if file.size is not None and have > file.size:
            raise _Changed
        start = max(0, have - _OVERLAP)
        headers = {"accept": "*/*"} | ({"range": f"bytes={start}-"} if start or have else {})
        patience = ANSWER + (file.size or 1 << 30) / SLOWEST
        call = Call("GET", f"{self._path}/-/{file_path(file.path)}", headers=headers, total_timeout=patience)
        if file.size == 0:
            await asyncio.to_thread(partial.write_bytes, b"")
            return 0
        try:
            async with self._http.stream(call) as (reply, pieces):
                if reply.status != 206 and have:
                    # It does not know ranges: everything comes again.
                    start = 0
                size = await self._append(file, partial, start, have, pieces)
        except APIError as error:
            if error.status == 416 and have:
                raise _Changed from error
            raise
        if file.size is not None and size < file.size:
            raise ProtocolError(
                f"{self._name}: {file.path} ended after {size:,} of {file.size:,} bytes",
                hint="Download it again: it may have been replaced meanwhile.",
                service=self._http.address.service,
            )
        return size

    async def _append(
        self, file: FilesetFile, partial: Path, start: int, have: int, pieces: AsyncIterator[bytes]
    ) -> int:
        # Opened here, so that a task that is cancelled leaves no file open.
        with partial.open("r+b" if have else "w+b") as stream:
            known = await asyncio.to_thread(_read, stream, start, have)
            place = start
            async for piece in pieces:
                same, piece = piece[: len(known)], piece[len(known) :]
                if same and not known.startswith(same):
                    raise _Changed
                known = known[len(same) :]
                place += len(same)
                if piece:
                    if file.size is not None and place + len(piece) > file.size:
                        raise ProtocolError(
                            f"{self._name}: {file.path} has more than {file.size:,} bytes",
                            hint="Download it again: it may have been replaced meanwhile.",
                            service=self._http.address.service,
                        )
                    await asyncio.to_thread(stream.write, piece)
                    place += len(piece)
                    self._advance(len(piece))
            if known:
                raise _Changed
            await asyncio.to_thread(_flush, stream)
        return place

    def _advance(self, size: int) -> None:
        self._done += size
        if self._on_bytes is not None:
            self._on_bytes(min(self._done, self._total), self._total)


def _check_paths(paths: Iterable[str]) -> None:
    """Refuse a list that no folder can hold."""
    known = set[str]()
    for path in paths:
        try:
            file_path(path)
        except ConfigurationError as error:
            raise _outside(path) from error
        if path.endswith(_PARTIAL):
            raise ProtocolError(f"the fileset lists {path[:200]!r}, a name that partial files have here")
        known.add(path)
    for path in known:
        above = next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in known), None)
        if above is not None:
            raise ProtocolError(f"the fileset lists {above[:200]!r} both as a file and as a folder")


def _target(folder: Path, path: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    target = root / PurePosixPath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A link inside the folder could still lead out of it.
    if not target.parent.resolve().is_relative_to(root) or target.is_symlink():
        raise _outside(path)
    return target


def _outside(path: str) -> ProtocolError:
    return ProtocolError(f"the path {path[:200]!r} leaves the folder, or is not a valid file name")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if not path.is_symlink() else 0
    except FileNotFoundError:
        return 0


def _read(stream: BinaryIO, start: int, end: int) -> bytes:
    """What stands between two places of a partial file; leaves the stream at the second."""
    stream.seek(start)
    found = stream.read(end - start)
    stream.seek(end)
    return found


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
