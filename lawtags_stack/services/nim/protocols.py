"""What the inference server asks of the other services."""

from __future__ import annotations

from typing import Protocol

from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.deployments.records import DeploymentRecord
from lawtags_stack.services.entity_store.records import ModelRecord


class Models(Protocol):
    """Knows the models of the Entity Store."""

    def model_list(self) -> list[ModelRecord]:
        """All models, oldest first."""
        ...


class ModelFiles(Protocol):
    """Holds the files of models."""

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files that a ``files_url`` means."""
        ...


class Deployed(Protocol):
    """Knows what is to be served."""

    def active(self) -> list[DeploymentRecord]:
        """The deployments to serve, oldest first."""
        ...
