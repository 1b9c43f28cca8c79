"""The inference server as a service of the stack."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonObject
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.nim.embeddings import Embeddings
from lawtags_stack.services.nim.protocols import DeploymentSource, ModelFiles, ModelSource
from lawtags_stack.services.nim.queue import ModelProcesses
from lawtags_stack.services.nim.routes import InferenceService
from lawtags_stack.services.nim.state import NimState
from lawtags_stack.services.nim.trials import Trial
from lawtags_stack.services.nim.worker_process import WorkerOptions

_log = logging.getLogger(__name__)
_NOTICE_SECONDS = 0.05


class NimService(Service):
    """Discovers models periodically, and serves them.

    Args:
        context: the stack.
        models: the models.
        files: their files.
        deployed: the deployments of full models.
    """

    def __init__(
        self, context: StackContext, models: ModelSource, files: ModelFiles, deployed: DeploymentSource
    ) -> None:
        asked = context.options
        options = WorkerOptions(
            threads=asked.inference_threads,
            device=asked.device,
            precision=asked.inference_precision,
            launcher=context.launcher,
        )
        self.state = NimState(context, models, files, deployed)
        self._processes = ModelProcesses(context.dir / "nim", options)
        self._embeddings = Embeddings(context)
        self._interval = asked.refresh_interval
        routes = InferenceService(self.state, self._processes, self._embeddings, context.clock).routes()
        super().__init__("nim", "inference", routes)
        self._refreshing: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Discover the current models, and start periodic discovery."""
        await asyncio.to_thread(self.state.discover)
        self._start_loading()
        self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await self._pause()
            try:
                await asyncio.to_thread(self.state.discover)
                wanted = {served.process for served in self.state.models()}
                wanted |= {trial.served.process for trial in self.state.untried()}
                await self._processes.retire(wanted)
                self._start_loading()
            except Exception:  # one failed scan must not end discovery
                _log.exception("model discovery failed")

    def _start_loading(self) -> None:
        """Load deployed models, unless that is already in progress."""
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._load(self.state.untried()))

    async def _load(self, trials: Sequence[Trial]) -> None:
        # One at a time, since each takes memory and all cores.
        for trial in trials:
            if not await asyncio.to_thread(self.state.trials.begin, trial.key):
                continue
            fault = None
            try:
                await self._processes.of(trial.served).load(trial.served)
            except asyncio.CancelledError:
                self.state.trials.interrupted(trial.key)
                raise
            except Exception as error:
                message = (
                    error.message if isinstance(error, LawtagsError) else f"{type(error).__name__}: {error}"
                )
                fault = message.replace(trial.served.process, trial.served.id)
            await asyncio.to_thread(self.state.trials.end, trial.key, fault)
            self.state.changed.set()

    async def _pause(self) -> None:
        """Wait for the refresh interval, or until deployments have changed."""
        waited = 0.0
        while waited < self._interval and not self.state.changed.is_set():
            step = min(_NOTICE_SECONDS, self._interval - waited)
            await asyncio.sleep(step)
            waited += step
        self.state.changed.clear()

    async def stop(self) -> None:
        """Stop the worker processes; running requests fail."""
        for task in (self._refreshing, self._trying):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        await self._embeddings.stop()
        await self._processes.stop()

    def summary(self) -> JsonObject:
        """The served models, and the worker processes with their device and their answers in progress."""
        served = [each.id for each in self.state.models()]
        workers = {p.name: p.process.pid for p in self._processes if p.process and p.process.pid}
        computing = {p.name: p.computing for p in self._processes if p.name in workers}
        rows = {p.name: p.rows for p in self._processes}
        return {
            "models": len(served), "served": served, "workers": workers, "computing": computing, "rows": rows
        }  # fmt: skip
