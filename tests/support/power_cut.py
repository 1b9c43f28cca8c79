"""Simulates a power cut: only synced data survives."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest


class PowerCut:
    """Watches ``os.fsync`` and computes what the worst possible disk would contain after a power cut.

    Such a disk keeps a file's content, and the names in a folder, only as of the last sync of the file or the
    folder. SQLite's own syncs are not observed.

    Args:
        root: a folder that is already on disk with all its content.
        monkeypatch: restores ``os.fsync``.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._held: list[int] = []
        self.syncs = 0
        self._sync = os.fsync
        for place in (root, *root.rglob("*")):
            handle = os.open(place, os.O_RDONLY)
            self._keep(handle)
            os.close(handle)
        monkeypatch.setattr(os, "fsync", self._watch)

    def _watch(self, handle: int) -> None:
        self._sync(handle)
        self._keep(handle)
        self.syncs += 1

    def _keep(self, handle: int) -> None:
        found = os.fstat(handle)
        # Kept open, so that the inode number of a deleted file is not reused.
        self._held.append(os.dup(handle))
        path = Path(f"/proc/self/fd/{handle}")
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(path) as names:
                self._names[found.st_ino] = {each.name: (each.inode(), each.is_dir()) for each in names}
        else:
            self._contents[found.st_ino] = path.read_bytes()

    def left_in(self, folder: Path) -> Path:
        """Write the surviving content of the root to a folder."""
        self._restore(self._root.stat().st_ino, folder)
        return folder

    def _restore(self, inode: int, place: Path) -> None:
        place.mkdir(parents=True)
        for name, (child, is_folder) in self._names.get(inode, {}).items():
            if is_folder:
                self._restore(child, place / name)
            else:
                (place / name).write_bytes(self._contents.get(child, b""))

    def damage(self, path: Path, content: bytes) -> None:
        """Corrupt a file on the disk."""
        path.write_bytes(content)
        self._contents[path.stat().st_ino] = content

    def close(self) -> None:
        """Close the synced files."""
        for handle in self._held:
            os.close(handle)
