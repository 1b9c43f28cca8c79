"""The Data Store: namespaces, repositories, and data sets that go up and come down verified."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from lawtags_client.errors import DataError, LawtagsError, NotFoundError
from lawtags_client.services.base import Owner
from lawtags_client.services.data_store.contents import Source
from lawtags_client.services.data_store.download import Downloaded, download
from lawtags_client.services.data_store.layout import SPLITS, Layout, check, describe_left_out
from lawtags_client.services.data_store.links import Links
from lawtags_client.services.data_store.repositories import Namespaces, Repositories, Repository
from lawtags_client.services.data_store.rows import describe_repeats
from lawtags_client.services.data_store.upload import OnBytes, Uploaded, Uploader
from lawtags_client.services.entity_store import EntityStore
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.data_store import RepoType, TreeEntry
from lawtags_client.types.entity_store import DatasetRequest

logger = logging.getLogger(__name__)


class DataStoreOwner(Owner, Protocol):
    """The client, as far as the Data Store needs it."""

    @property
    def entity_store(self) -> EntityStore: ...
    @property
    def data_store(self) -> DataStore: ...
    def with_options(self, *, headers: Mapping[str, str] | None = None) -> Self: ...


class DataStore:
    """Files on the platform.

    Args:
        http: the transport of the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: DataStoreOwner) -> None:
        self._http = http
        self._owner = owner
        self._links = Links(http, owner.settings.lfs_rewrite)
        self.namespaces = Namespaces(http)
        self.repositories = Repositories(http)

    async def upload_dataset(
        self,
        name: str,
        folder: str | Path,
        *,
        description: str | None = None,
        project: str | None = None,
        required: tuple[str, ...] = ("training", "validation"),
        on_bytes: OnBytes | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> UploadedDataset:
        """Upload a folder of curated rows, ready to train on.

        Every row is checked first; both namespaces, the repository and the entry in the Entity Store are made
        where they are missing; what is there already is not sent again; the result is verified by hash. Files
        of an earlier upload that the folder no longer has are dropped, since they would be trained on.

        Example:
            ``await nemo.data_store.upload_dataset("law/tags", "curated/")``

        Args:
            name: ``namespace/name``.
            folder: contains ``training/*.jsonl``, ``validation/*.jsonl`` and optionally ``testing/``.
            description: free text, shown on the platform.
            project: a label on the platform.
            required: the splits that must have rows.
            on_bytes: called with the bytes done and the total.
            extra_headers: sent with every request of this upload to the Data Store and the Entity Store.

        Raises:
            DataError: the folder or a row is invalid; names file, line and field.
            ConflictError: another dataset has that name.
        """
        repository = Repository.of(name)
        owner = self._owner.with_options(headers=extra_headers) if extra_headers else self._owner
        layout = await asyncio.to_thread(check, Path(folder), required)
        if left_out := describe_left_out(layout.left_out):
            logger.warning("%s", left_out)
        for told in describe_repeats(layout.repeats):
            logger.warning("%s", told)
        uploaded = await owner.data_store._send(repository, layout, on_bytes)
        request = DatasetRequest(
            name=repository.name, namespace=repository.namespace, files_url=repository.url
        )
        if description is not None:
            request.description = description
        if project is not None:
            request.project = project
        entity = await owner.entity_store.datasets.create_or_get(request, compare=("files_url",))
        return UploadedDataset(
            name=name,
            files_url=repository.url,
            files=uploaded.files,
            rows=layout.rows,
            digest=_digest_of(uploaded.files),
            commit=uploaded.commit,
            sent=uploaded.sent,
            entity=entity,
        )

    async def _send(self, repository: Repository, layout: Layout, on_bytes: OnBytes | None) -> Uploaded:
        await self._owner.entity_store.ensure_namespace(repository.namespace)
        await self.prepare(repository)
        return await self._uploader(repository, on_bytes).upload(
            layout.files, message=f"Upload {sum(layout.rows.values())} rows", prune=SPLITS
        )

    async def prepare(self, repository: Repository) -> None:
        """Create namespace and repository if they are missing, and wait until they are ready."""
        await self.namespaces.create_or_get(repository.namespace)
        await self.repositories.create_or_get(repository)
        await self.repositories.ready(repository)

    async def upload_folder(
        self,
        name: str,
        folder: str | Path,
        *,
        repo_type: RepoType = "dataset",
        message: str = "Upload folder",
        on_bytes: OnBytes | None = None,
    ) -> Uploaded:
        """Upload a folder unchanged to an existing repository, except hidden files and symbolic links.

        Raises:
            DataError: the folder has no file.
            NotFoundError: the repository does not exist.
        """
        root = Path(folder)
        sources: dict[str, Source] = dict(await asyncio.to_thread(_files_below, root))
        return await self._uploader(Repository.of(name, repo_type), on_bytes).upload(sources, message=message)

    async def upload_files(
        self,
        name: str,
        files: Mapping[str, Source],
        *,
        repo_type: RepoType = "dataset",
        message: str = "Upload files",
        on_bytes: OnBytes | None = None,
    ) -> Uploaded:
        """Upload files, as bytes or paths, to an existing repository.

        Args:
            name: ``namespace/name`` of the repository.
            files: path in the repository to content.
            repo_type: ``"dataset"`` or ``"model"``.
            message: of the commit.
            on_bytes: called with the bytes done and the total.

        Raises:
            NotFoundError: the repository does not exist.
        """
        return await self._uploader(Repository.of(name, repo_type), on_bytes).upload(files, message=message)

    async def upload_file(
        self, name: str, path: str, source: Source, *, repo_type: RepoType = "dataset"
    ) -> Uploaded:
        """Upload one file to an existing repository; see ``upload_files``."""
        return await self.upload_files(name, {path: source}, repo_type=repo_type, message=f"Upload {path}")

    async def delete_files(
        self,
        name: str,
        paths: Iterable[str],
        *,
        repo_type: RepoType = "dataset",
        message: str = "Delete files",
    ) -> None:
        """Delete files of a repository, in one commit.

        Args:
            name: ``namespace/name`` of the repository.
            paths: in the repository.
            repo_type: ``"dataset"`` or ``"model"``.
            message: of the commit.
        """
        await self._uploader(Repository.of(name, repo_type), None).delete(paths, message=message)

    async def files(
        self, name: str, *, repo_type: RepoType = "dataset", revision: str = "main"
    ) -> list[TreeEntry]:
        """The files of a repository.

        Raises:
            NotFoundError: the repository or the revision does not exist.
        """
        return await self.repositories.tree(Repository.of(name, repo_type), revision)

    async def download(
        self,
        name: str,
        folder: str | Path,
        *,
        repo_type: RepoType = "dataset",
        revision: str | None = None,
        prefix: str = "",
    ) -> Downloaded:
        """Download the files of a repository, verified by hash.

        Args:
            name: ``namespace/name``, or ``namespace/name@revision`` as for output models.
            folder: destination; created if missing.
            repo_type: ``"dataset"`` or ``"model"``.
            revision: branch or commit. Without one it is ``main``, or where that is empty, as for a tuned
                model, the only other branch.
            prefix: only files whose path begins with it.

        Raises:
            NotFoundError: the repository, the revision or the file does not exist.
            ProtocolError: a file does not match its hash, or its path leaves the folder.
        """
        name, _, named = name.partition("@")
        repository = Repository.of(name, repo_type)
        try:
            revision = revision or named or await self.repositories.default_revision(repository)
        except NotFoundError as error:
            error.hint = await self._hint_of_kind(repository) or error.hint
            raise
        return await download(self._http, repository, Path(folder), revision=revision, prefix=prefix)

    async def _hint_of_kind(self, repository: Repository) -> str | None:
        """What to say where a repository of this name is of the other type."""
        other: RepoType = "model" if repository.type == "dataset" else "dataset"
        try:
            await self.repositories.info(replace(repository, type=other))
        except LawtagsError:
            return None
        return f"There is a {other} repository of this name: pass repo_type={other!r}."

    def _uploader(self, repository: Repository, on_bytes: OnBytes | None) -> Uploader:
        return Uploader(self._http, self._links, repository, on_bytes=on_bytes)


def _digest_of(files: Mapping[str, str]) -> str:
    """One digest of files by path and SHA-256."""
    text = json.dumps(sorted(files.items()), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _files_below(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        if path.is_symlink():
            logger.warning("%s is a symbolic link and is not uploaded", path)
            continue
        found[relative.as_posix()] = path
    if not found:
        raise DataError("there is no file to upload", path=root)
    return found
