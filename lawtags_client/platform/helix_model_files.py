"""Fetches the files of a model or an adapter from its fileset on NeMo Helix."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from pathlib import Path

from lawtags_client.checkpoints.output import new_folder, refuse_existing
from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import adapter_reference, split_adapter
from lawtags_client.helix.types.models import HelixAdapter, HelixModel
from lawtags_client.platform.model_files import FetchedModel, check_weights, fetched_model

_LIST = "lawtags models ls lists models and adapters."


async def fetch_from_fileset(helix: Helix, name: str, folder: Path) -> FetchedModel:
    """Fetch the files that the entity of a model or an adapter names.

    Helix keeps no checksums: each file has the size that was listed, and weights are checked to be whole.
    Arguments and errors are those of ``fetch_model``.
    """
    refuse_existing(folder)
    fileset = await _fileset(helix, name)
    with new_folder(folder, resume=True) as place:
        done = await helix.filesets.download(fileset, place.folder, keep=True)
        hint = f"Check with lawtags jobs ls that the training has completed. {_LIST}"
        check_weights(place.folder, done.files, name, hint=hint)
        digests = await asyncio.to_thread(_digests, place.folder, done.files)
    return fetched_model(folder, digests, fileset)


async def _fileset(helix: Helix, name: str) -> str:
    entity = await _entity(helix, name)
    if not entity.fileset:
        raise NotFoundError(
            f"{name} has no files: its entity names no fileset",
            hint="A model that is only served has none. Fetch it from where its server has it.",
            service="platform",
        )
    return _qualified(entity.fileset, entity.workspace)


async def _entity(helix: Helix, name: str) -> HelixModel | HelixAdapter:
    base, adapter = split_adapter(name)
    if adapter is not None:
        found = await helix.adapters.get(adapter)
        under = found.model and _qualified(found.model, found.workspace)
        if under not in (None, base):
            raise NotFoundError(
                f"the adapter {adapter} belongs to {under}, not to {base}", hint=_LIST, service="platform"
            )
        return found
    model, tuned = await helix.models.find(name), await helix.adapters.find(name)
    if model is not None and tuned is not None:
        composite = adapter_reference(_qualified(tuned.model or "base", tuned.workspace), tuned.reference)
        raise ConfigurationError(
            f"{name} is the name of a model and of an adapter",
            hint=f"For the adapter, write {composite!r}. For the model, fetch its fileset from Python: "
            f"await helix.filesets.download({model.fileset!r}, folder).",
        )
    one = model or tuned
    if one is None:
        raise NotFoundError(f"there is no model or adapter {name}", hint=_LIST, service="platform")
    return one


def _qualified(name: str, workspace: str | None) -> str:
    """A name as an entity has it, with the workspace that a bare one is in."""
    return name if "/" in name or workspace is None else f"{workspace}/{name}"


def _digests(folder: Path, files: Iterable[str]) -> dict[str, str]:
    found = {}
    for path in files:
        with (folder / path).open("rb") as stream:
            found[path] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
