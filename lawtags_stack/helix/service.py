"""The Helix dialect as a service of the stack."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from starlette.routing import BaseRoute

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.customization.compile import Compiler
from lawtags_stack.helix.customization.routes import HelixCustomization
from lawtags_stack.helix.discovery import discovery_routes, unmatched
from lawtags_stack.helix.evaluations.routes import EvaluationApi
from lawtags_stack.helix.file_routes import file_routes
from lawtags_stack.helix.files import FilesetFiles
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.inference.deployments import DeploymentTables
from lawtags_stack.helix.inference.discovery import Discovery
from lawtags_stack.helix.inference.gateway import HelixGateway
from lawtags_stack.helix.inference.providers import HelixProviders
from lawtags_stack.helix.inference.serving import Serving
from lawtags_stack.helix.inference.upstream import Upstream
from lawtags_stack.helix.inference.virtual_models import VirtualModels
from lawtags_stack.helix.jobs.logs import JobLogs
from lawtags_stack.helix.jobs.routes import HelixJobRoutes
from lawtags_stack.helix.jobs.states import FINAL
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.models import Models
from lawtags_stack.helix.secrets import Secrets
from lawtags_stack.helix.spec_analysis import SpecAnalysis
from lawtags_stack.helix.workspaces import Workspaces
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.service import Service, StackContext

_log = logging.getLogger(__name__)
_PURGE_SECONDS = 2.0


class HelixService(Service):
    """Serves the API of NeMo Helix.

    Args:
        context: the stack.
    """

    def __init__(self, context: StackContext) -> None:
        database, clock = context.database, context.clock
        self.workspaces = Workspaces(database, clock)
        files = FilesetFiles(database, context.blobs, context.dir)
        self.filesets = Filesets(database, clock, self.workspaces, files)
        self.secrets = Secrets(database, clock, self.workspaces)
        self.models = Models(database, clock, self.workspaces, self.filesets)
        self.jobs = JobStore(database, clock, self.filesets)
        self.logs = JobLogs(database)
        self.models.on_linked = SpecAnalysis(self.jobs).submit
        self.jobs.on_delete = self._forget_logs
        job_routes = HelixJobRoutes(self.jobs, self.logs, self.filesets)
        self.deployments = DeploymentTables(database, clock)
        self._virtual_models = VirtualModels(database, clock)
        self._providers = HelixProviders(database, clock, self.models, self._virtual_models)
        self._upstream = Upstream(context, self.secrets)
        self.serving = Serving(self.models, files, self.deployments, self._providers, context.urls.inference)
        self.discovery = Discovery(self._providers, self.deployments, self._upstream, self.serving)
        self._interval = context.options.refresh_interval
        gateway = HelixGateway(self._providers, self._virtual_models, self._upstream)
        compiler = Compiler(
            self.workspaces, self.filesets, self.models, self.secrets, self.jobs, self.deployments.config
        )
        self._customization = HelixCustomization(database, clock, compiler, self.jobs, job_routes)
        self._evaluations = EvaluationApi(context, self.jobs, job_routes, self.filesets, self.secrets)
        routes: list[ApiRoute] = [
            *discovery_routes(str(context.dir)),
            *self.workspaces.routes(),
            *self.filesets.routes(),
            *file_routes(self.filesets, context.options.largest_upload),
            *self.secrets.routes(),
            *self.models.routes(),
            *job_routes.routes(),
            *self._customization.routes(),
            *self._evaluations.routes(),
            *self.deployments.routes(),
            *self._providers.routes(),
            *self._virtual_models.routes(),
            *gateway.routes(),
        ]
        # With both dialects, other paths belong to the other one.
        rest = "/apis/{path:path}" if context.options.dialect == "both" else "/{path:path}"
        super().__init__("helix", "platform", [*cast(list[BaseRoute], routes), unmatched(routes, rest)])
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Create the built-in workspaces, and start the work in the background."""
        await asyncio.to_thread(self.workspaces.prepare)
        self._background = [
            asyncio.create_task(self._purge_periodically()),
            asyncio.create_task(self._discover_periodically()),
            asyncio.create_task(self._evaluations.worker.run()),
        ]

    async def stop(self) -> None:
        """Stop background work."""
        self._evaluations.worker.stop()
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        await self._upstream.stop()

    def busy(self) -> bool:
        """Whether a job of a user is unfinished."""
        return any(self._unfinished())

    def summary(self) -> JsonObject:
        """The number of workspaces and of unfinished jobs."""
        return {"workspaces": len(self.workspaces.names()), "jobs": len(self._unfinished())}

    def _unfinished(self) -> list[str]:
        jobs = self.jobs.within("-")
        return [
            str(job["id"])
            for job in jobs
            if job["source"] != SpecAnalysis.SOURCE and job["status"] not in FINAL
        ]

    def _forget_logs(self, job: JsonObject) -> None:
        self.logs.delete(str(job["workspace"]), str(job["fileset"]))

    async def _purge_periodically(self) -> None:
        while True:
            await asyncio.sleep(_PURGE_SECONDS)
            try:
                await asyncio.to_thread(self._purge)
            except Exception:  # retried in a moment
                _log.exception("the contents of a deleted workspace could not be removed")

    async def _discover_periodically(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.discovery.run()
            except Exception:  # one failed look must not end discovery
                _log.exception("providers could not be asked for their models")

    def _purge(self) -> None:
        """Remove the contents of deleted workspaces."""
        for workspace in self.workspaces.deleted():
            self.workspaces.deleting(workspace)
            for job in [*self.jobs.within(workspace)]:
                self.jobs.remove(job)
            self._providers.purge(workspace)
            self.deployments.purge(workspace)
            self._virtual_models.purge(workspace)
            self.models.purge(workspace)
            self.filesets.purge(workspace)
            self.secrets.purge(workspace)
            self._customization.purge(workspace)
            self._evaluations.purge(workspace)
            self.workspaces.purged(workspace)
