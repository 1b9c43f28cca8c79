"""Git object ids, computed without git; clients compare them with their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

_CHUNK = 1 << 20
_AUTHOR = "lawtags <lawtags@localhost>"


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One entry of a git tree: a file or a folder with its object id."""

    name: str
    oid: str
    is_folder: bool


def blob_oid(size: int, content: BinaryIO) -> str:
    """The object id of a file, read in chunks."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The LFS pointer that git stores in place of a file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def pointer_oid(sha256: str, size: int) -> str:
    """The object id of an LFS pointer."""
    return _oid("blob", pointer(sha256, size))


def tree_oid(lines: Iterable[TreeLine]) -> str:
    """The object id of a folder."""
    # Git sorts folders as if their names ended in a slash.
    ordered = sorted(lines, key=lambda line: (line.name + "/" if line.is_folder else line.name).encode())
    body = b"".join(
        (b"40000 " if line.is_folder else b"100644 ") + line.name.encode() + b"\0" + bytes.fromhex(line.oid)
        for line in ordered
    )
    return _oid("tree", body)


def commit_oid(tree: str, parent: str | None, moment: datetime, message: str) -> str:
    """The object id of a commit."""
    stamp = f"{_AUTHOR} {int(moment.timestamp())} +0000"
    parents = f"parent {parent}\n" if parent else ""
    return _oid("commit", f"tree {tree}\n{parents}author {stamp}\ncommitter {stamp}\n\n{message}\n".encode())


def _oid(kind: str, body: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(body)) + body, usedforsecurity=False).hexdigest()
