"""Opening files of rows: byte order marks, compression, text that is not UTF-8."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lawtags_client.curation.raw import UnreadableError
from lawtags_client.errors import DataError, MissingExtraError

# One row of more bytes than this is a mistake or an attack: a post has 30,000 letters at most.
# One letter outside of Latin makes a text four times as large in memory, and reading holds it several times.
MAX_ROW_BYTES = 8 * 2**20

# Text shrinks ten or twenty times; a bomb shrinks a thousand times.
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 256 * 2**20

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_UTF8_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_rows(path: Path) -> Iterator[io.BufferedReader[Any]]:
    """Open a file of text rows, unpacked, behind its byte order mark.

    Args:
        path: the file; gzip and Zstandard are recognised by its content.

    Raises:
        DataError: the file cannot be read, is empty, is UTF-16, or unpacks to suspiciously much.
        MissingExtraError: it is packed with Zstandard, and pyarrow is not installed.
    """
    try:
        with path.open("rb") as file:
            unpacking = _unpacking(file)
            raw: io.BufferedReader[Any] = (
                io.BufferedReader(_Unpacked(file, unpacking, path)) if unpacking else file
            )
            start = raw.peek(4)[:4]
            if not start:
                raise DataError("is empty (0 bytes of text)", path=path, hint="Is it the right file?")
            if start[:2] in _MARKS:
                raise DataError(
                    f"is {_MARKS[start[:2]]}, not UTF-8",
                    path=path,
                    line=1,
                    hint=f"Convert it: iconv -f {_MARKS[start[:2]]} -t UTF-8",
                )
            if b"\x00" in start:
                raise DataError(
                    "is no text in UTF-8: it begins with NUL bytes; maybe UTF-16 or UTF-32 without a mark",
                    path=path,
                    line=1,
                    hint="Convert it, e.g. iconv -f UTF-16LE -t UTF-8",
                )
            if start.startswith(_UTF8_MARK):
                raw.read(len(_UTF8_MARK))
            yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"is damaged: {error}", path=path, hint="Fetch it again.") from error
    except OSError as error:
        if error.errno is None:
            # Of the unpacking, not of the system.
            raise DataError(f"is damaged: {error}", path=path, hint="Fetch it again.") from error
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def decode_line(raw: bytes, offset: int = 0) -> str:
    """Decode one line.

    Args:
        raw: the line.
        offset: where it begins in the file.

    Raises:
        UnreadableError: it is not UTF-8; says at which byte, and what it might be.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.start + 1
        raise undecoded(raw, error, f"byte {byte} of the line, {offset + byte} of the file") from None


def undecoded(raw: bytes, error: UnicodeDecodeError, where: str) -> UnreadableError:
    """What is to be said of bytes that are not UTF-8.

    Args:
        raw: the row.
        error: of decoding it.
        where: the place of the first wrong byte.
    """
    return UnreadableError(f"is not UTF-8; {_guess(raw, error)}", where)


def _guess(raw: bytes, error: UnicodeDecodeError) -> str:
    if b"\x00" in raw:
        return "maybe UTF-16 or UTF-32"
    if error.reason == "unexpected end of data":
        return "its last character is cut off"
    # Curly quotes and dashes stand here in Windows' table, and control characters in Latin-1.
    return "maybe Windows-1252" if 0x80 <= raw[error.start] <= 0x9F else "maybe Windows-1252 or Latin-1"


def _unpacking(file: io.BufferedReader[Any]) -> Any:
    """What unpacks a file, with a method ``read``; None where it is not packed."""
    start = file.peek(4)
    if start[:2] == _GZIP_MAGIC:
        return gzip.GzipFile(fileobj=file)
    if start[:4] != _ZSTD_MAGIC:
        return None
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("pyarrow", "curate", "reading files packed with Zstandard") from error
    # It holds no more than one window of 128 MiB, and says when the file ends too early.
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")


class _Unpacked(io.RawIOBase):
    """A packed stream that stops when it unpacks to far more than text ever does."""

    def __init__(self, file: IO[bytes], stream: Any, path: Path) -> None:
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
                hint="Unpack it by hand.",
            )
        return len(data)
