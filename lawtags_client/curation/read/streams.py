"""Opening files of rows: byte order marks, compression, text that is not UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Protocol

from lawtags_client.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

# One row of more bytes than this is a mistake or an attack: a post has 30,000 letters at most.
# One letter outside of Latin makes a text four times as large in memory, and reading holds it several times.
MAX_ROW_BYTES = 8 * 2**20

# What Zstandard may hold at once while it unpacks: "zstd --long=30"; without the option it takes 8 MiB.
_MAX_WINDOW = 2**30

# Text shrinks ten or twenty times; a bomb shrinks a thousand times.
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 256 * 2**20

_CHUNK = 1 << 16

# Little goes in at once, since all that comes out of it is held.
_PACKED_AT_ONCE = 1 << 10
_ZSTD_LONGEST_HEADER = 18

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Frames of other data, which programs that pack in parallel put before and after the rest (RFC 8878, 3.1.2).
_ZSTD_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


class _Unpacker(Protocol):
    """A stream that decompresses as it is read."""

    def read(self, size: int, /) -> bytes: ...


@contextmanager
def open_rows(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file of text rows, unpacked, after its byte order mark, in UTF-8; UTF-16 is converted.

    Args:
        path: the file; gzip and Zstandard are recognized by its content.

    Raises:
        DataError: the file cannot be read, is empty, is UTF-16 without a mark, or unpacks to far too much.
        MissingExtraError: it is packed with Zstandard, and zstandard is not installed.
    """
    try:
        with path.open("rb") as file:
            unpacking = _unpacking(file, path)
            raw: io.BufferedReader = (
                io.BufferedReader(_BoundedStream(file, unpacking, path)) if unpacking else file
            )
            start = raw.peek(4)[:4]
            if start in _UTF_32:
                raise DataError(
                    "is UTF-32",
                    path=path,
                    line=1,
                    hint=f"Convert it: iconv -f UTF-32 -t UTF-8 {path.name} > utf-8{path.suffix}",
                )
            if start[:2] in _UTF_16:
                # Spreadsheets call this "Unicode text".
                raw = io.BufferedReader(_TranscodedStream(raw))
                start = raw.peek(4)[:4]
            if not start:
                raise DataError(
                    "is empty (0 bytes of text)", path=path, hint="Check that it is the right file."
                )
            if b"\x00" in start:
                raise DataError(
                    "is not UTF-8: it begins with NUL bytes; it may be UTF-16 or UTF-32 without a mark",
                    path=path,
                    line=1,
                    hint="Convert it, e.g. iconv -f UTF-16LE -t UTF-8",
                )
            if start.startswith(_UTF8_MARK):
                raw.read(len(_UTF8_MARK))
            yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"is damaged: {error}", path=path, hint="Download it again.") from error
    except OSError as error:
        if error.errno is None:
            # Of the unpacking, not of the system.
            raise DataError(f"is damaged: {error}", path=path, hint="Download it again.") from error
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def _unpacking(file: io.BufferedReader, path: Path) -> _Unpacker | None:
    """What unpacks a file, with a method ``read``; None where it is not packed."""
    start = file.peek(4)
    if start[:2] == _GZIP_MAGIC:
        return gzip.GzipFile(fileobj=file)
    if start[:4] != _ZSTD_MAGIC and not _ZSTD_SKIPPED.match(start):
        return None
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard", "curate", "reading files compressed with Zstandard") from error
    return _ZstandardReader(file, path, zstandard)


class _ZstandardReader:
    """Frames of Zstandard, one after the other, of which each must be whole."""

    def __init__(self, file: io.BufferedReader, path: Path, zstandard: ModuleType) -> None:
        self._file = file
        self._path = path
        self._zstandard = zstandard
        self._left = b""
        self._packed = b""
        self._frame: ZstdDecompressionObj | None = None

    def read(self, size: int) -> bytes:
        while not self._left:
            if not self._packed:
                self._packed = self._file.read(_PACKED_AT_ONCE)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                return b""
            self._unpack()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _unpack(self) -> None:
        try:
            frame = self._frame if self._frame is not None else self._begin()
            if frame is None:
                return
            self._left = frame.decompress(self._packed)
        except self._zstandard.ZstdError as error:
            raise EOFError(str(error)) from error
        self._packed, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)

    def _begin(self) -> ZstdDecompressionObj | None:
        """A decompressor for the next frame, or None for a frame that holds no data of the file."""
        while len(self._packed) < _ZSTD_LONGEST_HEADER and (more := self._file.read(_PACKED_AT_ONCE)):
            self._packed += more
        if len(self._packed) >= 8 and _ZSTD_SKIPPED.match(self._packed):
            self._skip(8 + int.from_bytes(self._packed[4:8], "little"))
            return None
        parameters = self._zstandard.get_frame_parameters(self._packed)
        if parameters.dict_id:
            raise DataError(
                "is compressed with a dictionary, which is not in the file",
                path=self._path,
                hint=f"Decompress it first: zstd -d -D DICTIONARY {self._path.name}",
            )
        window = parameters.window_size
        if window > _MAX_WINDOW:
            raise DataError(
                f"needs {window >> 20} MiB of memory to unpack, more than {_MAX_WINDOW >> 20} MiB",
                path=self._path,
                hint=f"Decompress it first: zstd -d --long=31 {self._path.name}",
            )
        made = self._zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        frame: ZstdDecompressionObj = made.decompressobj(write_size=_CHUNK)
        return frame

    def _skip(self, size: int) -> None:
        left, self._packed = size - len(self._packed), self._packed[size:]
        while left > 0:
            data = self._file.read(min(left, _CHUNK))
            if not data:
                raise EOFError("it ends within a frame")
            left -= len(data)


class _TranscodedStream(io.RawIOBase):
    """UTF-16 as UTF-8; half a character becomes bytes that are not UTF-8, and so costs its row alone."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._left = b""
        self._read = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """How much has been read."""
        return self._read

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left and (data := self._stream.read(_CHUNK)):
            self._left = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        self._read += len(data)
        return len(data)


class _BoundedStream(io.RawIOBase):
    """A packed stream that stops when it unpacks to far more than text ever does."""

    def __init__(self, file: IO[bytes], stream: _Unpacker, path: Path) -> None:
        self._file = file
        self._stream = stream
        self._path = path
        self._read = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """How much has been unpacked."""
        return self._read

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._read += len(data)
        if self._read > max(_RATIO_FREE_BYTES, _MAX_RATIO * self._file.tell()):
            raise DataError(
                f"unpacks to more than {_MAX_RATIO} times its size",
                path=self._path,
                hint="Decompress it yourself, and check what it contains.",
            )
        return len(data)
