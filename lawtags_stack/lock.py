"""One stack a folder: a lock that dies with its process, and a note of who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lawtags_client.errors import BusyError
from lawtags_stack.times import Clock, utc_now, zulu_seconds

_FILE = "stack.lock"
ADDRESS_FILE = "stack.json"
"""Where a stack writes down its process and addresses."""
_PAUSES = (0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder."""

    pid: int
    host: str
    started: str


class FolderLock:
    """Holds a folder for this process until released; a killed process releases it by dying.

    The folder itself is locked, because a file in it can be deleted under a running stack, and a new file
    would be free. A file in it is locked as well, for file systems that cannot lock folders.

    Args:
        folder: the folder; made where missing.

    Raises:
        BusyError: another process holds it; says which, where and since when.
    """

    def __init__(self, folder: Path, *, clock: Clock = utc_now) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._handles: list[int] = []
        try:
            _hold_folder(folder, self._handles)
            _hold_file(folder, self._handles)
        except BlockingIOError:
            self.release()
            raise busy_error(folder) from None
        except BaseException:
            self.release()
            raise
        note = Holder(os.getpid(), socket.gethostname(), zulu_seconds(clock()))
        os.ftruncate(self._handles[-1], 0)
        os.pwrite(self._handles[-1], json.dumps(asdict(note)).encode(), 0)

    def release(self) -> None:
        """Let others have the folder."""
        while self._handles:
            # Closing drops the lock; the file stays, since removing it would race with the next holder.
            os.close(self._handles.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(folder: Path) -> Holder | None:
    """Who holds a folder at this moment; ``None`` where nobody does."""
    for path in (folder, folder / _FILE):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _note(folder)
        except OSError:
            continue  # a file system that locks no folders
        finally:
            os.close(handle)
    return None


def _hold_folder(folder: Path, handles: list[int]) -> None:
    handles.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        _lock(handles[-1])
    except BlockingIOError:
        raise
    except OSError:
        os.close(handles.pop())  # NFS locks files only


def _hold_file(folder: Path, handles: list[int]) -> None:
    path = folder / _FILE
    while True:
        handles.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        _lock(handles[-1])
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handles[-1]), path.stat()):
                return
        os.close(handles.pop())  # deleted between the two calls: what we hold is no longer the file


def _lock(handle: int) -> None:
    for pause in (*_PAUSES, None):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Whoever only looks for a holder has the lock for a moment.
            if pause is None:
                raise
            time.sleep(pause)


def busy_error(folder: Path) -> BusyError:
    """What to tell someone who wants a folder that is held."""
    found = _note(folder)
    return BusyError(
        f"a stack uses the folder {folder}: process {found.pid} on {found.host}, since {found.started}",
        hint=f"Use that one, stop it with: lawtags local down --dir {folder}  or name another --dir.",
    )


def _note(folder: Path) -> Holder:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads((folder / _FILE).read_text("utf-8")))
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        # The lock file was deleted under a running stack.
        found = json.loads((folder / ADDRESS_FILE).read_text("utf-8"))
        return Holder(int(found["pid"]), socket.gethostname(), str(found["started"]))
    # Read between the lock being taken and the note being written.
    return Holder(0, "this host", "just now")
