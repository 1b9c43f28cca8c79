"""One process at a time in a folder: a lock that dies with its process, and a note of who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from lawtags_client.errors import BusyError, ConfigurationError

_NOTE_BYTES = 4096
_LARGEST_PID = 2**31 - 1
_POLL = 0.01
_PROBE_PATIENCE = 0.1
# Each try finds the folder or file replaced since it was opened; so often in a row is not chance.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder.

    Args:
        pid: its process id; 0 where it is not known.
        host: the name of its machine.
        since: when it took the folder, in ISO 8601 and UTC.
    """

    pid: int = 0
    host: str = ""
    since: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}" if self.pid else "another process"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FolderLock:
    """Holds a folder for this process until it is released or the process ends, however it ends.

    The folder itself is locked, so deleting the lock file lets nobody else in. The file is locked as well: it
    names the holder, and it is the whole lock on file systems that cannot lock folders, such as NFS.

    Args:
        folder: the folder; created if missing.
        busy: makes the error to raise from the process that holds the folder.
        file: the lock file, relative to the folder.
        mode: permissions of a new lock file, before the umask.
        patience: seconds to wait for another holder; ``math.inf`` waits for as long as it takes.
        remove: delete the lock file, and the folder that it leaves empty, on release.
        now: the wall clock, for the note.

    Raises:
        BusyError: another process holds the folder.
        ConfigurationError: the folder cannot be locked: it is read-only, or its file system has no locks.
    """

    def __init__(
        self,
        folder: Path,
        busy: Callable[[Holder], BusyError],
        *,
        file: str = "lock",
        mode: int = 0o644,
        patience: float = 0.0,
        remove: bool = False,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._folder = folder
        self._path = folder / file
        self._mode = mode
        self._remove = remove
        self._descriptors: list[int] = []
        _HELD.add(self)
        try:
            taken = self._take(time.monotonic() + patience)
        except OSError as error:
            self._close()
            raise _refused(folder, error) from error
        except BaseException:
            self._close()
            raise
        if not taken:
            self._close()
            raise busy(_noted(self._path))
        note = Holder(os.getpid(), socket.gethostname(), f"{now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        # A full disk costs the note but not the lock, which is needed to make room as well.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptors[-1], 0)
            os.pwrite(self._descriptors[-1], json.dumps(asdict(note)).encode(), 0)

    def release(self) -> None:
        """Let others have the folder; does nothing the second time."""
        if self._descriptors and self._remove:
            self._remove_file()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, deadline: float) -> bool:
        for left in reversed(range(_TRIES)):
            try:
                if not (self._take_folder(deadline) and self._take_file(deadline)):
                    return False
                if self._in_place():
                    return True
            except (FileNotFoundError, FileExistsError):
                # Its holder removed it meanwhile: it existed to mkdir, and no longer to what came next.
                if not left:
                    raise
            # Deleted or replaced between being opened and being locked: this lock would guard nothing.
            self._close()
        raise OSError(None, "it is replaced over and over")

    def _take_folder(self, deadline: float) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._descriptors.append(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            return _locked(self._descriptors[-1], deadline)
        except OSError:
            os.close(self._descriptors.pop())  # NFS locks only files
            return True

    def _take_file(self, deadline: float) -> bool:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptors.append(os.open(self._path, flags, self._mode))
        return _locked(self._descriptors[-1], deadline)

    def _in_place(self) -> bool:
        paths = (self._folder, self._path)[-len(self._descriptors) :]
        return all(
            os.path.samestat(os.fstat(descriptor), path.stat())
            for descriptor, path in zip(self._descriptors, paths, strict=True)
        )

    def _remove_file(self) -> None:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptors[-1]), self._path.lstat()):
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._path.parent.rmdir()

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


def holder(folder: Path, *, file: str = "lock") -> Holder | None:
    """The process that holds a folder right now, or ``None``.

    Args:
        folder: the folder.
        file: its lock file.

    Raises:
        ConfigurationError: the permissions of the folder do not allow a look.
    """
    path = folder / file
    # A shared lock needs no permission to write, so that it can be tried on a read-only volume.
    for place, flags in ((folder, os.O_RDONLY | os.O_DIRECTORY), (path, os.O_RDONLY | os.O_NOFOLLOW)):
        try:
            descriptor = os.open(place, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _refused(folder, error) from error
        try:
            if not _shared(descriptor, time.monotonic() + _PROBE_PATIENCE):
                return _noted(path)
        except OSError as error:
            if place == path:
                raise _refused(folder, error) from error
        finally:
            os.close(descriptor)
    return None


def _shared(descriptor: int, deadline: float) -> bool:
    import fcntl  # not on Windows, where folders are not locked either

    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)


def _locked(descriptor: int, deadline: float) -> bool:
    from filelock import lock_descriptor  # slow to import, and most programs never lock

    while not lock_descriptor(descriptor, blocking=False):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


def _noted(path: Path) -> Holder:
    # Anyone may have written to the file, and a holder that has just taken the lock has not written its note.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            found = json.loads(stream.read(_NOTE_BYTES))
        pid, host, since = found["pid"], found["host"], found["since"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return Holder()
    if not (type(pid) is int and 0 < pid <= _LARGEST_PID and type(host) is type(since) is str):
        return Holder()
    return Holder(pid, host, since)


def _refused(folder: Path, error: OSError) -> ConfigurationError:
    # Of a path through a file, the file is at fault, not a lock.
    file = next((p for p in (folder, *folder.parents) if os.path.lexists(p) and not p.is_dir()), None)
    if file is not None:
        return ConfigurationError(f"{file} is not a folder", hint="Choose another folder, or move it away.")
    return ConfigurationError(
        f"the folder {folder} cannot be locked: {error.strerror}",
        hint="Check its permissions, or use a folder on a local disk that can be written.",
    )


_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _close_inherited() -> None:
    # A forked child shares the lock and would keep it after its parent's death.
    for lock in list(_HELD):
        lock._close()


if hasattr(os, "register_at_fork"):  # not on Windows, where the SDK without locks works
    os.register_at_fork(after_in_child=_close_inherited)
