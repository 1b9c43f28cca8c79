"""Removing what a run has made on the v1 microservices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lawtags_client.client import NeMo
from lawtags_client.errors import APIError, NotFoundError
from lawtags_client.intents import FIELD
from lawtags_client.platform.protocol import PlatformItem, RemovedItem
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_client.types.entity_store import ModelFilter

_CANCEL_PATIENCE = 60.0
_PAUSE = 0.5
_UNDELETABLE = "the API cannot delete training jobs"


class V1Removal:
    """Removes jobs, models and datasets.

    Args:
        nemo: an open client.
    """

    def __init__(self, nemo: NeMo) -> None:
        self._nemo = nemo

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Remove one item, with all that belongs to it."""
        if item.kind == "model":
            return await self._model(item.name or "")
        if item.kind == "dataset":
            return await self._dataset(item.name or "")
        name = item.name or await self._found(item)
        if name is None:
            return [RemovedItem(item.kind, "that was never created", "absent")]
        if item.kind == "evaluation job":
            return [await removed(item.kind, name, lambda: self._evaluation(name))]
        job = await removed(item.kind, name, lambda: self._training(name))
        if name in item.listed_outputs or job.outcome in ("absent", "failed"):
            return [job]
        output = (await self._nemo.customizer.jobs.get(name)).output_model
        return [job, *(await self._model(output) if output else ())]

    async def _found(self, item: PlatformItem) -> str | None:
        """The job that carries a token, if its id never arrived."""
        jobs = self._nemo.evaluator.jobs if item.kind == "evaluation job" else self._nemo.customizer.jobs
        async for job in jobs.list(sort="-created_at"):
            if job.custom_fields.get(FIELD) == item.token:
                return job.id
        return None

    async def _evaluation(self, name: str) -> RemovedItem:
        jobs = self._nemo.evaluator.jobs
        if (await jobs.get(name)).status not in FINAL_JOB_STATES:
            await jobs.cancel(name)
        await jobs.delete(name)
        return RemovedItem("evaluation job", name, "removed")

    async def _training(self, name: str) -> RemovedItem:
        status = (await self._nemo.customizer.jobs.get(name)).status
        if status not in FINAL_JOB_STATES:
            status = await self._cancelled(name)
        if status not in FINAL_JOB_STATES:
            return RemovedItem("training job", name, "failed", f"it is still {status}")
        return RemovedItem("training job", name, "kept", f"{status}; {_UNDELETABLE}")

    async def _cancelled(self, name: str) -> str | None:
        clock = self._nemo.clock
        begin = clock.monotonic()
        status = (await self._nemo.customizer.cancel(name)).status
        # Its model can be removed only once nothing writes it any more.
        while status not in FINAL_JOB_STATES and clock.monotonic() - begin < _CANCEL_PATIENCE:
            await clock.sleep(_PAUSE)
            status = (await self._nemo.customizer.jobs.get(name)).status
        return status

    async def _model(self, name: str) -> list[RemovedItem]:
        plain = name.partition("@")[0]

        async def repository() -> RemovedItem:
            await self._nemo.data_store.repositories.delete(Repository.of(plain, "model"))
            return RemovedItem("model repository", plain, "removed")

        entity = await removed("model", name, lambda: self._entity(name))
        if others := await self._versions(plain, name):
            reason = f"it also holds {', '.join(others[:3])}; the API cannot delete one revision"
            return [entity, RemovedItem("model repository", plain, "kept", reason)]
        return [entity, await removed("model repository", plain, repository)]

    async def _entity(self, name: str) -> RemovedItem:
        await self._nemo.entity_store.models.delete(name)
        return RemovedItem("model", name, "removed")

    async def _versions(self, plain: str, name: str) -> list[str]:
        """Other models whose weights are in the same repository."""
        namespace = plain.partition("/")[0]
        models = self._nemo.entity_store.models.list(filter=ModelFilter(namespace=namespace))
        names = [f"{model.namespace}/{model.name}" async for model in models]
        return [each for each in names if each != name and each.partition("@")[0] == plain]

    async def _dataset(self, name: str) -> list[RemovedItem]:
        async def entity() -> RemovedItem:
            await self._nemo.entity_store.datasets.delete(name)
            return RemovedItem("dataset", name, "removed")

        async def repository() -> RemovedItem:
            await self._nemo.data_store.repositories.delete(Repository.of(name))
            return RemovedItem("dataset repository", name, "removed")

        return [
            await removed("dataset", name, entity),
            await removed("dataset repository", name, repository),
        ]


async def removed(what: str, name: str, work: Callable[[], Awaitable[RemovedItem]]) -> RemovedItem:
    """What came of a removal: a thing that does not exist is gone, and a refusal must not hide the others.

    Args:
        what: the thing, in words.
        name: its id or reference.
        work: removes it.
    """
    try:
        return await work()
    except NotFoundError:
        return RemovedItem(what, name, "absent")
    except APIError as error:
        return RemovedItem(what, name, "failed", error.message)
