"""The files of a fileset as they were downloaded, and their index on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonObject
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.store import Blob, Blobs


@dataclass(frozen=True, slots=True)
class MirroredFiles:
    """The files of a fileset.

    Args:
        version: of the entity that points to the fileset.
        blobs: by path.
    """

    version: str
    blobs: Mapping[str, Blob]

    @classmethod
    def store(cls, folder: Path, sizes: Mapping[str, int], version: str, blobs: Blobs) -> Self:
        """Store downloaded files.

        Args:
            folder: where they are.
            sizes: the size in bytes of each, as the platform lists it.
            version: of the entity that points to them.
            blobs: where they go.

        Raises:
            DataError: a file is missing, or has another size.
        """
        stored: dict[str, Blob] = {}
        for path, size in sizes.items():
            try:
                found = blobs.put(folder / path, size=size)
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", path=folder / path) from error
            stored[path] = Blob(found.sha256, found.size)
        return cls(version, stored)

    def matches(self, version: str, sizes: Mapping[str, int], blobs: Blobs) -> bool:
        """Whether these are the files that the platform lists, and all are intact."""
        return (
            version == self.version
            and sizes == {path: blob.size for path, blob in self.blobs.items()}
            and self.are_here(blobs)
        )

    def are_here(self, blobs: Blobs) -> bool:
        """Whether all files are intact."""
        return all(blobs.has(blob.sha256, blob.size) for blob in self.blobs.values())

    def entries(self) -> list[FileEntry]:
        """The files, as a repository lists them."""
        return [
            FileEntry(path, blob.size, blob.sha256, blob.sha256, lfs=True)
            for path, blob in self.blobs.items()
        ]

    def as_dict(self) -> JsonObject:
        """Convert to a JSON object."""
        files: JsonObject = {path: [blob.sha256, blob.size] for path, blob in self.blobs.items()}
        return {"version": self.version, "files": files}


def read_index(path: Path, blobs: Blobs) -> dict[str, MirroredFiles]:
    """The filesets of an index; empty if there is none, or it cannot be read.

    Args:
        path: the index.
        blobs: the files; a fileset that lacks one is left out.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        read = {
            place: MirroredFiles(
                str(each["version"]),
                {name: Blob(str(sha256), int(size)) for name, (sha256, size) in each["files"].items()},
            )
            for place, each in found.items()
        }
        # What is missing here is downloaded again.
        return {place: files for place, files in read.items() if files.are_here(blobs)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError, RecursionError):
        return {}
