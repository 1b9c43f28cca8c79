"""What the inference server needs from the other services."""

from __future__ import annotations

from typing import Protocol

from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.deployments.records import DeploymentRecord
from lawtags_stack.services.entity_store.records import ModelRecord


class ModelSource(Protocol):
    """The models in the Entity Store."""

    def model_list(self) -> list[ModelRecord]:
        """All models, oldest first."""
        ...


class ModelFiles(Protocol):
    """The files of models."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """Resolve a ``files_url`` to its files."""
        ...


class DeploymentSource(Protocol):
    """The deployments to serve."""

    def active(self) -> list[DeploymentRecord]:
        """The deployments to serve, oldest first."""
        ...
