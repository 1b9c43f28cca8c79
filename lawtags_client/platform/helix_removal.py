"""Removing what a run has made on NeMo Helix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import split_adapter, split_reference
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.helix.types.jobs import is_final
from lawtags_client.platform.helix_filesets import shortened, test_fileset
from lawtags_client.platform.protocol import PlatformItem, RemovedItem
from lawtags_client.platform.v1_removal import removed

_CANCEL_PATIENCE = 60.0
_PAUSE = 0.5


class HelixRemoval:
    """Removes jobs, models, adapters and filesets.

    Args:
        helix: an open client.
    """

    def __init__(self, helix: Helix) -> None:
        self._helix = helix

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Remove one item, with all that belongs to it."""
        if item.name is None:
            # Its name is derived from its intent, and the next call of the run would find it.
            reason = "its name never arrived; resume the run once, then undo it"
            return [RemovedItem(item.kind, "of unknown name", "failed", reason)]
        name = item.name
        if item.kind == "model":
            return await self._model(name)
        if item.kind == "dataset":
            return await self._dataset(name)
        output = await self._output(item, name)
        job = await removed(item.kind, name, lambda: self._job(item.kind, name))
        if output is None or job.outcome == "failed":
            return [job]
        # It is one of the two.
        made = [*await self._entity("adapter", output), *await self._entity("model", output)]
        return [job, *(each for each in made if each.outcome != "absent")]

    async def _output(self, item: PlatformItem, name: str) -> str | None:
        """What a training job makes, unless that is an item of its own."""
        found = await self._helix.jobs.find(name) if item.kind == "training job" else None
        if found is None:
            return None
        workspace = name.partition("/")[0]
        # A run knows its jobs by name, the store of intents by id.
        if {f"{workspace}/{found.name}", f"{workspace}/{found.id}"} & item.listed_outputs:
            return None
        return HelixTrainingJob.model_validate(found.model_dump()).output

    async def _job(self, kind: str, name: str) -> RemovedItem:
        jobs, clock = self._helix.jobs, self._helix.clock
        status, begin = (await jobs.status(name)).status, clock.monotonic()
        if not is_final(status):
            status = (await jobs.cancel(name)).status
        # What carries a job out has to confirm that it has stopped.
        while not is_final(status) and clock.monotonic() - begin < _CANCEL_PATIENCE:
            await clock.sleep(_PAUSE)
            status = (await jobs.status(name)).status
        if not is_final(status):
            return RemovedItem(kind, name, "failed", f"it is still {status}")
        await jobs.delete(name)
        return RemovedItem(kind, name, "removed")

    async def _model(self, name: str) -> list[RemovedItem]:
        base, adapter = split_adapter(name)
        if adapter is None:
            return await self._entity("model", base)
        return await self._entity("adapter", adapter)

    async def _entity(self, what: Literal["adapter", "model"], reference: str) -> list[RemovedItem]:
        collection = self._helix.models if what == "model" else self._helix.adapters
        found = await collection.find(reference)
        if found is None:
            return [RemovedItem(what, reference, "absent")]

        async def work() -> RemovedItem:
            await collection.delete(reference)
            return RemovedItem(what, reference, "removed")

        done = [await removed(what, reference, work)]
        if found.fileset is None or done[0].outcome == "failed":
            return done
        weights = found.fileset
        if "/" not in weights:
            weights = f"{reference.partition('/')[0]}/{weights}"
        return [*done, await self._fileset("weights", weights)]

    async def _dataset(self, name: str) -> list[RemovedItem]:
        workspace, dataset = split_reference(shortened(name), self._helix.workspace, "dataset")
        filesets = (dataset, test_fileset(dataset))
        return [await self._fileset("dataset", f"{workspace}/{each}") for each in filesets]

    async def _fileset(self, what: str, reference: str) -> RemovedItem:
        async def work() -> RemovedItem:
            await self._helix.filesets.delete(reference)
            return RemovedItem(f"fileset of the {what}", reference, "removed")

        return await removed(f"fileset of the {what}", reference, work)
