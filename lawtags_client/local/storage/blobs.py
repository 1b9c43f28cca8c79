"""Files by their content: each is kept once, under its SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from lawtags_client.errors import DataError
from lawtags_client.files import sha256_file

_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file: its SHA-256 in hexadecimal and its length in bytes."""

    sha256: str
    size: int


class Blobs:
    """A folder of content-addressed files.

    Example:
        >>> blobs = Blobs(Path("blobs"))
        >>> blobs.put(b"hello").size
        5

    Args:
        folder: where they live; made where missing. What a killed writer left there is cleared away, so
            only the owner of the folder may make this object.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        if self._incoming.exists():
            shutil.rmtree(self._incoming)
        self._incoming.mkdir(parents=True)

    def put(
        self,
        data: bytes | Path | BinaryIO | Iterable[bytes],
        *,
        sha256: str | None = None,
        size: int | None = None,
    ) -> Blob:
        """Store content, on disk when this returns.

        Args:
            data: bytes, a file to copy, an open file, or chunks.
            sha256: the digest it is said to have.
            size: the length it is said to have.

        Raises:
            DataError: the content is not what it is said to be; nothing was stored.
        """
        with self.writer() as writer:
            for chunk in _chunks(data):
                writer.write(chunk)
            return writer.commit(sha256=sha256, size=size)

    def writer(self) -> BlobWriter:
        """A writer to fill chunk by chunk, for content that arrives over time."""
        return BlobWriter(self, self._incoming)

    def path(self, sha256: str) -> Path:
        """Where a blob stands; read it, never write it.

        Raises:
            DataError: there is no such blob.
        """
        path = self._place(sha256)
        if not path.is_file():
            raise DataError(f"no blob {sha256} is stored here", path=self._folder)
        return path

    def open(self, sha256: str) -> BinaryIO:
        """A blob, open for reading."""
        return self.path(sha256).open("rb")

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Whether a blob is stored, and is as long as expected."""
        path = self._place(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def verify(self, sha256: str) -> bool:
        """Whether a blob still has the content that its name promises."""
        return sha256_file(self.path(sha256)) == sha256

    def delete(self, sha256: str) -> int:
        """Remove a blob that nothing refers to any more; the bytes freed."""
        path = self._place(sha256)
        size = path.stat().st_size if path.is_file() else 0
        path.unlink(missing_ok=True)
        return size

    def __iter__(self) -> Iterator[Blob]:
        for path in sorted(self._folder.glob("??/*")):
            if _DIGEST.match(path.name):
                yield Blob(path.name, path.stat().st_size)

    def _place(self, sha256: str) -> Path:
        if not _DIGEST.match(sha256):
            raise DataError(f"not a SHA-256 in lower-case hexadecimal: {sha256[:80]!r}")
        return self._folder / sha256[:2] / sha256


class BlobWriter:
    """Takes content chunk by chunk and places it under its digest, or not at all."""

    def __init__(self, blobs: Blobs, incoming: Path) -> None:
        self._blobs = blobs
        handle, name = tempfile.mkstemp(dir=incoming)
        self._path = Path(name)
        self._stream = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add a chunk."""
        self._stream.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def commit(self, *, sha256: str | None = None, size: int | None = None) -> Blob:
        """Place the content under its digest.

        Raises:
            DataError: digest or length are not the ones named.
        """
        found = self._digest.hexdigest()
        if size is not None and self.size != size:
            raise DataError(f"{self.size} bytes arrived where {size} were announced")
        if sha256 is not None and found != sha256:
            raise DataError(f"the content has SHA-256 {found}, announced was {sha256}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        place = self._blobs._place(found)
        if place.is_file():
            self._path.unlink()
        else:
            if not place.parent.is_dir():
                place.parent.mkdir(exist_ok=True)
                _sync_folder(place.parent.parent)
            self._path.replace(place)
            _sync_folder(place.parent)
        return Blob(found, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On a full disk, closing tries once more to write what is left, and fails as the write before did.
        with contextlib.suppress(OSError):
            self._stream.close()
        self._path.unlink(missing_ok=True)


def _chunks(data: bytes | Path | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
    elif isinstance(data, Path):
        with data.open("rb") as stream:
            yield from _chunks(stream)
    elif hasattr(data, "read"):
        while chunk := data.read(_CHUNK):
            yield chunk
    else:
        yield from data


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
