"""Fetches the files of a model from whichever platform it is on."""

from __future__ import annotations

from pathlib import Path

from lawtags_client.checkpoints.output import refuse_existing
from lawtags_client.client import NeMo
from lawtags_client.platform.choice import helix_of
from lawtags_client.platform.model_files import FetchedModel


async def fetch_model(nemo: NeMo, name: str, folder: Path) -> FetchedModel:
    """Fetch the files of a model from the platform that a client's settings lead to.

    The folder appears once it is complete. If the download is interrupted, the next call with the same folder
    keeps what has arrived.

    Args:
        nemo: an open client.
        name: ``namespace/name`` or ``namespace/name@version``; on Helix a model, an adapter, or
            ``workspace/base&adapters/workspace/adapter``.
        folder: where to; must not exist.

    Raises:
        NotFoundError: there is no such model, or it has no weights.
        ConfigurationError: its files are elsewhere, or the name fits two entities.
        DataError: the folder exists, or a file is damaged.
        BusyError: another process is fetching into this folder.
        ProtocolError: a file is not what the platform says it is.
    """
    refuse_existing(folder)
    async with helix_of(nemo) as helix:
        if helix is None:
            from lawtags_client.platform.v1_model_files import fetch_from_data_store

            return await fetch_from_data_store(nemo, name, folder)
        from lawtags_client.platform.helix_model_files import fetch_from_fileset

        return await fetch_from_fileset(helix, name, folder)
