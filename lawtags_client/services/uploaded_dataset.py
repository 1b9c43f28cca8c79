"""What an upload leaves behind; jobs refer to it without loading what uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lawtags_client.types.entity_store import Dataset

__all__ = ["UploadedDataset"]


@dataclass(frozen=True, slots=True)
class UploadedDataset:
    """A dataset on the platform.

    Args:
        name: ``namespace/name``, as jobs refer to it.
        files_url: where its files are.
        files: path in the repository to SHA-256.
        rows: number of rows per split.
        digest: of all files; part of an intent's key.
        commit: the repository's commit, if the server returns it.
        sent: the paths that were uploaded.
        entity: its entity in the Entity Store.
    """

    name: str
    files_url: str
    files: Mapping[str, str]
    rows: Mapping[str, int]
    digest: str
    commit: str | None
    sent: tuple[str, ...]
    entity: Dataset

    def __str__(self) -> str:
        return self.name
