"""A power cut: of all that was written, only what was synced is still there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest


class PowerCut:
    """Watches ``os.fsync`` and tells what the worst of disks would hold if the power went now.

    Such a disk keeps the content of a file as it was when the file was last synced, or nothing of it, and
    the names in a folder as they were when the folder was last synced. What SQLite syncs is not seen here.

    Args:
        root: a folder that is on the disk with all that it holds.
        monkeypatch: puts ``os.fsync`` back.
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
        # Held open, so that no later file gets the number of one that was removed.
        self._held.append(os.dup(handle))
        path = Path(f"/proc/self/fd/{handle}")
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(path) as names:
                self._names[found.st_ino] = {each.name: (each.inode(), each.is_dir()) for each in names}
        else:
            self._contents[found.st_ino] = path.read_bytes()

    def left_in(self, folder: Path) -> Path:
        """Write what is left of the root to a folder."""
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
        """Spoil a file on the disk."""
        path.write_bytes(content)
        self._contents[path.stat().st_ino] = content

    def close(self) -> None:
        """Let go of the files that were synced."""
        for handle in self._held:
            os.close(handle)
