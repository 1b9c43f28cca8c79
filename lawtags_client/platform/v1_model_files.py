"""Fetches the files of a tuned model from the Data Store of v1."""

from __future__ import annotations

from pathlib import Path

from lawtags_client.checkpoints.output import new_folder, refuse_existing
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.platform.model_files import FetchedModel, check_weights, fetched_model

_SCHEME = "hf://"
_NO_WEIGHTS = "Check with lawtags jobs show JOB that the training has completed and stored its model."


async def fetch_from_data_store(nemo: NeMo, name: str, folder: Path) -> FetchedModel:
    """Fetch the files of a model from the Data Store, each checked against its digest.

    Arguments and errors are those of ``fetch_model``.
    """
    refuse_existing(folder)
    repository = await _repository(nemo, name)
    with new_folder(folder, resume=True) as place:
        done = await nemo.data_store.download(repository, place.folder, repo_type="model")
        check_weights(place.folder, done.files, name, hint=_NO_WEIGHTS)
    return fetched_model(folder, done.files, repository, done.commit)


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
