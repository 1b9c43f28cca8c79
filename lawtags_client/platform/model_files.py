"""Fetches the files of a tuned model: an adapter, or all weights."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.checkpoints.output import new_folder, refuse_existing
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.services.data_store.download import Downloaded
from lawtags_client.weights import placed_tensors

_SCHEME = "hf://"
_WEIGHTS = (".safetensors", ".bin", ".nemo", ".distcp", ".gguf", ".pt")
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that was fetched.

    Args:
        folder: where its files are.
        kind: ``"adapter"``, or ``"weights"`` of a whole model.
        commit: the revision in the Data Store.
        files: path below the folder to SHA-256.
        size: of all files, in bytes.
    """

    folder: Path
    kind: Literal["adapter", "weights"]
    commit: str | None
    files: dict[str, str]
    size: int


async def fetch_model(nemo: NeMo, name: str, folder: Path) -> FetchedModel:
    """Fetch the files of a model from the Data Store, each checked against its digest.

    The folder appears once it is complete. If the download is interrupted, the next call with the same folder
    keeps the files that were complete.

    Args:
        nemo: the client.
        name: ``namespace/name``, or ``namespace/name@version``.
        folder: where to; must not exist.

    Raises:
        NotFoundError: there is no such model, or it has no weights.
        ConfigurationError: its files are not in the Data Store.
        DataError: the folder exists, or a file is damaged.
        BusyError: another process is fetching into this folder.
        ProtocolError: a file does not match its digest.
    """
    refuse_existing(folder)
    repository = await _repository(nemo, name)
    with new_folder(folder, resume=True) as place:
        done = await nemo.data_store.download(repository, place.folder, repo_type="model")
        weights = sorted(path for path in done.files if path.endswith(_WEIGHTS))
        if not weights:
            shutil.rmtree(place.folder)
            found = ", ".join(sorted(done.files)[:5])
            raise NotFoundError(
                f"{name} has no weights in the Data Store; there is: {found}",
                hint="Check with lawtags jobs show JOB that the training has completed and stored its model.",
                service="data_store",
            )
        _remove_others(place.folder, done)
        for path in weights:
            if path.endswith(".safetensors"):
                placed_tensors(place.folder / path)
    size = sum((folder / path).stat().st_size for path in done.files)
    kind: Literal["adapter", "weights"] = "adapter" if _ADAPTER in done.files else "weights"
    return FetchedModel(folder, kind, done.commit, done.files, size)


async def _repository(nemo: NeMo, name: str) -> str:
    """The repository of a model, as its entity names it; a model without an entity may have one, too."""
    try:
        artifact = (await nemo.entity_store.models.get(name)).artifact
    except NotFoundError:
        return name
    if artifact is None or not artifact.files_url:
        raise NotFoundError(
            f"{name} has no files: its entity names none",
            hint="A base model is in the platform's cache. Only tuned models can be fetched.",
            service="entity_store",
        )
    if artifact.status in ("created", "upload_failed"):
        what = "its upload failed" if artifact.status == "upload_failed" else "they are not uploaded yet"
        raise NotFoundError(
            f"{name} has no files: {what}", hint="lawtags jobs ls shows the jobs.", service="entity_store"
        )
    scheme, _, place = artifact.files_url.partition("://")
    if f"{scheme}://" != _SCHEME or place.count("/") != 1:
        raise ConfigurationError(
            f"the files of {name} are at {artifact.files_url}, not in the Data Store",
            hint="Fetch them with the tools of that place.",
        )
    return place


def _remove_others(folder: Path, done: Downloaded) -> None:
    """Remove what an interrupted download of another version left."""
    for path in [each for each in folder.rglob("*") if each.is_file() or each.is_symlink()]:
        if path.relative_to(folder).as_posix() not in done.files:
            path.unlink()
