"""Runs of bytes in files: what a checkpoint is made of, whether it is a folder or an archive."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import DataError

BLOCK = 4 << 20
"""Bytes per read; copies hold one block in memory."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of bytes in a file.

    Args:
        path: the file.
        start: its first byte.
        length: how many bytes.
        member: what it is within the file, e.g. the member of an archive; empty for the whole file.
    """

    path: Path
    start: int
    length: int
    member: str = ""

    @property
    def label(self) -> str:
        """The name for error messages."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    def part(self, start: int, length: int, member: str = "") -> Extent:
        """A run of bytes within this one.

        Raises:
            DataError: it does not lie within.
        """
        if start < 0 or length < 0 or start + length > self.length:
            raise DataError(
                f"ends before byte {start + length}, which it refers to",
                path=self.label,
                hint="The file is truncated or damaged. Download it again.",
            )
        named = "/".join(filter(None, (self.member, member)))
        return Extent(self.path, self.start + start, length, named)

    def read(self, most: int) -> bytes:
        """All of its bytes.

        Args:
            most: refuse more bytes than these.

        Raises:
            DataError: there are more, or the file is shorter than it was.
        """
        if self.length > most:
            raise DataError(
                f"has {self.length:,} bytes; at most {most:,} are read", path=self.label, hint=_DAMAGED
            )
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            data = stream.read(self.length)
        if len(data) != self.length:
            raise DataError("became shorter while it was read", path=self.label, hint="Try again.")
        return data

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, block by block."""
        left = self.length
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            while left:
                block = stream.read(min(BLOCK, left))
                if not block:
                    raise DataError("became shorter while it was read", path=self.label, hint="Try again.")
                left -= len(block)
                yield block


_DAMAGED = "Check that the file is what its name says, or download it again."
# The largest single read that a parser of containers may ask for: a directory of 100,000 entries fits.
_LARGEST_READ = 32 << 20


class ExtentReader(io.RawIOBase):
    """An extent as a file of its own, for parsers of containers; one read has a limited size.

    Args:
        extent: what to read.
    """

    def __init__(self, extent: Extent) -> None:
        super().__init__()
        self._extent = extent
        self._stream = extent.path.open("rb")
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._extent.length}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._place = base + offset
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._extent.length - self._place, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _LARGEST_READ:
            raise ValueError(f"a header of {wanted:,} bytes")
        self._stream.seek(self._extent.start + self._place)
        data = self._stream.read(wanted)
        self._place += len(data)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()
