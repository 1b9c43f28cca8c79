"""Routes of the evaluation service."""

from __future__ import annotations

import uuid

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.evaluations.jobs import SOURCE, STEP, HelixEvaluationWorker
from lawtags_stack.helix.evaluations.metric_bundles import TRANSFORM, checked_bundle, digest, read_metric
from lawtags_stack.helix.evaluations.scores import AnsweredItem, aggregates_of, score
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.jobs.routes import HelixJobRoutes
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.jobs.views import service_job
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.schemas import read_body
from lawtags_stack.helix.secrets import Secrets
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.service import StackContext

_ROOT = f"/apis/evals{WORKSPACE}"
_SORTS = ("name", "-name", "created_at", "-created_at", "updated_at", "-updated_at")
_METRICS = ListKind(
    fields=("metric_type", "description", "derived"), sorts=_SORTS, sort="created_at", most=1000,
    echo=("sort",), opaque=("labels", "value_json_schema", "secrets"),
)  # fmt: skip
_RESULTS = ListKind(
    fields=("job_id", "target_kind", "target_name", "dataset_ref"), sorts=_SORTS, most=1000, echo=("sort",)
)
_TELEMETRY: JsonObject = {"_nemo_telemetry": {"plugins": ["evals"]}}
_MOST_LIVE = 24
_BROKEN = "An unexpected error occurred."
_RESULT_FIELDS = (
    "id", "name", "workspace", "job_id", "target_kind", "target_name", "target_url", "scores", "bundle_ref",
    "created_at", "updated_at", "dataset_ref", "metric_types", "row_count", "error_row_count",
)  # fmt: skip


class EvaluationApi:
    """The evaluation service.

    Args:
        context: the stack.
        jobs: all jobs.
        routes: the routes that every service has for its jobs.
        filesets: datasets and results.
        secrets: the API keys of targets.
    """

    def __init__(
        self,
        context: StackContext,
        jobs: JobStore,
        routes: HelixJobRoutes,
        filesets: Filesets,
        secrets: Secrets,
    ) -> None:
        self._jobs = jobs
        self._job_routes = routes
        self._filesets = filesets
        self._metrics = Table(
            context.database,
            "metrics",
            "metric-bundle",
            context.clock,
            exists=lambda workspace, name: (
                f"Metric with workspace '{workspace}' and name '{name}' already exists"
            ),
            missing=lambda workspace, name: f"Metric '{name}' not found in workspace '{workspace}'",
        )
        self._results = Table(
            context.database,
            "eval_results",
            "evaluate-result",
            context.clock,
            exists=lambda workspace, name: f"Result '{workspace}/{name}' already exists",
            missing=lambda workspace, name: (
                f"Evaluation result '{name}' not found in workspace '{workspace}'"
            ),
        )
        self.worker = HelixEvaluationWorker(context, jobs, filesets, secrets, self._results)

    def purge(self, workspace: str) -> None:
        """Delete all metrics and results of a workspace."""
        for table in (self._metrics, self._results):
            for each in [*table.within(workspace)]:
                table.delete(workspace, str(each["name"]))

    def routes(self) -> list[ApiRoute]:
        """All routes."""
        jobs, metric, result = f"{_ROOT}/evaluate/jobs", f"{_ROOT}/metrics/{{name}}", f"{_ROOT}/eval-results"
        return [
            helix_route("POST", jobs, self._submit, schema="EvaluateJobRequest", status=201),
            *self._job_routes.of_source(jobs, SOURCE),
            helix_route("POST", f"{_ROOT}/evaluate/live", self._live, schema="LiveScoreRequest"),
            helix_route("GET", f"{_ROOT}/metrics", self._list_metrics),
            helix_route("POST", metric, self._store_metric, schema="MetricInline", status=201),
            helix_route("GET", metric, self._read_metric),
            helix_route("DELETE", metric, self._delete_metric, status=204),
            helix_route("GET", result, self._list_results),
            helix_route("GET", f"{result}/{{name}}", self._read_result),
            helix_route("DELETE", f"{result}/{{name}}", self._delete_result, status=204),
        ]

    def _submit(self, call: HelixCall) -> JsonObject:
        """Submit an evaluation; the stack carries it out."""
        body, fields = call.body["spec"], call.body.get("custom_fields")
        sent = call.sent["spec"]
        assert isinstance(body, dict)
        assert isinstance(sent, dict)
        spec = self._completed(body, sent, call.workspace)
        self._filesets.require_workspace(call.workspace)
        step: JsonObject = {
            "name": STEP,
            "environment": [],
            "executor": {"provider": "subprocess", "profile": "default", "command": ["evaluate"]},
            "config": {},
            "lifecycle": {"staleness_timeout_seconds": 0},
        }
        job = self._jobs.create(
            call.workspace,
            str(call.body.get("name") or f"evaluate-{uuid.uuid4().hex[:12]}"),
            source=SOURCE,
            spec=spec,
            platform_spec={"steps": [step], "secrets": None},
            sent=call.body,
            custom_fields={**(fields if isinstance(fields, dict) else {}), **_TELEMETRY},
        )
        self.worker.submitted.set()
        return service_job(job)

    def _completed(self, body: JsonObject, sent: JsonObject, workspace: str) -> JsonObject:
        """The spec as the API echoes it: parameters of its kind, and stored metrics in place of names."""
        target, params = sent.get("target"), sent.get("params")
        given = params if isinstance(params, dict) else {}
        for name in ("field_mapping", "publication"):
            if body.get(name) is not None:
                raise HelixError(422, f"{TRANSFORM}this stack does not support spec.{name}")
        if target is None:
            if set(given) - {"parallelism", "limit_samples"}:
                raise HelixError(500, _BROKEN)
            completed = read_body("RunConfig", given)
        else:
            if not isinstance(target, dict) or target.get("format", "openai") != "openai":
                raise HelixError(422, f"{TRANSFORM}this stack supports targets of the format 'openai' alone")
            if body.get("prompt_template") is None:
                raise HelixError(500, _BROKEN)
            completed = read_body("RunConfigOnlineModel", given)
            for name in ("structured_output", "reasoning"):
                if completed.get(name) is not None:
                    raise HelixError(422, f"{TRANSFORM}this stack does not support spec.params.{name}")
            target = {"host_url": None, **read_body("Model", target)}
        bundles = body["metrics"]
        metrics = [self._bundle(each, workspace) for each in bundles] if isinstance(bundles, list) else []
        return {**body, "params": completed, "target": target, "metrics": metrics}

    def _bundle(self, metric: JsonValue, workspace: str) -> JsonObject:
        if isinstance(metric, dict):
            return checked_bundle(metric)
        owner, name = split_reference(str(metric), workspace)
        found = self._metrics.find(owner, name)
        if found is None:
            raise HelixError(
                422,
                f"{TRANSFORM}Metric reference '{metric}' not found. Ensure a stored metric named '{name}' "
                f"exists in workspace '{owner}', or pass an inline metric instead.",
            )
        bundle = found["bundle"]
        assert isinstance(bundle, dict)
        return bundle

    def _live(self, call: HelixCall) -> JsonObject:
        """Score rows at once, without a job."""
        dataset, bundles = call.body["dataset"], call.body["metrics"]
        if call.body.get("target") is not None or not isinstance(dataset, list):
            raise HelixError(
                422, f"{TRANSFORM}this stack scores recorded rows at once, not a target or a file"
            )
        wanted = bundles if isinstance(bundles, list) else []
        if len(wanted) > _MOST_LIVE:
            raise HelixError(422, f"{TRANSFORM}at most {_MOST_LIVE} metrics are scored at once")
        metrics = [read_metric(self._bundle(each, call.workspace)) for each in wanted]
        answers = [AnsweredItem(row) for row in dataset if isinstance(row, dict)]
        found: list[JsonValue] = []
        for metric in metrics:
            try:
                scores = score([metric], answers, self.worker.calculations())
                found.append({"metric": metric.kind, "scores": aggregates_of(metric, scores), "error": None})
            except LawtagsError as error:
                found.append({"metric": metric.kind, "scores": [], "error": error.message})
        return {"output": None, "metrics": found}

    def _list_metrics(self, call: HelixCall) -> JsonObject:
        """List stored metrics."""
        return listed(map(_shown_metric, self._metrics.within(call.workspace)), call.query, _METRICS)

    def _store_metric(self, call: HelixCall) -> JsonObject:
        """Store a metric under a name."""
        workspace, name = call.workspace, call.path["name"]
        bundle = checked_bundle(call.body)
        metadata, payload = bundle["metadata"], bundle["payload"]
        described = metadata if isinstance(metadata, dict) else {}
        assert isinstance(payload, dict)
        fields: JsonObject = {
            "project": None,
            "metric_type": bundle["metric_type"],
            "description": described.get("description"),
            "labels": described.get("labels") or {},
            "outputs": bundle["outputs"],
            "secrets": bundle["secrets"],
            "payload_kind": "inline",
            "payload_digest": digest(payload["metric"]),
            "bundle_ref": f"{workspace}/metric-bundle.{uuid.uuid4().hex}#bundle.json",
            "derived": False,
            "bundle": bundle,
        }
        return _shown_metric(self._metrics.insert(workspace, name, fields))

    def _read_metric(self, call: HelixCall) -> JsonObject:
        """Get a stored metric."""
        return _shown_metric(self._metrics.get(call.workspace, call.path["name"]))

    def _delete_metric(self, call: HelixCall) -> object:
        """Delete a stored metric."""
        self._metrics.delete(call.workspace, call.path["name"])
        return empty()

    def _list_results(self, call: HelixCall) -> JsonObject:
        """List finished evaluations."""
        return listed(map(_shown_result, self._results.within(call.workspace)), call.query, _RESULTS)

    def _read_result(self, call: HelixCall) -> JsonObject:
        """Get a finished evaluation."""
        return _shown_result(self._results.get(call.workspace, call.path["name"]))

    def _delete_result(self, call: HelixCall) -> object:
        """Forget a finished evaluation; its job keeps its results."""
        self._results.delete(call.workspace, call.path["name"])
        return empty()


def _shown_metric(metric: JsonObject) -> JsonObject:
    return {name: each for name, each in metric.items() if name != "bundle"}


def _shown_result(result: JsonObject) -> JsonObject:
    return {name: result[name] for name in _RESULT_FIELDS if name in result}
