"""Zip files whose entries are stored as they are, as PyTorch writes them: read and written in place."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

from lawtags_client.checkpoints.extents import Extent, ExtentReader
from lawtags_client.errors import DataError

_HINT = (
    "Only checkpoints as PyTorch writes them are read. Download it again, or save it again with torch.save."
)
_LOCAL = struct.Struct("<4s22xHH")
_ALIGNMENT = 64
_MOST_ENTRIES = 200_000


def zip_entries(extent: Extent) -> dict[str, Extent]:
    """The entries of a zip file, as runs of bytes.

    Args:
        extent: the zip file, which may stand within another file.

    Raises:
        DataError: it is not a zip file, or its entries are compressed, overlap or leave the file.
    """
    try:
        with ExtentReader(extent) as reader:
            with zipfile.ZipFile(reader) as archive:
                found = archive.infolist()
            if len(found) > _MOST_ENTRIES:
                raise ValueError(f"it has {len(found):,} entries")
            places = [(info, _data_start(reader, info)) for info in found]
    except (zipfile.BadZipFile, ValueError, LookupError, struct.error, NotImplementedError) as error:
        raise DataError(f"is not a zip file of PyTorch: {error}", path=extent.label, hint=_HINT) from error
    reached = 0
    entries: dict[str, Extent] = {}
    for info, start in sorted(places, key=lambda place: place[0].header_offset):
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _refused(extent, f"the entry {info.filename[:80]!r} is compressed")
        if info.flag_bits & 1:
            raise _refused(extent, f"the entry {info.filename[:80]!r} is encrypted")
        if info.header_offset < reached or info.filename in entries:
            raise _refused(extent, f"the entry {info.filename[:80]!r} overlaps another one")
        reached = start + info.file_size
        entries[info.filename] = extent.part(start, info.file_size, info.filename)
    return entries


def _data_start(reader: ExtentReader, info: zipfile.ZipInfo) -> int:
    reader.seek(info.header_offset)
    signature, name, extra = _LOCAL.unpack(reader.read(_LOCAL.size))
    if signature != b"PK\x03\x04":
        raise ValueError(f"the entry {info.filename[:80]!r} has no header")
    return info.header_offset + _LOCAL.size + int(name) + int(extra)


def _refused(extent: Extent, why: str) -> DataError:
    return DataError(why, path=extent.label, hint=_HINT)


class ZipStream:
    """Writes a zip file into a stream at its place; entries are stored and aligned.

    Args:
        stream: a seekable stream; the zip file begins at its present place.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._shifted = _Shifted(stream)
        self._zip = zipfile.ZipFile(self._shifted, "w", zipfile.ZIP_STORED)

    def add(self, name: str, length: int, blocks: Iterable[bytes]) -> None:
        """Write one entry.

        Args:
            name: its name.
            length: how many bytes it has.
            blocks: its bytes.
        """
        info = zipfile.ZipInfo(name)
        large = length >= zipfile.ZIP64_LIMIT
        before = self._shifted.tell() + 30 + len(name.encode()) + (20 if large else 0)
        padding = -(before + 4) % _ALIGNMENT
        info.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
        info.file_size = length
        try:
            with self._zip.open(info, "w", force_zip64=large) as entry:
                for block in blocks:
                    entry.write(block)
        except BaseException:
            # Otherwise it writes its directory when it is collected, and complains that it cannot.
            self._zip.fp = None
            raise
        if info.file_size != length:
            raise ValueError(f"{name} has {info.file_size} bytes, not {length}")

    def close(self) -> int:
        """End the zip file, and return its length in bytes."""
        self._zip.close()
        return self._shifted.tell()


class _Shifted(io.RawIOBase):
    """A stream whose first byte is where another stream stands."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._base = stream.tell()

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell() - self._base

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + self._base if whence == io.SEEK_SET else offset
        return self._stream.seek(place, whence) - self._base

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()
