"""Getting a repository's files: verified by hash, and never outside the folder they are meant for."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lawtags_client.errors import ConfigurationError, DataError, NotFoundError, ProtocolError
from lawtags_client.files import open_temporary
from lawtags_client.services.data_store.contents import ANSWER, SLOWEST, describe
from lawtags_client.services.data_store.repositories import Repositories, Repository
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import file_path, segment
from lawtags_client.types.data_store import TreeEntry

_AGAIN = "Download it again. If that fails as well, check the server and any proxy in between."
# For a file whose size nobody told.
_UNKNOWN_SIZE = 10 << 30


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download got.

    Args:
        folder: where it is.
        commit: the revision it is of.
        files: path below the folder to its SHA-256.
    """

    folder: Path
    commit: str | None
    files: dict[str, str]


async def download(
    http: ServiceTransport,
    repository: Repository,
    folder: Path,
    *,
    revision: str = "main",
    prefix: str = "",
) -> Downloaded:
    """Get the files of a repository; those already there with the right content are left alone.

    Args:
        http: the way to the Data Store.
        repository: from where.
        folder: where to; made where it is missing.
        revision: branch or commit.
        prefix: only files whose path begins with it.

    Raises:
        NotFoundError: the repository, the revision or the file does not exist.
        ProtocolError: a file's content is not what its hash says, its path leads out of the folder, or two
            files cannot stand beside each other; found before any file is fetched.
        DataError: a file cannot be written.
    """
    repositories = Repositories(http)
    info = await repositories.info(repository, revision)
    entries = await repositories.tree(repository, info.sha or revision)
    wanted = _checked([entry for entry in entries if entry.path.startswith(prefix)])
    if not wanted:
        below = f" below {prefix!r}" if prefix else ""
        raise NotFoundError(f"{repository} has no files{below} at revision {revision}", service="data_store")
    files: dict[str, str] = {}
    place: Path = folder
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        for entry in wanted:
            place = folder / entry.path
            target = await asyncio.to_thread(_target, folder, entry.path)
            files[entry.path] = await _fetch(http, repository, entry, target, info.sha or revision)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror or error}",
            path=place,
            hint="Check the folder's permissions and free space, or choose another folder.",
        ) from error
    return Downloaded(folder, info.sha, files)


def _checked(entries: Sequence[TreeEntry]) -> list[TreeEntry]:
    """Each file once; refuses a list that no folder can hold."""
    known: dict[str, TreeEntry] = {}
    for entry in entries:
        # A page that was asked for while the repository changed may repeat what came before.
        if known.setdefault(entry.path, entry) != entry:
            raise ProtocolError(
                f"the repository lists {entry.path[:200]!r} twice with different contents",
                service="data_store",
            )
    for path in known:
        try:
            file_path(path)
        except ConfigurationError as error:
            raise _outside(path) from error
        above = next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in known), None)
        if above is not None:
            raise ProtocolError(
                f"the repository lists {above[:200]!r} both as a file and as a folder", service="data_store"
            )
    return list(known.values())


def _target(folder: Path, path: str) -> Path:
    root = folder.resolve()
    target = root / PurePosixPath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A link inside the folder could still lead out of it.
    if not target.parent.resolve().is_relative_to(root) or target.is_symlink():
        raise _outside(path)
    return target


def _outside(path: str) -> ProtocolError:
    return ProtocolError(
        f"the path {path[:200]!r} leaves the folder, or is not a valid file name", service="data_store"
    )


async def _fetch(
    http: ServiceTransport, repository: Repository, entry: TreeEntry, target: Path, revision: str
) -> str:
    if await asyncio.to_thread(target.is_file):
        there = await asyncio.to_thread(describe, entry.path, target)
        if there.is_at(entry):
            return there.sha256
    # Not in a thread: whoever is cancelled while waiting for it would leave it behind, and open.
    handle, temporary = open_temporary(target, prefix=".lawtags-")
    try:
        with os.fdopen(handle, "wb") as stream:
            digest = await _receive(http, repository, entry, revision, stream)
            await asyncio.to_thread(_flush, stream)
        got = await asyncio.to_thread(describe, entry.path, temporary)
        if not got.is_at(entry):
            raise ProtocolError(
                f"{repository}: {entry.path} does not match its hash",
                hint=_AGAIN,
                service="data_store",
            )
        await asyncio.to_thread(temporary.replace, target)
    finally:
        _remove(temporary)
    return digest


def _remove(temporary: Path) -> None:
    # Not in a thread, which a second cancellation would keep from starting.
    temporary.unlink(missing_ok=True)


async def _receive(
    http: ServiceTransport, repository: Repository, entry: TreeEntry, revision: str, stream: BinaryIO
) -> str:
    path = f"{repository.files}/resolve/{segment(revision)}/{file_path(entry.path)}"
    digest = hashlib.sha256()
    size = entry.lfs.size if entry.lfs is not None else entry.size
    patience = ANSWER + (size if size is not None else _UNKNOWN_SIZE) / SLOWEST
    received = 0
    async with http.stream(Call("GET", path, headers={"accept": "*/*"}, total_timeout=patience)) as (
        _,
        chunks,
    ):
        async for chunk in chunks:
            received += len(chunk)
            if size is not None and received > size:
                raise ProtocolError(
                    f"{repository}: {entry.path} does not match its hash: more than {size:,} bytes",
                    hint=_AGAIN,
                    service="data_store",
                )
            digest.update(chunk)
            await asyncio.to_thread(stream.write, chunk)
    return digest.hexdigest()


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
