"""Routes of version 2 of the Evaluator's API."""

from __future__ import annotations

from starlette.responses import Response

from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import DeleteResponse, Page
from lawtags_client.types.platform_evaluation import (
    PlatformEvaluationJob,
    PlatformEvaluationJobRequest,
    PlatformJobListResultResponse,
    PlatformJobLogPage,
    PlatformJobResult,
    PlatformJobStatusResponse,
)
from lawtags_stack.http import RouteCall, route, sent_fields
from lawtags_stack.http.operations import Parameter, list_parameters
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.services.evaluator import platform_jobs
from lawtags_stack.services.evaluator.cancellation import cancel, remove
from lawtags_stack.services.evaluator.queue import EvaluationQueue
from lawtags_stack.services.evaluator.records import EvaluationRecord
from lawtags_stack.services.evaluator.state import EvaluatorState

_JOBS = "/v2/evaluation/jobs"
_LOG_QUERY = (
    Parameter("limit", "integer", "Lines per page.", least=1),
    Parameter("page_cursor", about="Cursor from the previous page."),
)


def platform_routes(state: EvaluatorState, runner: EvaluationQueue) -> list[ApiRoute]:
    """Routes for evaluations as platform jobs."""

    def found(call: RouteCall) -> EvaluationRecord:
        return state.platform_job(call.path["job"])

    def list_jobs(call: RouteCall) -> JsonObject:
        """List platform jobs."""
        return state.platform_job_list(call.list_query(platform_jobs.SORTS)).envelope()

    def create(call: RouteCall) -> JsonObject:
        """Submit a platform job."""
        job = state.platform_job_create(sent_fields(call.sent(PlatformEvaluationJobRequest)))
        runner.submit(str(job["id"]))
        return job

    def read(call: RouteCall) -> JsonObject:
        """Get a platform job."""
        return platform_jobs.shown_job(found(call))

    def delete(call: RouteCall) -> JsonObject:
        """Delete a platform job; cancels it first if it is running."""
        job = found(call)
        remove(state, runner, job)
        return {"message": "Resource deleted successfully.", "id": job.id}

    def cancel_job(call: RouteCall) -> JsonObject:
        """Cancel a platform job."""
        return platform_jobs.shown_job(cancel(state, runner, found(call)))

    def status(call: RouteCall) -> JsonObject:
        """Get the status of a platform job and its steps."""
        return platform_jobs.shown_status(found(call))

    def logs(call: RouteCall) -> JsonObject:
        """Get a page of a platform job's log."""
        job = found(call)
        lines = runner.log_lines(job.id)
        return platform_jobs.log_page(job, lines, call.request.query_params)

    one, listed = f"{_JOBS}/{{job}}", list_parameters(platform_jobs.SORTS)
    return [
        route("GET", _JOBS, list_jobs, answers=Page[PlatformEvaluationJob], query=listed),
        route("POST", _JOBS, create, body=PlatformEvaluationJobRequest, answers=PlatformEvaluationJob),
        route("GET", one, read, answers=PlatformEvaluationJob),
        route("DELETE", one, delete, answers=DeleteResponse),
        route("POST", f"{one}/cancel", cancel_job, answers=PlatformEvaluationJob),
        route("GET", f"{one}/status", status, answers=PlatformJobStatusResponse),
        route("GET", f"{one}/logs", logs, answers=PlatformJobLogPage, query=_LOG_QUERY),
        *_result_routes(state, runner),
    ]


def _result_routes(state: EvaluatorState, runner: EvaluationQueue) -> list[ApiRoute]:
    def results(call: RouteCall) -> JsonObject:
        """List the results of a platform job."""
        return platform_jobs.listed_results(state.platform_job(call.path["job"]), _url_of(call))

    def result(call: RouteCall) -> JsonObject:
        """Get one result of a platform job."""
        job = state.platform_job(call.path["job"])
        return platform_jobs.one_result(job, _url_of(call), call.path["result"])

    def download(call: RouteCall) -> Response:
        """Download one result of a platform job: JSON for the scores, otherwise an archive."""
        job, name = state.platform_job(call.path["job"]), call.path["result"]
        platform_jobs.check_result(job, name)
        if name == platform_jobs.SCORES:
            return Response(runner.scores(job.id), media_type="application/json")
        headers = {"Content-Disposition": f'attachment; filename="{job.id}.tar.gz"'}
        return Response(runner.tarball(job.id), media_type="application/gzip", headers=headers)

    one = f"{_JOBS}/{{job}}/results"
    return [
        route("GET", one, results, answers=PlatformJobListResultResponse),
        route("GET", f"{one}/{{result}}", result, answers=PlatformJobResult),
        route("GET", f"{one}/{{result}}/download", download, answers=bytes, gives="*/*"),
    ]


def _url_of(call: RouteCall) -> str:
    return f"{call.base_url}{_JOBS}/{call.path['job']}"
