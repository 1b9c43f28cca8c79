"""Filesets, and what is done with their files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from lawtags_client.errors import NotFoundError
from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.file_download import DownloadedFiles, FileReader
from lawtags_client.helix.file_upload import FileWriter, UploadedFiles
from lawtags_client.helix.types.filesets import (
    SERVICE_MARK,
    Fileset,
    FilesetChanges,
    FilesetFile,
    FilesetListing,
    FilesetRequest,
)
from lawtags_client.services.data_store.contents import Source
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.paths import file_path

OnBytes = Callable[[int, int], None]


class HelixFilesets(HelixCollection[Fileset, FilesetRequest, FilesetChanges]):
    """Folders of files. Creating one is a POST that answers 200; one that a model uses cannot be deleted."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "files", "filesets", Fileset, FilesetRequest, FilesetChanges, what="fileset")

    async def files(self, reference: str, *, folder: str = "") -> list[FilesetFile]:
        """The files of a fileset, sorted by path.

        Args:
            reference: its name, or ``workspace/name``.
            folder: only the files below this folder; a prefix that is no folder finds nothing.

        Raises:
            NotFoundError: there is no such fileset.
        """
        query = [("path", f"{folder.strip('/')}/")] if folder.strip("/") else []
        call = Call("GET", f"{self._of(reference)}/files", query=query)
        found = await parse(FilesetListing, await self._place.http.json(call), self._place.http)
        return sorted(found.data, key=lambda file: file.path)

    async def upload(
        self,
        reference: str,
        sources: Path | Mapping[str, Source],
        *,
        prune: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> UploadedFiles:
        """Send files, except those that are there already.

        A file of the same size on the platform is read back and compared by SHA-256, since Helix keeps no
        checksums; an interrupted upload resumes with the files that are missing. Files are read and sent
        in pieces.

        Args:
            reference: the fileset, which exists.
            sources: a folder, or paths in the fileset and their contents.
            prune: whether other files of the fileset are deleted.
            on_bytes: called with the bytes done and the total.

        Raises:
            DataError: a file cannot be read, or changes while it is sent.
            NotFoundError: there is no such fileset.
            PermissionDeniedError: a service has uploaded its files, so that they are immutable.
            ProtocolError: a file has another size on the platform than here afterwards.
        """
        writer = FileWriter(self._place.http, self._of(reference), reference, on_bytes)
        there = {file.path: file for file in await self.files(reference)}
        sent = await writer.upload(sources, there)
        stale = sorted(set(there) - set(sent.files)) if prune else []
        for path in stale:
            await self.delete_file(reference, path, missing_ok=True)
        return UploadedFiles(sent.files, sent.sent, tuple(stale))

    async def download(
        self,
        reference: str,
        folder: Path,
        *,
        below: str = "",
        keep: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> DownloadedFiles:
        """Get the files of a fileset; a broken download resumes where it stopped.

        Args:
            reference: its name, or ``workspace/name``.
            folder: where the files go; created if it is missing.
            below: only files below this folder of the fileset.
            keep: whether the files of the folder are those of an earlier attempt, and are kept where their
                size and their last 64 KiB are those of the fileset's files; otherwise they are replaced.
            on_bytes: called with the bytes done and the total.

        Raises:
            NotFoundError: the fileset does not exist, or has no files there.
            ProtocolError: a path leads out of the folder, or a file does not have the size that was listed.
            DataError: a file cannot be written.
        """
        place = self._place
        reader = FileReader(place.http, place.clock, self._of(reference), reference, on_bytes, keep=keep)
        return await reader.download(await self.files(reference, folder=below), folder)

    async def read(self, reference: str, path: str, *, max_bytes: int = 64 << 20) -> bytes:
        """A small file, whole.

        Args:
            reference: the fileset.
            path: of the file.
            max_bytes: a larger file is an error.

        Raises:
            NotFoundError: it does not exist.
        """
        headers = {"accept": "*/*"}
        call = Call("GET", self._file(reference, path), headers=headers, max_bytes=max_bytes)
        return (await self._place.http.send(call)).body

    @asynccontextmanager
    async def stream(
        self, reference: str, path: str, *, start: int = 0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A file in pieces.

        Example:
            ``async with helix.filesets.stream("law-tags", "train.jsonl") as pieces: ...``

        Args:
            reference: the fileset.
            path: of the file.
            start: bytes to leave out.

        Raises:
            NotFoundError: it does not exist.
        """
        headers = {"accept": "*/*", **({"range": f"bytes={start}-"} if start else {})}
        call = Call("GET", self._file(reference, path), headers=headers)
        async with self._place.http.stream(call) as (_, pieces):
            yield pieces

    async def delete_file(self, reference: str, path: str, *, missing_ok: bool = False) -> bool:
        """Delete a file; returns whether it existed.

        Raises:
            NotFoundError: it does not exist.
        """
        try:
            await self._place.http.send(Call("DELETE", self._file(reference, path)))
        except NotFoundError:
            if not missing_ok:
                raise
            return False
        return True

    async def unlock(self, reference: str) -> Fileset:
        """Take off the mark of the service that uploaded the files, so that files can be added.

        Helix keeps the mark while other custom fields are set, so they are emptied, and then restored.

        Args:
            reference: its name, or ``workspace/name``.
        """
        found = await self.get(reference)
        if not found.is_locked:
            return found
        kept = {name: value for name, value in found.custom_fields.items() if name != SERVICE_MARK}
        emptied = await self.update(reference, custom_fields={})
        return await self.update(reference, custom_fields=kept) if kept else emptied

    def _file(self, reference: str, path: str) -> str:
        return f"{self._of(reference)}/-/{file_path(path)}"
