"""What the Customizer needs from Entity Store and Data Store."""

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
    """Datasets and models by name."""

    def dataset_find(self, reference: str) -> DatasetRecord | None:
        """Find a dataset by ``namespace/name``; None if it does not exist."""
        ...

    def model_find(self, reference: str) -> ModelRecord | None:
        """Find a model by ``namespace/name[@version]``; None if it does not exist."""
        ...

    def model_put(self, namespace: str, name: str, fields: JsonObject) -> JsonObject:
        """Create a model, or update fields of an existing one."""
        ...

    def artifact_status(self, reference: str, status: str, precision: str | None) -> None:
        """Set the status of a model's files, and their training precision."""
        ...


class CustomizerDataStore(Protocol):
    """The files of datasets and models."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """Resolve a ``files_url`` to its files."""
        ...

    def download(
        self, repo_type: RepoType, namespace: str, repo: str, folder: Path, revision: str = "main"
    ) -> Path:
        """Copy the files of a repository to a folder."""
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
        """Create a repository."""
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
        """Add and replace files in one commit, and return its id."""
        ...
