"""Content-addressed files: each is stored once, under its SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
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
from lawtags_client.files import make_folder, sha256_file, sync

_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file.

    Args:
        sha256: of its content, in hexadecimal.
        size: in bytes.
        stored: Unix time of the last store, in seconds; 0 if unknown.
    """

    sha256: str
    size: int
    stored: float = 0.0


class MissingBlobError(DataError):
    """A blob was never stored, or its file is missing."""

    def __init__(self, sha256: str, folder: Path) -> None:
        super().__init__(f"no blob {sha256} is stored here; upload the file again", path=folder)
        self.status = 500


class DamagedBlobError(DataError):
    """A blob's file no longer matches its digest."""

    def __init__(self, sha256: str, path: Path, reason: str | None = None) -> None:
        why = f" ({reason})" if reason else ""
        super().__init__(
            f"the stored content {sha256} is damaged on the disk of this stack{why}; upload the file again",
            path=path,
        )
        self.status = 500


@dataclass(frozen=True, slots=True)
class _Signature:
    """File metadata that changes with every write."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> _Signature:
        found = path.stat()
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class Blobs:
    """A folder of content-addressed files.

    Example:
        >>> blobs = Blobs(Path("blobs"))
        >>> blobs.put(b"hello").size
        5

    Args:
        folder: the folder; created if missing. The constructor deletes leftovers of killed writers, so only
            the owner of the folder may call it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole: dict[str, _Signature] = {}
        self._incoming = folder / "incoming"
        if self._incoming.is_dir() and not self._incoming.is_symlink():
            shutil.rmtree(self._incoming)
        self._make(self._incoming)

    def put(
        self,
        data: bytes | Path | BinaryIO | Iterable[bytes],
        *,
        sha256: str | None = None,
        size: int | None = None,
    ) -> Blob:
        """Store content; it is on disk when this returns.

        Args:
            data: bytes, a file to copy, an open file, or chunks.
            sha256: the expected digest.
            size: the expected length.

        Raises:
            DataError: the digest or length differs; nothing was stored.
        """
        with self.writer() as writer:
            for chunk in _chunks(data):
                writer.write(chunk)
            return writer.commit(sha256=sha256, size=size)

    def writer(self) -> BlobWriter:
        """Create a writer, for content that arrives in chunks."""
        self._make(self._incoming)
        return BlobWriter(self, self._incoming)

    def path(self, sha256: str) -> Path:
        """Return the path of an intact blob, for reading only.

        Raises:
            MissingBlobError: the blob does not exist.
            DamagedBlobError: its content does not match its digest.
        """
        path = self._place(sha256)
        try:
            if not path.exists():
                raise MissingBlobError(sha256, self._folder)
            if not path.is_file():
                raise DamagedBlobError(sha256, path, "there is something other than a file in its place")
            if not self._is_whole(path):
                raise DamagedBlobError(sha256, path)
        except OSError as error:
            raise DamagedBlobError(sha256, path, error.strerror) from error
        return path

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading."""
        return self.path(sha256).open("rb")

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Whether a blob is intact, and has the expected size."""
        path = self._place(sha256)
        try:
            if not path.is_file() or (size is not None and path.stat().st_size != size):
                return False
            return self._is_whole(path)
        except OSError:
            return False

    def verify(self, sha256: str) -> bool:
        """Check whether a blob's content still matches its digest.

        Raises:
            MissingBlobError: the blob does not exist.
        """
        try:
            return self.path(sha256).is_file()
        except DamagedBlobError:
            return False

    def delete(self, sha256: str) -> int:
        """Delete an unreferenced blob, and return the bytes freed."""
        path = self._place(sha256)
        if path.is_dir() and not path.is_symlink():
            return 0  # not a blob
        size = path.stat().st_size if path.is_file() else 0
        path.unlink(missing_ok=True)
        return size

    def __iter__(self) -> Iterator[Blob]:
        for path in sorted(self._folder.glob("??/*")):
            if _DIGEST.match(path.name) and path.is_file():
                found = path.stat()
                yield Blob(path.name, found.st_size, found.st_mtime)

    def _make(self, folder: Path) -> None:
        """Create a folder, displacing whatever is in its place."""
        if not folder.is_dir():
            self._displace(folder)
            make_folder(folder)

    def _displace(self, path: Path) -> None:
        """Move away a foreign file or folder that is in the place of a blob."""
        if not os.path.lexists(path):
            return
        aside = self._folder / "displaced"
        make_folder(aside)
        names = (aside / f"{path.name}.{number}" for number in itertools.count(1))
        free = next(name for name in names if not os.path.lexists(name))
        path.rename(free)
        _log.warning("%s was in the place of stored content; moved it to %s", path, free)

    def _is_whole(self, path: Path) -> bool:
        """Whether a blob matches its digest; checked once, then again if the file has changed."""
        known = _Signature.of(path)
        if self._whole.get(path.name) == known:
            return True
        if sha256_file(path) != path.name:
            self._whole.pop(path.name, None)
            return False
        self._whole[path.name] = known
        return True

    def _place(self, sha256: str) -> Path:
        if not _DIGEST.match(sha256):
            raise DataError(f"not a SHA-256 in lower-case hexadecimal: {sha256[:80]!r}")
        return self._folder / sha256[:2] / sha256


class BlobWriter:
    """Writes content in chunks, and stores it atomically under its digest."""

    def __init__(self, blobs: Blobs, incoming: Path) -> None:
        self._blobs = blobs
        handle, name = tempfile.mkstemp(dir=incoming)
        self._path = Path(name)
        self._stream = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Write a chunk."""
        self._stream.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def commit(self, *, sha256: str | None = None, size: int | None = None) -> Blob:
        """Store the content under its digest.

        Raises:
            DataError: the digest or length differs from the expected one.
        """
        found = self._digest.hexdigest()
        if size is not None and self.size != size:
            raise DataError(f"{self.size} bytes arrived instead of the announced {size}")
        if sha256 is not None and found != sha256:
            raise DataError(f"the content has SHA-256 {found}, not the announced {sha256}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        place = self._blobs._place(found)
        self._blobs._make(place.parent)
        if place.is_dir() and not place.is_symlink():
            self._blobs._displace(place)
        # Replaces an existing blob of this name, which may be damaged.
        self._path.replace(place)
        sync(place.parent)
        self._blobs._whole[found] = _Signature.of(place)
        return Blob(found, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # On a full disk, closing retries the failed write, and fails again.
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
