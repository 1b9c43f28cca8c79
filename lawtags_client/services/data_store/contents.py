"""What is to be sent: named by its hashes, and held to them while it is read."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.transport.paths import file_path
from lawtags_client.types.data_store import TreeEntry

Source = Path | bytes

_CHUNK = 1 << 20
_SAMPLE = 512
# Bytes that are hashed in one go; whoever is cancelled meanwhile waits for no more.
_PORTION = 32 << 20
# Beyond this every server keeps files by LFS; git's name of one would take as long again as its SHA-256.
_LARGE = 32 << 20
# A slow line is no failure: seconds for a file grow with its size, at this many bytes a second.
SLOWEST = 250_000
ANSWER = 600.0


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be sent, with its names in git and LFS.

    Args:
        path: where it goes in the repository.
        source: its content, or the file that holds it.
        size: in bytes.
        sha256: what LFS calls it.
        git_oid: what git calls it; None for a file so large that it is kept by LFS.
        sample: its first bytes.
    """

    path: str
    source: Source
    size: int
    sha256: str
    git_oid: str | None
    sample: bytes

    def is_at(self, entry: TreeEntry | None) -> bool:
        """Whether a repository's entry has this very content."""
        if entry is None:
            return False
        if entry.lfs is not None:
            return entry.lfs.oid.removeprefix("sha256:") == self.sha256
        return entry.oid == (self.git_oid or _digests(self.source, self.size, git=True)[1])

    def content(self) -> bytes:
        """All of it.

        Raises:
            DataError: it is not what it was when it was described.
        """
        try:
            content = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        except OSError as error:
            raise self.changed() from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise self.changed()
        return content

    def changed(self) -> DataError:
        """The error to raise where it is not what it was when it was described."""
        return DataError("it changed while it was being sent", path=str(self.source), hint="Upload again.")


def describe(path: str, source: Source) -> LocalFile:
    """Read a file once and name it.

    Raises:
        DataError: it cannot be read.
        ConfigurationError: it is neither a path nor bytes.
    """
    file_path(path)
    given: object = source
    if not isinstance(given, bytes | Path):
        kind = type(given).__name__
        hint = "Pass bytes, or the Path of a file."
        raise ConfigurationError(f"the content of {path!r} is a {kind}", hint=hint)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        sha256, git, sample = _digests(source, size, git=size <= _LARGE)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(source)) from error
    return LocalFile(path, source, size, sha256, git, sample)


def describe_some(entries: Iterator[tuple[str, Source]]) -> list[LocalFile]:
    """Name the next files, up to some bytes; none at the end.

    Raises:
        DataError: one of them cannot be read.
    """
    found: list[LocalFile] = []
    size = 0
    for path, source in entries:
        found.append(describe(path, source))
        size += found[-1].size
        if size >= _PORTION:
            break
    return found


def _digests(source: Source, size: int, *, git: bool) -> tuple[str, str | None, bytes]:
    """SHA-256, git's name where asked for, and the first bytes."""
    content, sample = hashlib.sha256(), b""
    blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False) if git else None
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sample = sample or chunk[:_SAMPLE]
            content.update(chunk)
            if blob is not None:
                blob.update(chunk)
    return content.hexdigest(), blob.hexdigest() if blob is not None else None, sample


class Sending:
    """A file while it is sent, as often as that takes; a context that leaves nothing open.

    An HTTP client that gives up does not close what it was reading from, and the thread that reads outlives a
    cancelled wait for it. So the end of this context closes, or the last read does, whichever comes later.

    Args:
        file: what is sent.
    """

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._reading: _Reading | None = None

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content from its beginning.

        Raises:
            DataError: it is not what it was when it was described; before the last piece is out, so that the
                store never has the whole of it.
        """
        if isinstance(self._file.source, bytes):
            yield self._file.source
            return
        if self._reading is not None:
            self._reading.close()
        reading = self._reading = _Reading(self._file, self._file.source)
        while chunk := await asyncio.to_thread(reading.next):
            yield chunk


class _Reading:
    """One reading of a file in threads, which any thread may end at any time."""

    def __init__(self, file: LocalFile, path: Path) -> None:
        self._file = file
        self._path = path
        self._stream: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._left = file.size
        self._at_work = threading.Lock()
        self._over = False

    def next(self) -> bytes:
        """The next piece; empty at the end."""
        try:
            with self._at_work:
                return b"" if self._over else self._read()
        except OSError as error:
            raise self._file.changed() from error
        finally:
            if self._over:
                self.close()

    def close(self) -> None:
        """Close the file; where a thread is reading just now, it does so when it is done."""
        self._over = True
        if self._at_work.acquire(blocking=False):
            try:
                if self._stream is not None:
                    self._stream.close()
            finally:
                self._at_work.release()

    def _read(self) -> bytes:
        if self._stream is None:
            self._stream = self._path.open("rb")
        chunk = self._stream.read(_CHUNK)
        self._digest.update(chunk)
        self._left -= len(chunk)
        ended = not chunk or self._left <= 0
        if ended and (self._left != 0 or self._digest.hexdigest() != self._file.sha256):
            raise self._file.changed()
        return chunk
