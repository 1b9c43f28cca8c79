"""The Evaluator: targets, configs, evaluations that are submitted once, and their scores."""

from __future__ import annotations

from typing import Protocol

from lawtags_client.intents import FIELD, Intent, new_intent
from lawtags_client.services.base import Entities, Owner, by_id, parse
from lawtags_client.services.evaluator.evaluation import Evaluation, rows_scored, scores
from lawtags_client.services.evaluator.jobs import JOBS, EvaluationJobs
from lawtags_client.services.evaluator.v2 import JOBS as V2_JOBS
from lawtags_client.services.evaluator.v2 import EvaluationV2, JobsV2
from lawtags_client.services.submission import Stamp, Submission, carrier, submit
from lawtags_client.transport.http import Call, ServiceTransport
from lawtags_client.types.common import WireRequest
from lawtags_client.types.evaluator import (
    EvaluationConfig,
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationEntityFilter,
    EvaluationJob,
    EvaluationJobRequest,
    EvaluationResult,
    EvaluationResultFilter,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationTarget,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
    LiveEvaluation,
)
from lawtags_client.types.evaluator_v2 import (
    EvaluationConfigV2,
    EvaluationJobInputV2,
    EvaluationTargetV2,
    EvaluatorV2Job,
    EvaluatorV2JobRequest,
)

_LIVE_TIMEOUT = 600.0


class EvaluatorOwner(Owner, Protocol):
    """The client, as far as its evaluations need it."""

    @property
    def evaluator(self) -> Evaluator: ...


class Evaluator:
    """Scoring on the platform.

    Args:
        http: the transport of the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: EvaluatorOwner) -> None:
        self._http = http
        self._owner = owner
        self.targets = Entities[
            EvaluationTarget, EvaluationTargetRequest, EvaluationTargetUpdate, EvaluationEntityFilter
        ](http, "/v1/evaluation/targets", EvaluationTarget)
        self.configs = Entities[
            EvaluationConfig, EvaluationConfigRequest, EvaluationConfigUpdate, EvaluationEntityFilter
        ](http, "/v1/evaluation/configs", EvaluationConfig)
        self.results = Entities[
            EvaluationResult, EvaluationResultRequest, EvaluationResultUpdate, EvaluationResultFilter
        ](http, "/v1/evaluation/results", EvaluationResult, by_id)
        self.jobs = EvaluationJobs(http, JOBS, EvaluationJob)
        self.v2_jobs = JobsV2(http, V2_JOBS, EvaluatorV2Job)

    async def evaluation(self, job_id: str) -> Evaluation:
        """Look up an existing evaluation.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return Evaluation(await self.jobs.get(job_id), self._owner)

    async def live(
        self,
        config: EvaluationConfigRequest,
        target: EvaluationTargetRequest,
        *,
        timeout: float = _LIVE_TIMEOUT,
    ) -> LiveEvaluation:
        """Score immediately, without storing anything on the platform.

        Args:
            config: a ``custom`` one.
            target: what is scored.
            timeout: seconds for the whole evaluation.
        """
        body = EvaluationJobRequest(config=config, target=target).to_wire()
        call = Call(
            "POST",
            "/v1/evaluation/live",
            json=body,
            repeatable=True,
            read_timeout=timeout,
            total_timeout=timeout,
        )
        return parse(LiveEvaluation, await self._http.json(call), self._http)

    async def evaluate(
        self,
        config: str | EvaluationConfigRequest,
        target: str | EvaluationTargetRequest,
        *,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
    ) -> Evaluation:
        """Submit an evaluation. The call is idempotent.

        Example:
            ``result = await (await nemo.evaluator.evaluate("law/tags-eval", "law/tagger")).wait()``

        Args:
            config: how to score: ``namespace/name``, or an inline config.
            target: what to score: ``namespace/name``, or an inline target.
            intent: idempotency key; by default computed from the request.
            namespace: of the job.
            project: a label on the platform.
            description: free text, shown on the platform.

        Raises:
            ConflictError: the intent was used for another request.
            DoubtfulOutcomeError: the response was lost and the job was not found; call again.
        """
        request = EvaluationJobRequest(config=config, target=target)
        _set(request, namespace=namespace, project=project, description=description)
        wanted = new_intent("evaluation", _public(request), key=intent, service=self._http.address.url)

        async def post(intent: Intent) -> EvaluationJob:
            marked = request.model_copy()
            marked.custom_fields = {FIELD: intent.token}
            return await self.jobs.create(marked)

        async def find(intent: Intent) -> EvaluationJob | None:
            return await carrier(self.jobs.list(sort="-created_at"), intent, _stamp)

        submission = Submission(post, self.jobs.get, find, lambda job: job.id)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return Evaluation(record, self._owner)

    async def evaluation_v2(self, job_id: str) -> EvaluationV2:
        """Look up an existing evaluation that is a platform job.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return EvaluationV2(await self.v2_jobs.get(job_id), self._owner)

    async def evaluate_v2(
        self,
        config: str | EvaluationConfigV2,
        target: str | EvaluationTargetV2,
        *,
        name: str | None = None,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
    ) -> EvaluationV2:
        """Submit an evaluation as a platform job, idempotently; arguments and errors as for ``evaluate``."""
        request = EvaluatorV2JobRequest(spec=EvaluationJobInputV2(config=config, target=target))
        _set(request, name=name, namespace=namespace, project=project, description=description)
        wanted = new_intent("evaluation-v2", _public(request), key=intent, service=self._http.address.url)

        async def post(intent: Intent) -> EvaluatorV2Job:
            marked = request.model_copy()
            marked.custom_fields = {FIELD: intent.token}
            return await self.v2_jobs.create(marked)

        async def find(intent: Intent) -> EvaluatorV2Job | None:
            return await carrier(self.v2_jobs.list(sort="-created_at"), intent, _stamp)

        submission = Submission(post, self.v2_jobs.get, find, lambda job: job.id)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return EvaluationV2(record, self._owner)


def _stamp(job: EvaluationJob | EvaluatorV2Job) -> Stamp:
    return job.custom_fields.get(FIELD), job.created_at


def _set(request: WireRequest, **options: str | None) -> None:
    """Set the fields that are given, so that no others are sent."""
    for key, value in options.items():
        if value is not None:
            setattr(request, key, value)


def _public(request: WireRequest) -> dict[str, object]:
    """The request as it may be written down: an endpoint's key stays out."""

    def clean(value: object) -> object:
        if isinstance(value, dict):
            secret = ("api_key", "hf_token")
            return {key: clean(inner) for key, inner in value.items() if key not in secret}
        if isinstance(value, list):
            return [clean(inner) for inner in value]
        return value

    return {key: clean(value) for key, value in request.to_wire().items()}


__all__ = ["Evaluation", "EvaluationV2", "Evaluator", "rows_scored", "scores"]
