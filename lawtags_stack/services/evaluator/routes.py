"""The Evaluator's routes and service."""

from __future__ import annotations

import asyncio
import threading

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from lawtags_client.errors import NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import DeleteResponse, Page
from lawtags_client.types.evaluator import (
    EvaluationConfig,
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationJob,
    EvaluationJobRequest,
    EvaluationResult,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationStatusDetails,
    EvaluationTarget,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
    LiveEvaluation,
)
from lawtags_stack.entities import entity_routes
from lawtags_stack.http import RouteCall, route, sent_fields
from lawtags_stack.http.operations import list_parameters
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.evaluator.cancellation import cancel, remove
from lawtags_stack.services.evaluator.evaluation import EvaluationSources
from lawtags_stack.services.evaluator.model_client import Endpoints
from lawtags_stack.services.evaluator.platform_routes import platform_routes
from lawtags_stack.services.evaluator.protocols import EvaluatorDataStore, EvaluatorEntityStore
from lawtags_stack.services.evaluator.queue import EvaluationQueue
from lawtags_stack.services.evaluator.rows import RowSource
from lawtags_stack.services.evaluator.state import EvaluatorState

_JOBS = "/v1/evaluation/jobs"
_RESULTS = "/v1/evaluation/results"
# Each may use its own process; further requests are queued.
_LIVE_AT_A_TIME = 8
_LISTED = list_parameters(("created_at",))


class Evaluations:
    """The handlers of jobs, results and live evaluation.

    Args:
        state: the jobs and results.
        runner: runs the jobs.
    """

    def __init__(self, state: EvaluatorState, runner: EvaluationQueue) -> None:
        self._state = state
        self._runner = runner
        self._lives = CapacityLimiter(_LIVE_AT_A_TIME)

    def routes(self) -> list[BaseRoute]:
        """All routes of the Evaluator."""
        state, one, result = self._state, f"{_JOBS}/{{job}}", f"{_RESULTS}/{{result}}"

        def read(call: RouteCall) -> JsonObject:
            """Get a job."""
            return state.shown(state.job(call.path["job"]))

        def status(call: RouteCall) -> JsonObject:
            """Get the progress of a job; its state is in the job."""
            return state.job(call.path["job"]).status_details.as_json()

        targets = entity_routes(
            "/v1/evaluation/targets",
            state.targets,
            EvaluationTargetRequest,
            EvaluationTargetUpdate,
            EvaluationTarget,
        )
        configs = entity_routes(
            "/v1/evaluation/configs",
            state.configs,
            EvaluationConfigRequest,
            EvaluationConfigUpdate,
            EvaluationConfig,
            on_create=state.config_create,
            on_update=state.config_patch,
        )
        return [
            *targets,
            *configs,
            route("GET", _JOBS, self.list_jobs, answers=Page[EvaluationJob], query=_LISTED),
            route("POST", _JOBS, self.create, body=EvaluationJobRequest, answers=EvaluationJob),
            route("GET", one, read, answers=EvaluationJob),
            route("DELETE", one, self.delete),
            route("GET", f"{one}/status", status, answers=EvaluationStatusDetails),
            route("GET", f"{one}/results", self.job_result, answers=EvaluationResult),
            route("GET", f"{one}/download-results", self.download, answers=bytes, gives="application/zip"),
            route("GET", f"{one}/logs", self.logs, answers=dict),
            route("POST", f"{one}/cancel", self.cancel, answers=EvaluationJob),
            route("GET", _RESULTS, self.list_results, answers=Page[EvaluationResult], query=_LISTED),
            route("POST", _RESULTS, self.add_result, body=EvaluationResultRequest, answers=EvaluationResult),
            route("GET", result, self.read_result, answers=EvaluationResult),
            route("PATCH", result, self.change_result, body=EvaluationResultUpdate, answers=EvaluationResult),
            route("DELETE", result, self.delete_result, answers=DeleteResponse),
            route(
                "POST", "/v1/evaluation/live", self.live, body=EvaluationJobRequest, answers=LiveEvaluation
            ),
        ]

    def list_jobs(self, call: RouteCall) -> JsonObject:
        """``GET /v1/evaluation/jobs``: list jobs."""
        return self._state.jobs(call.list_query()).envelope()

    def create(self, call: RouteCall) -> JsonObject:
        """``POST /v1/evaluation/jobs``: submit a job."""
        job = self._state.job_create(sent_fields(call.sent(EvaluationJobRequest)))
        self._runner.submit(str(job["id"]))
        return job

    def delete(self, call: RouteCall) -> None:
        """``DELETE /v1/evaluation/jobs/{id}``: delete a job; cancels it first if it is running."""
        remove(self._state, self._runner, self._state.job(call.path["job"]))

    def job_result(self, call: RouteCall) -> JsonObject:
        """``GET /v1/evaluation/jobs/{id}/results``: get the result of a completed job."""
        job = self._state.job(call.path["job"])
        if not job.result:
            raise NotFoundError(f"Evaluation job {job.id} has no results; its status is {job.status}")
        return self._state.result(job.result)

    def download(self, call: RouteCall) -> Response:
        """``GET /v1/evaluation/jobs/{id}/download-results``: download all data of a job as one file."""
        job_id = call.path["job"]
        headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
        return Response(self._runner.archive(job_id), media_type="application/zip", headers=headers)

    def logs(self, call: RouteCall) -> JsonObject:
        """``GET /v1/evaluation/jobs/{id}/logs``: get the log of a job."""
        return self._runner.logs(self._state.job(call.path["job"]).id)

    def cancel(self, call: RouteCall) -> JsonObject:
        """``POST /v1/evaluation/jobs/{id}/cancel``: cancel a job."""
        return self._state.shown(cancel(self._state, self._runner, self._state.job(call.path["job"])))

    def add_result(self, call: RouteCall) -> JsonObject:
        """``POST /v1/evaluation/results``: create a result; normally the Evaluator does so itself."""
        return self._state.result_create(sent_fields(call.sent(EvaluationResultRequest)))

    def change_result(self, call: RouteCall) -> JsonObject:
        """``PATCH /v1/evaluation/results/{id}``: update a result."""
        return self._state.result_change(call.path["result"], sent_fields(call.sent(EvaluationResultUpdate)))

    def list_results(self, call: RouteCall) -> JsonObject:
        """``GET /v1/evaluation/results``: list results."""
        return self._state.results(call.list_query()).envelope()

    def read_result(self, call: RouteCall) -> JsonObject:
        """``GET /v1/evaluation/results/{id}``: get a result."""
        return self._state.result(call.path["result"])

    def delete_result(self, call: RouteCall) -> JsonObject:
        """``DELETE /v1/evaluation/results/{id}``: delete a result."""
        return self._state.result_delete(call.path["result"])

    async def live(self, call: RouteCall) -> JsonObject:
        """``POST /v1/evaluation/live``: evaluate synchronously; the response has the result."""
        sent = sent_fields(call.sent(EvaluationJobRequest))
        described = await run_in_threadpool(self._state.described, sent)
        gone = threading.Event()
        watching = asyncio.create_task(_watch(call.request, gone))
        try:
            # In dedicated threads, so that waiting for models does not exhaust those of other requests.
            return await run_sync(self._runner.live, described, gone, limiter=self._lives)
        finally:
            watching.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    """Set an event when the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


class EvaluatorService(Service):
    """The Evaluator, on the platform's port.

    Args:
        context: the stack.
        entities: the Entity Store.
        files: the Data Store.
    """

    def __init__(
        self, context: StackContext, entities: EvaluatorEntityStore, files: EvaluatorDataStore
    ) -> None:
        rows = RowSource(entities, files, context.blobs)
        endpoints = Endpoints(context, entities)
        self.state = EvaluatorState(context.database, endpoints.policy, clock=context.clock)
        self._runner = EvaluationQueue(
            self.state, EvaluationSources(rows, endpoints), context.folder("evaluator"), context.clock
        )
        routes = [
            *Evaluations(self.state, self._runner).routes(),
            *platform_routes(self.state, self._runner),
        ]
        super().__init__("evaluator", "platform", routes)

    async def start(self) -> None:
        """Resume unfinished jobs."""
        await asyncio.to_thread(self._runner.start)

    async def stop(self) -> None:
        """Stop all work; it is resumable."""
        await asyncio.to_thread(self._runner.stop)

    def busy(self) -> bool:
        """Whether an evaluation is running or waiting."""
        return self._runner.busy()

    def summary(self) -> JsonObject:
        """The unfinished jobs, and the number of jobs by state."""
        return {"unfinished": self.state.unfinished(), "jobs_by_state": self.state.counts()}
