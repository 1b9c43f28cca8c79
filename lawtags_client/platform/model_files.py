"""The files of a model that was fetched: an adapter, or all weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.errors import NotFoundError
from lawtags_client.weights import placed_tensors

_WEIGHTS = (".safetensors", ".bin", ".nemo", ".distcp", ".gguf", ".pt")
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that was fetched.

    Args:
        folder: where its files are.
        kind: ``"adapter"``, or ``"weights"`` of a whole model.
        source: the repository in the Data Store, or the fileset on Helix.
        commit: the revision in the Data Store; None on Helix, which has no revisions.
        files: path below the folder to SHA-256.
        size: of all files, in bytes.
    """

    folder: Path
    kind: Literal["adapter", "weights"]
    source: str
    commit: str | None
    files: dict[str, str]
    size: int


def check_weights(folder: Path, files: Mapping[str, object], name: str, *, hint: str) -> None:
    """See that a download has whole weights, and nothing of an earlier attempt beside it.

    Args:
        folder: where it is; removed if there are no weights.
        files: what was downloaded, by path below the folder.
        name: of the model, for messages.
        hint: what to do if there are no weights.

    Raises:
        NotFoundError: there are no weights.
        DataError: weights are damaged.
    """
    weights = sorted(path for path in files if path.endswith(_WEIGHTS))
    if not weights:
        shutil.rmtree(folder)
        found = ", ".join(sorted(files)[:5])
        raise NotFoundError(f"{name} has no weights on the platform; there is: {found}", hint=hint)
    for path in [each for each in folder.rglob("*") if each.is_file() or each.is_symlink()]:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for path in [folder / each for each in weights if each.endswith(".safetensors")]:
        placed_tensors(path)


def fetched_model(
    folder: Path, files: dict[str, str], source: str, commit: str | None = None
) -> FetchedModel:
    """A complete download, as it is now in its folder.

    Args:
        folder: where it is.
        files: path below the folder to SHA-256.
        source: where it came from.
        commit: the revision there, if there is one.
    """
    size = sum((folder / path).stat().st_size for path in files)
    return FetchedModel(folder, "adapter" if _ADAPTER in files else "weights", source, commit, files, size)
