"""Snapshots of repositories: trees of files, which share unchanged folders between commits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, Union

from lawtags_client.json_value import JsonObject
from lawtags_stack.services.data_store.git import TreeLine, tree_oid
from lawtags_stack.store import Database

MIGRATION = "CREATE TABLE data_store_trees (key TEXT PRIMARY KEY, oid TEXT NOT NULL, entries TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file in a snapshot.

    Args:
        path: path from the repository's root.
        size: in bytes.
        oid: git's object id of the file, or of its pointer if it is in LFS.
        sha256: of its content; the name of its blob.
        lfs: whether git stores only a pointer.
    """

    path: str
    size: int
    oid: str
    sha256: str
    lfs: bool


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A folder in a snapshot, with git's object id of its tree."""

    path: str
    oid: str


_Folder: TypeAlias = dict[str, Union[FileEntry, "_Folder"]]


class Trees:
    """Content-addressed folders; like git's trees, but with the SHA-256 of each file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, files: Iterable[FileEntry]) -> tuple[str, str]:
        """Store a snapshot.

        Returns:
            Its key, and git's object id of its root.
        """
        root: _Folder = {}
        for file in files:
            *folders, name = file.path.split("/")
            node = root
            for folder in folders:
                inner = node.setdefault(folder, {})
                assert isinstance(inner, dict)  # no path is both a file and a folder
                node = inner
            node[name] = file
        with self._database.transaction():
            return self._write(root)

    def files(self, key: str) -> dict[str, FileEntry]:
        """All files of a snapshot by path, sorted by path."""
        found = {entry.path: entry for entry in self.walk(key) if isinstance(entry, FileEntry)}
        return dict(sorted(found.items()))

    def walk(self, key: str, *, below: str = "", recursive: bool = True) -> Iterator[FileEntry | FolderEntry]:
        """The entries of a folder and its subfolders."""
        row = self._database.row("SELECT entries FROM data_store_trees WHERE key = ?", (key,))
        if row is None:
            return
        for name, entry in sorted(json.loads(row["entries"]).items()):
            path = f"{below}/{name}" if below else name
            if "tree" in entry:
                yield FolderEntry(path, entry["oid"])
                if recursive:
                    yield from self.walk(entry["tree"], below=path)
            else:
                yield FileEntry(path, entry["size"], entry["oid"], entry["sha256"], entry["lfs"])

    def folder(self, key: str, path: str) -> str | None:
        """The key of a folder in a snapshot; None if it does not exist."""
        for name in path.split("/") if path else []:
            row = self._database.row("SELECT entries FROM data_store_trees WHERE key = ?", (key,))
            entry = json.loads(row["entries"]).get(name) if row else None
            if entry is None or "tree" not in entry:
                return None
            key = entry["tree"]
        return key

    def _write(self, node: _Folder) -> tuple[str, str]:
        entries: dict[str, JsonObject] = {}
        lines = []
        for name, child in sorted(node.items()):
            if isinstance(child, FileEntry):
                entries[name] = {
                    "size": child.size, "oid": child.oid, "sha256": child.sha256, "lfs": child.lfs,
                }  # fmt: skip
                lines.append(TreeLine(name, child.oid, is_folder=False))
            else:
                key, oid = self._write(child)
                entries[name] = {"tree": key, "oid": oid}
                lines.append(TreeLine(name, oid, is_folder=True))
        body = json.dumps(entries, sort_keys=True, separators=(",", ":"))
        key, oid = hashlib.sha256(body.encode()).hexdigest(), tree_oid(lines)
        self._database.execute("INSERT OR IGNORE INTO data_store_trees VALUES (?, ?, ?)", (key, oid, body))
        return key, oid
