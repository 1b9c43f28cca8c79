"""The Evaluator's routes, and the Evaluator as a service of the stack."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from lawtags_client.errors import BadRequestError, NotFoundError
from lawtags_client.local.entities import entity_routes
from lawtags_client.local.evaluator import platform_jobs
from lawtags_client.local.evaluator.state import Document, EvaluatorState
from lawtags_client.local.evaluator.work import Runner
from lawtags_client.local.service import Service, StackContext
from lawtags_client.local.wire import Call, route, sent_fields
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_client.types.evaluator import (
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationJobRequest,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
)
from lawtags_client.types.evaluator_v2 import EvaluatorV2JobRequest

_JOBS = "/v1/evaluation/jobs"
_RESULTS = "/v1/evaluation/results"
_PLATFORM_JOBS = "/v2/evaluation/jobs"


class Evaluations:
    """The handlers of jobs, results and live evaluation.

    Args:
        state: what there is.
        runner: what runs it.
    """

    def __init__(self, state: EvaluatorState, runner: Runner) -> None:
        self._state = state
        self._runner = runner

    def routes(self) -> list[BaseRoute]:
        """All routes of the Evaluator."""
        state, one, result = self._state, f"{_JOBS}/{{job}}", f"{_RESULTS}/{{result}}"
        return [
            *entity_routes(
                "/v1/evaluation/targets", state.targets, EvaluationTargetRequest, EvaluationTargetUpdate
            ),
            *entity_routes(
                "/v1/evaluation/configs", state.configs, EvaluationConfigRequest, EvaluationConfigUpdate
            ),
            route("GET", _JOBS, lambda call: state.jobs(call.list_query()).envelope()),
            route("POST", _JOBS, self.create, body=EvaluationJobRequest),
            route("GET", one, lambda call: state.shown(state.job(call.path["job"]))),
            route("DELETE", one, self.delete),
            route("GET", f"{one}/status", lambda call: state.job(call.path["job"])["status_details"]),
            route("GET", f"{one}/results", self.job_result),
            route("GET", f"{one}/download-results", self.download),
            route("GET", f"{one}/logs", self.logs),
            route("POST", f"{one}/cancel", self.cancel),
            route("GET", _RESULTS, lambda call: state.results(call.list_query()).envelope()),
            route("POST", _RESULTS, self.add_result, body=EvaluationResultRequest),
            route("GET", result, lambda call: state.result(call.path["result"])),
            route("PATCH", result, self.change_result, body=EvaluationResultUpdate),
            route("DELETE", result, lambda call: state.result_delete(call.path["result"])),
            route("POST", "/v1/evaluation/live", self.live, body=EvaluationJobRequest),
            *self._platform_routes(),
        ]

    def _platform_routes(self) -> list[BaseRoute]:
        state, one = self._state, f"{_PLATFORM_JOBS}/{{job}}"

        def found(call: Call) -> Any:
            return state.platform_job(call.path["job"])

        def list_jobs(call: Call) -> Any:
            return state.platform_job_list(call.list_query(platform_jobs.SORTS)).envelope()

        def logs(call: Call) -> Any:
            job = found(call)
            lines = self._runner.logs(job["id"])["lines"]
            return platform_jobs.log_page(job, lines, call.request.query_params)

        def results(call: Call) -> Any:
            return platform_jobs.listed_results(found(call), _url_of(call))

        def result(call: Call) -> Any:
            return platform_jobs.one_result(found(call), _url_of(call), call.path["result"])

        return [
            route("GET", _PLATFORM_JOBS, list_jobs),
            route("POST", _PLATFORM_JOBS, self.create_platform_job, body=EvaluatorV2JobRequest),
            route("GET", one, lambda call: platform_jobs.shown_job(found(call))),
            route("DELETE", one, self.delete_platform_job),
            route("POST", f"{one}/cancel", self.cancel_platform_job),
            route("GET", f"{one}/status", lambda call: platform_jobs.shown_status(found(call))),
            route("GET", f"{one}/logs", logs),
            route("GET", f"{one}/results", results),
            route("GET", f"{one}/results/{{result}}", result),
            route("GET", f"{one}/results/{{result}}/download", self.download_result),
        ]

    def create(self, call: Call) -> Any:
        """``POST /v1/evaluation/jobs``."""
        job = self._state.job_create(sent_fields(call.body))
        self._runner.submit(job["id"])
        return job

    def delete(self, call: Call) -> None:
        """``DELETE /v1/evaluation/jobs/{id}``: ends it first where it is at work."""
        self._delete(self._state.job(call.path["job"]))

    def _delete(self, job: Document) -> None:
        if job["status"] not in FINAL_JOB_STATES:
            self._runner.cancel(job["id"])
        self._state.job_delete(job["id"])
        self._runner.forget(job["id"])

    def job_result(self, call: Call) -> Any:
        """``GET /v1/evaluation/jobs/{id}/results``."""
        job = self._state.job(call.path["job"])
        if not job["result"]:
            raise NotFoundError(f"Evaluation job {job['id']} has no results; its status is {job['status']}")
        return self._state.result(job["result"])

    def download(self, call: Call) -> Response:
        """``GET /v1/evaluation/jobs/{id}/download-results``."""
        job_id = call.path["job"]
        headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
        return Response(self._runner.archive(job_id), media_type="application/zip", headers=headers)

    def logs(self, call: Call) -> Any:
        """``GET /v1/evaluation/jobs/{id}/logs``."""
        return self._runner.logs(self._state.job(call.path["job"])["id"])

    def cancel(self, call: Call) -> Any:
        """``POST /v1/evaluation/jobs/{id}/cancel``."""
        return self._state.shown(self._cancelled(self._state.job(call.path["job"])))

    def _cancelled(self, job: Document) -> Document:
        if job["status"] in FINAL_JOB_STATES:
            raise BadRequestError(f"Evaluation job {job['id']} is {job['status']} and cannot be cancelled")
        self._runner.cancel(job["id"])
        return self._state.stored(job["id"])

    def add_result(self, call: Call) -> Any:
        """``POST /v1/evaluation/results``."""
        return self._state.result_create(sent_fields(call.body))

    def change_result(self, call: Call) -> Any:
        """``PATCH /v1/evaluation/results/{id}``."""
        return self._state.result_change(call.path["result"], sent_fields(call.body))

    def live(self, call: Call) -> Any:
        """``POST /v1/evaluation/live``: the answer comes when it is done."""
        return self._runner.live(*self._state.described(sent_fields(call.body)))

    # The second version

    def create_platform_job(self, call: Call) -> Any:
        """``POST /v2/evaluation/jobs``."""
        job = self._state.platform_job_create(sent_fields(call.body))
        self._runner.submit(job["id"])
        return job

    def delete_platform_job(self, call: Call) -> Any:
        """``DELETE /v2/evaluation/jobs/{id}``."""
        job = self._state.platform_job(call.path["job"])
        self._delete(job)
        return {"message": "Resource deleted successfully.", "id": job["id"]}

    def cancel_platform_job(self, call: Call) -> Any:
        """``POST /v2/evaluation/jobs/{id}/cancel``."""
        return platform_jobs.shown_job(self._cancelled(self._state.platform_job(call.path["job"])))

    def download_result(self, call: Call) -> Response:
        """``GET /v2/evaluation/jobs/{id}/results/{name}/download``."""
        job, name = self._state.platform_job(call.path["job"]), call.path["result"]
        platform_jobs.check_result(job, name)
        if name == platform_jobs.SCORES:
            return Response(self._runner.scores(job["id"]), media_type="application/json")
        headers = {"Content-Disposition": f'attachment; filename="{job["id"]}.tar.gz"'}
        return Response(self._runner.tarball(job["id"]), media_type="application/gzip", headers=headers)


def _url_of(call: Call) -> str:
    return f"{call.base_url}{_PLATFORM_JOBS}/{call.path['job']}"


class Evaluator(Service):
    """The Evaluator; it answers on the platform's port.

    Args:
        state: what there is.
        runner: what runs it.
    """

    def __init__(self, state: EvaluatorState, runner: Runner) -> None:
        super().__init__("evaluator", "platform", Evaluations(state, runner).routes(), state)
        self._evaluations = state
        self._runner = runner

    async def start(self) -> None:
        """Go on with what was left unfinished."""
        await asyncio.to_thread(self._runner.start)

    async def stop(self) -> None:
        """End work resumably."""
        await asyncio.to_thread(self._runner.stop)

    def busy(self) -> bool:
        """Whether an evaluation is at work or waiting."""
        return self._runner.busy()

    def summary(self) -> dict[str, Any]:
        """Jobs that have not come to their end."""
        return {"unfinished": self._evaluations.unfinished()}


def create(context: StackContext) -> Service:
    """Make the Evaluator of a stack."""
    state = EvaluatorState(context.database, clock=context.clock)
    return Evaluator(state, Runner(context, state, context.folder("evaluator")))
