"""What an upload leaves behind; jobs refer to it without loading what uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lawtags_client.errors import ConfigurationError
from lawtags_client.html_card import card
from lawtags_client.transport.paths import split_reference
from lawtags_client.types.common import reference
from lawtags_client.types.entity_store import Dataset

__all__ = ["UploadedDataset", "dataset_name"]


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

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        rows = ", ".join(f"{count} {part}" for part, count in self.rows.items())
        values = {
            "files": self.files_url,
            "rows": rows,
            "sent": f"{len(self.sent)} of {len(self.files)} files",
        }
        return card(self.name, values | {"digest": self.digest[:12]})


def dataset_name(dataset: str | Dataset | UploadedDataset) -> str:
    """What a job calls its dataset: ``namespace/name``, or a URL.

    Raises:
        ConfigurationError: it is something else, such as the path of a folder.
    """
    given: object = dataset
    if isinstance(given, UploadedDataset):
        return given.name
    if not isinstance(given, str | Dataset | Mapping):
        raise ConfigurationError(
            f"dataset must be the name of a dataset, not a {type(given).__name__}",
            hint="Upload a folder first, and pass what upload_dataset returns, or its name.",
        )
    name = reference(given)
    if "://" not in name:
        split_reference(name, "dataset")
    return name
