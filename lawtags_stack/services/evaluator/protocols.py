"""What the Evaluator asks of Entity Store and Data Store."""

from __future__ import annotations

from typing import Protocol

from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.entity_store.records import DatasetRecord, ModelRecord


class EvaluatorEntityStore(Protocol):
    """Knows data sets and models by name."""

    def dataset_get(self, reference: str) -> DatasetRecord:
        """The data set that ``namespace/name`` names; raises ``NotFoundError`` where there is none."""
        ...

    def model_find(self, reference: str) -> ModelRecord | None:
        """The model that ``namespace/name[@version]`` names, if there is one."""
        ...


class EvaluatorDataStore(Protocol):
    """Holds the files of data sets."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files that a ``files_url`` means."""
        ...
