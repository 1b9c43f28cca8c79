"""Where a converted checkpoint is written: a folder or an archive that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from lawtags_client.errors import BusyError, DataError, LawtagsError
from lawtags_client.files import make_folder, sync
from lawtags_client.locks import FolderLock

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What file systems without hard links answer, such as those of Windows shares and some object stores.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_HINT = "Choose another name, or move it away. Nothing is ever overwritten."


class Output(Protocol):
    """Receives the files of a checkpoint."""

    def file(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A seekable stream for one file, which begins at its present place."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        ...


class FolderOutput:
    """Files in a folder.

    Args:
        folder: an existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        path = self.folder / name
        make_folder(path.parent)
        with path.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    def write(self, name: str, data: bytes) -> None:
        with self.file(name) as stream:
            stream.write(data)


class ArchiveOutput:
    """Files in an uncompressed tar archive.

    Args:
        stream: a seekable stream for the archive.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        header = self._stream.tell()
        self._stream.write(bytes(tarfile.BLOCKSIZE))
        start = self._stream.tell()
        yield self._stream
        end = self._stream.seek(0, os.SEEK_END)
        self._stream.write(bytes(-(end - start) % tarfile.BLOCKSIZE))
        after = self._stream.tell()
        member = tarfile.TarInfo(f"./{name}")
        member.size = end - start
        # GNU's format has sizes of more than 8 GiB in one block, so the header can be written last.
        block = member.tobuf(tarfile.GNU_FORMAT)
        if len(block) != tarfile.BLOCKSIZE:
            raise LawtagsError(f"the name {name[:80]!r} is too long for an archive", hint="Shorten it.")
        self._stream.seek(header)
        self._stream.write(block)
        self._stream.seek(after)

    def write(self, name: str, data: bytes) -> None:
        with self.file(name) as stream:
            stream.write(data)

    def close(self) -> None:
        """End the archive."""
        self._stream.write(bytes(2 * tarfile.BLOCKSIZE))


@contextlib.contextmanager
def new_folder(target: Path, *, resume: bool = False) -> Iterator[FolderOutput]:
    """A folder that appears under its name once it is complete.

    Args:
        target: its name; must not exist.
        resume: keep the files of an interrupted attempt, and find them there the next time.

    Raises:
        DataError: it exists.
        BusyError: another process is writing it.
    """
    with _workplace(target, resume=resume) as place:
        yield FolderOutput(place / "new")
        _sync_folders(place / "new")
        refuse_existing(target)
        try:
            (place / "new").rename(target)
        except OSError as error:
            refuse_existing(target)
            raise error


@contextlib.contextmanager
def new_archive(target: Path) -> Iterator[ArchiveOutput]:
    """A tar archive that appears under its name once it is complete.

    Args:
        target: its name; must not exist.

    Raises:
        DataError: it exists.
        BusyError: another process is writing it.
    """
    with _workplace(target) as place:
        path = place / "new" / "archive"
        with path.open("xb") as stream:
            archive = ArchiveOutput(stream)
            yield archive
            archive.close()
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(path, target)
        except FileExistsError:
            raise _existing(target) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            refuse_existing(target)
            path.rename(target)


def refuse_existing(target: Path) -> None:
    """See that a name is free.

    Raises:
        DataError: something has it.
    """
    if target.exists() or target.is_symlink():
        raise _existing(target)


def _existing(target: Path) -> DataError:
    return DataError("exists already", path=target, hint=_HINT, wrong_path=True)


@contextlib.contextmanager
def _workplace(target: Path, *, resume: bool = False) -> Iterator[Path]:
    """A hidden folder beside the target, for this process alone; what a killed one left in it is removed."""
    refuse_existing(target)
    place = target.parent / f".{target.name}.partial"
    make_folder(target.parent)

    def busy(holder: object) -> BusyError:
        return BusyError(
            f"{target} is being written by {holder}", hint="Wait for it, or choose another name."
        )

    lock = FolderLock(place, busy, remove=True)
    try:
        if not resume:
            shutil.rmtree(place / "new", ignore_errors=True)
        (place / "new").mkdir(exist_ok=resume)
        yield place
    except OSError as error:
        # A full disk names no file, and there may be several disks.
        if error.filename is None and error.errno in _FULL:
            error.filename = str(place)
        raise
    finally:
        if not resume:
            shutil.rmtree(place / "new", ignore_errors=True)
        lock.release()
        sync(target.parent)


def _sync_folders(folder: Path) -> None:
    for above, _, _ in os.walk(folder):
        sync(Path(above))
