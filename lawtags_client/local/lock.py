"""One stack a folder: a lock that dies with its process, and a note of who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lawtags_client.errors import BusyError
from lawtags_client.local.wire.times import Clock, utc_now, zulu_seconds

_FILE = "stack.lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder."""

    pid: int
    host: str
    started: str


class FolderLock:
    """Holds a folder for this process until released; a killed process releases it by dying.

    Args:
        folder: the folder; made where missing.

    Raises:
        BusyError: another process holds it; says which, where and since when.
    """

    def __init__(self, folder: Path, *, clock: Clock = utc_now) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _FILE
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise busy_error(folder) from None
        note = Holder(os.getpid(), socket.gethostname(), zulu_seconds(clock()))
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(asdict(note)).encode(), 0)

    def release(self) -> None:
        """Let others have the folder."""
        if self._handle >= 0:
            # Closing drops the lock; the file stays, since removing it would race with the next holder.
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(folder: Path) -> Holder | None:
    """Who holds a folder at this moment; ``None`` where nobody does."""
    try:
        handle = os.open(folder / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _note(folder)
    finally:
        os.close(handle)
    return None


def busy_error(folder: Path) -> BusyError:
    """What to tell someone who wants a folder that is held."""
    found = _note(folder)
    return BusyError(
        f"a stack uses the folder {folder}: process {found.pid} on {found.host}, since {found.started}",
        hint=f"Use that one, stop it with: lawtags local down --dir {folder}  or name another --dir.",
    )


def _note(folder: Path) -> Holder:
    try:
        return Holder(**json.loads((folder / _FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        # Read between the lock being taken and the note being written.
        return Holder(0, "this host", "just now")
