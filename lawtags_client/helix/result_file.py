"""Writes what arrives in pieces to a file, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from lawtags_client.errors import DataError
from lawtags_client.files import open_temporary


async def write_pieces(path: Path, pieces: AsyncIterator[bytes]) -> int:
    """Write pieces to a file; returns their bytes.

    Args:
        path: the file; replaced if it exists.
        pieces: its content.

    Raises:
        DataError: it cannot be written.
    """
    size = 0
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not in a thread: a task that is cancelled meanwhile would leave it behind, and open.
        handle, temporary = open_temporary(path, prefix=".lawtags-")
        with os.fdopen(handle, "wb") as stream:
            async for piece in pieces:
                await asyncio.to_thread(stream.write, piece)
                size += len(piece)
            await asyncio.to_thread(_flush, stream)
        await asyncio.to_thread(temporary.replace, path)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror or error}",
            path=path,
            hint="Check the permissions and the free space of its folder.",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return size


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
