"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path

SHARED, PRIVATE = 0o666, 0o600
"""Permissions of files that others may read, and of those for their owner alone."""

_LONGEST_PREFIX = 50
"""Characters of a file's name in that of its temporary file, which may have 255 bytes."""


def atomic_write_bytes(path: Path, data: bytes, *, mode: int = SHARED) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename.

    Args:
        path: where the file is to stand; missing folders are made.
        data: its content.
        mode: permissions of a new file, as far as the umask allows them.
    """
    make_folder(path.parent)
    handle, temporary = open_temporary(path, mode=mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def open_temporary(path: Path, *, prefix: str | None = None, mode: int = SHARED) -> tuple[int, Path]:
    """Create an empty file that is to replace another one, in the folder of that one.

    It has the permissions of the file that it replaces. A new one has those that the umask allows, since
    others may be meant to read it; files of ``tempfile`` are for their owner alone.

    Args:
        path: the file that it is to replace.
        prefix: of the temporary name; by default, a dot and the name of the file.
        mode: permissions of a new file, as far as the umask allows them.

    Returns:
        A descriptor that is open for writing, and the path of the temporary file.
    """
    begin = f".{path.name[:_LONGEST_PREFIX]}." if prefix is None else prefix
    while True:
        temporary = path.with_name(begin + secrets.token_hex(6))
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            continue
        # Where a file system has no permissions, there are none to keep.
        with contextlib.suppress(OSError):
            found = path.lstat().st_mode
            if stat.S_ISREG(found):
                os.fchmod(handle, stat.S_IMODE(found))
        return handle, temporary


def atomic_write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: Path, value: object, *, mode: int = SHARED) -> None:
    """Write indented JSON whole or not at all; NaN is refused, since JSON has no such value."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write_bytes(path, text.encode("utf-8"), mode=mode)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder and those above it, on disk when this returns; one that exists is left as it is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def publish_folder(complete: Path, target: Path) -> None:
    """Give a complete folder its final name, with all that is in it on disk.

    A rename alone can survive a power cut that the content of the files does not survive.

    Args:
        complete: the folder, under a temporary name beside the final one.
        target: the final name; must be free.

    Raises:
        OSError: the disk is full, or the name is taken.
    """
    for path in (*complete.rglob("*"), complete):
        if not path.is_symlink():
            sync(path)
    complete.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk.

    A file that was made or renamed survives a power cut only once its folder is on disk as well.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
