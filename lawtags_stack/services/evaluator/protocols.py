"""What the Evaluator needs from Entity Store and Data Store."""

from __future__ import annotations

from typing import Protocol

from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.entity_store.records import DatasetRecord, ModelRecord


class EvaluatorEntityStore(Protocol):
    """Datasets and models by name."""

    def dataset_get(self, reference: str) -> DatasetRecord:
        """Find a dataset by ``namespace/name``; raises ``NotFoundError`` if it does not exist."""
        ...

    def model_find(self, reference: str) -> ModelRecord | None:
        """Find a model by ``namespace/name[@version]``; None if it does not exist."""
        ...


class EvaluatorDataStore(Protocol):
    """The files of datasets."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """Resolve a ``files_url`` to its files."""
        ...
