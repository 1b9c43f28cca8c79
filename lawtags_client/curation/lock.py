"""One process at a time curates into a folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lawtags_client.curation.staging import WORK_FOLDER, owner_only
from lawtags_client.errors import BusyError

_LOCK = "lock"


@contextmanager
def curation_lock(out: Path) -> Iterator[Path]:
    """Hold the work folder of an output folder; the kernel lets go of it when the process ends.

    Args:
        out: the output folder.

    Yields:
        The work folder, which may be removed while it is held.

    Raises:
        BusyError: another process holds it.
    """
    folder = out / WORK_FOLDER
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(folder / _LOCK, "a+", opener=owner_only) as stream:
            _take(stream, out)
            # Whoever held it may have removed it meanwhile, at the end of its own curation.
            if os.fstat(stream.fileno()).st_nlink:
                try:
                    yield folder
                finally:
                    _leave(folder)
                return


def _leave(folder: Path) -> None:
    # Where there is nothing to go on with, nothing stays.
    if folder.exists() and [path.name for path in folder.iterdir()] == [_LOCK]:
        shutil.rmtree(folder, ignore_errors=True)


def _take(stream: IO[str], out: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        owner = stream.read(20).strip() or "unknown"
        raise BusyError(
            f"{out} is being curated by process {owner}", hint="Wait for it to end, or name another folder."
        ) from None
    stream.seek(0)
    stream.truncate()
    stream.write(f"{os.getpid()}\n")
    stream.flush()
