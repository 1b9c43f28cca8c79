"""The files of filesets: paths to stored blobs, replaced atomically."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.store import Blob, Blobs, Database

_LONGEST_PATH = 1024
_TABLE = """
CREATE TABLE helix_files (
    workspace TEXT NOT NULL, fileset TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY (workspace, fileset, path)
)
"""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a fileset.

    Args:
        workspace, fileset: where it is.
        path: its path within the fileset.
        sha256: its content.
        size: in bytes.
    """

    workspace: str
    fileset: str
    path: str
    sha256: str
    size: int

    def shown(self, cache_status: str | None = None) -> JsonObject:
        """The file in the API's format."""
        place = f"/apis/files/v2/workspaces/{self.workspace}/filesets/{self.fileset}/-/{self.path}"
        return {
            "file_ref": f"{self.workspace}/{self.fileset}#{self.path}",
            "file_url": place,
            "path": self.path,
            "size": self.size,
            "cache_status": cache_status,
        }


class FilesetFiles:
    """The files of all filesets.

    Args:
        database: the database.
        blobs: their content.
        folder: the folder that the API reports as the server's storage.
    """

    def __init__(self, database: Database, blobs: Blobs, folder: Path) -> None:
        database.migrate("helix_files", [_TABLE])
        self._database = database
        self._folder = folder
        self.blobs = blobs

    def storage_path(self, workspace: str, fileset: str) -> str:
        """The storage path of a fileset, as the API reports it."""
        return str(self._folder / "files" / "filesets" / workspace / fileset)

    def put(self, workspace: str, fileset: str, path: str, blob: Blob) -> StoredFile:
        """Add or replace a file.

        Raises:
            HelixError: the path is a folder, or a part of it is a file (507).
        """
        with self._database.transaction() as connection:
            paths = [each.path for each in self.within(workspace, fileset)]
            place = f"{self.storage_path(workspace, fileset)}/{path}"
            if any(each.startswith(f"{path}/") for each in paths):
                temporary = f"{place}.tmp.{secrets.token_hex(4)}"
                reason = f"[Errno 21] Is a directory: '{temporary}' -> '{place}'"
                raise HelixError(507, f"Storage error: {reason}")
            if any(path.startswith(f"{each}/") for each in paths):
                raise HelixError(507, f"Storage error: [Errno 20] Not a directory: '{place}'")
            connection.execute(
                "INSERT INTO helix_files VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace, fileset, path) "
                "DO UPDATE SET sha256 = excluded.sha256, size = excluded.size",
                (workspace, fileset, path, blob.sha256, blob.size),
            )
        return StoredFile(workspace, fileset, path, blob.sha256, blob.size)

    def get(self, workspace: str, fileset: str, path: str) -> StoredFile:
        """Return a file.

        Raises:
            HelixError: it does not exist (404), or is a folder (502).
        """
        clean = checked_path(path)
        row = self._database.row(
            "SELECT sha256, size FROM helix_files WHERE workspace = ? AND fileset = ? AND path = ?",
            (workspace, fileset, clean),
        )
        if row is not None:
            return StoredFile(workspace, fileset, clean, str(row["sha256"]), int(row["size"]))
        if next(self.within(workspace, fileset, clean), None) is not None:
            raise HelixError(502, "Failed to connect to upstream storage backend")
        raise HelixError(404, f"File '{path}' not found in fileset '{workspace}/{fileset}'")

    def within(self, workspace: str, fileset: str, folder: str = "") -> Iterator[StoredFile]:
        """The files of a fileset, or of one of its folders, by path."""
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        rows = self._database.rows(
            "SELECT path, sha256, size FROM helix_files WHERE workspace = ? AND fileset = ? ORDER BY path",
            (workspace, fileset),
        )
        for row in rows:
            if str(row["path"]).startswith(prefix):
                yield StoredFile(workspace, fileset, str(row["path"]), str(row["sha256"]), int(row["size"]))

    def delete(self, file: StoredFile) -> None:
        """Delete a file."""
        self._database.execute(
            "DELETE FROM helix_files WHERE workspace = ? AND fileset = ? AND path = ?",
            (file.workspace, file.fileset, file.path),
        )

    def delete_all(self, workspace: str, fileset: str) -> None:
        """Delete all files of a fileset."""
        self._database.execute(
            "DELETE FROM helix_files WHERE workspace = ? AND fileset = ?", (workspace, fileset)
        )


def checked_path(path: str) -> str:
    """Normalize the path of a file.

    Raises:
        HelixError: it leaves the fileset, or is no path of a file (400).
    """
    clean = posixpath.normpath(path)
    if clean.startswith(("/", "../")) or clean in ("..", "."):
        raise HelixError(
            400,
            f"Path '{path[:200]}' resolves outside of the storage root. This may indicate a path traversal "
            "attack. Ensure that paths such as ../.. are not used in the path.",
        )
    if len(clean) > _LONGEST_PATH or any(ord(each) < 32 or ord(each) == 127 for each in clean):
        raise HelixError(400, f"Path '{clean[:80]!a}' is too long or contains control characters")
    return clean
