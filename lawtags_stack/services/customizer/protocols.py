"""What the Customizer asks of Entity Store and Data Store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from lawtags_client.json_value import JsonObject
from lawtags_client.types.data_store import RepoType
from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.repositories import RepositoryRecord
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.entity_store.records import DatasetRecord, ModelRecord


class CustomizerEntityStore(Protocol):
    """Knows data sets and models by name."""

    def dataset_find(self, reference: str) -> DatasetRecord | None:
        """The data set that ``namespace/name`` names, if there is one."""
        ...

    def model_find(self, reference: str) -> ModelRecord | None:
        """The model that ``namespace/name[@version]`` names, if there is one."""
        ...

    def model_put(self, namespace: str, name: str, fields: JsonObject) -> JsonObject:
        """Add a model, or lay fields over the one of this name."""
        ...

    def artifact_status(self, reference: str, status: str) -> None:
        """Note what became of a model's files."""
        ...


class CustomizerDataStore(Protocol):
    """Holds the files of data sets and models."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files that a ``files_url`` means."""
        ...

    def download(
        self, repo_type: RepoType, namespace: str, repo: str, folder: Path, revision: str = "main"
    ) -> Path:
        """Copy a repository's files to a folder."""
        ...

    def repo_create(
        self,
        repo_type: RepoType,
        namespace: str,
        repo: str,
        *,
        private: bool = False,
        exist_ok: bool = False,
        make_namespace: bool = False,
    ) -> RepositoryRecord:
        """Add a repository."""
        ...

    def commit(
        self,
        repo_type: RepoType,
        namespace: str,
        repo: str,
        files: Mapping[str, bytes | Path],
        message: str,
        *,
        revision: str = "main",
        delete: Iterable[str] = (),
    ) -> str:
        """Add and replace files in one commit; its id."""
        ...
