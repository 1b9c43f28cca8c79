"""The Evaluator: targets, configs, evaluations that are submitted once, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Unpack

from lawtags_client.errors import ConfigurationError
from lawtags_client.intents import FIELD, Intent, new_intent
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Entities, Owner, by_id
from lawtags_client.services.evaluator.building import (
    MAX_TOKENS,
    PROMPT,
    REFERENCE,
    Measurement,
    Metrics,
    answer_config,
    dataset_file,
    inline_config,
    inline_target,
    model_target,
    rows_config,
)
from lawtags_client.services.evaluator.evaluation import Evaluation, rows_scored, scores
from lawtags_client.services.evaluator.jobs import JOBS, EvaluationJobs
from lawtags_client.services.evaluator.platform_jobs import JOBS as PLATFORM_JOBS
from lawtags_client.services.evaluator.platform_jobs import PlatformEvaluation, PlatformEvaluationJobs
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.parsing import parse
from lawtags_client.services.submission import Submission, carrier, intent_body, submit
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.common import APIEndpoint, WireRequest
from lawtags_client.types.entity_store import Dataset
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
from lawtags_client.types.platform_evaluation import (
    EvaluationSpec,
    PlatformEvaluationJob,
    PlatformEvaluationJobRequest,
)

if TYPE_CHECKING:
    from lawtags_client.services.data_store import DataStore

_LIVE_TIMEOUT = 600.0


class EvaluatorOwner(Owner, Protocol):
    """The client, as far as its evaluations need it."""

    @property
    def data_store(self) -> DataStore: ...
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
        ](http, "/v1/evaluation/targets", EvaluationTarget, EvaluationTargetRequest, EvaluationTargetUpdate)
        self.configs = Entities[
            EvaluationConfig, EvaluationConfigRequest, EvaluationConfigUpdate, EvaluationEntityFilter
        ](http, "/v1/evaluation/configs", EvaluationConfig, EvaluationConfigRequest, EvaluationConfigUpdate)
        self.results = Entities[
            EvaluationResult, EvaluationResultRequest, EvaluationResultUpdate, EvaluationResultFilter
        ](
            http,
            "/v1/evaluation/results",
            EvaluationResult,
            EvaluationResultRequest,
            EvaluationResultUpdate,
            by_id,
        )
        self.jobs = EvaluationJobs(http, JOBS, EvaluationJob)
        self.platform_jobs = PlatformEvaluationJobs(http, PLATFORM_JOBS, PlatformEvaluationJob)

    async def evaluation(self, job_id: str) -> Evaluation:
        """Look up an existing evaluation.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return Evaluation(await self.jobs.get(job_id), self._owner)

    async def live(
        self,
        *,
        rows: Sequence[Mapping[str, JsonValue]] | None = None,
        metrics: Metrics | None = None,
        config: EvaluationConfigRequest | None = None,
        target: EvaluationTargetRequest | None = None,
        timeout: float = _LIVE_TIMEOUT,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> LiveEvaluation:
        """Score immediately, without storing anything on the platform.

        Example:
            ``await nemo.evaluator.live(rows=[{"output": "4", "reference": "4"}], metrics=["equals"])``

        Args:
            rows: what to score; ``metrics`` compares ``output`` with ``reference``.
            metrics: ``equals``, ``contains``, or a dictionary of ``MetricConfig``.
            config: how to score, in place of ``metrics``; a ``custom`` one.
            target: what to score, in place of ``rows``.
            timeout: seconds for the whole evaluation.
            extra_headers: sent with this request only.
            extra_body: fields of the API that have no parameter here.

        Raises:
            ConfigurationError: arguments are missing, or contradict one another.
        """
        if (rows is None) == (target is None):
            raise _either("target", "rows")
        if (metrics is None) == (config is None):
            raise _either("config", "metrics")
        config = config or rows_config(metrics or ())
        target = target or EvaluationTargetRequest(type="rows", rows=list(rows or ()))
        call = Call(
            "POST",
            "/v1/evaluation/live",
            json=extended_request(EvaluationJobRequest(config=config, target=target), extra_body),
            headers=checked_headers(extra_headers),
            repeatable=True,
            read_timeout=timeout,
            total_timeout=timeout,
        )
        return await parse(LiveEvaluation, await self._http.json(call), self._http)

    async def evaluate(
        self,
        *,
        dataset: str | Dataset | UploadedDataset | None = None,
        model: str | APIEndpoint | None = None,
        metrics: Metrics | None = None,
        split: str = "testing",
        prompt: str = PROMPT,
        reference: str = REFERENCE,
        chat: bool = False,
        max_tokens: int = MAX_TOKENS,
        limit: int | None = None,
        config: str | EvaluationConfigRequest | None = None,
        target: str | EvaluationTargetRequest | None = None,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> Evaluation:
        """Submit an evaluation. The call is idempotent.

        Example:
            ``await nemo.evaluator.evaluate(dataset="law/tags", model="law/tagger", metrics=["f1"])``

        Args:
            dataset: the rows: an upload, ``namespace/name``, the path of a file below it, or a URL.
            model: the id of a served model, or an endpoint.
            metrics: ``em``, ``f1``, ``rouge``, ``bleu``, ``equals``, ``contains``, or a dictionary of
                ``MetricConfig``. The scores are called ``answers.f1``.
            split: the folder of the file to score, if ``dataset`` is a whole dataset.
            prompt: template of the prompt.
            reference: template of the right answer.
            chat: ask by the chat API, with the prompt as the user's message.
            max_tokens: maximum length of an answer.
            limit: number of rows to score; all by default.
            config: how to score, in place of ``dataset`` and ``metrics``: ``namespace/name``, or a config.
            target: what to score, in place of ``model``: ``namespace/name``, or a target.
            intent: idempotency key; by default computed from the request and the content of the file.
            namespace: of the job.
            project: a label on the platform.
            description: free text, shown on the platform.
            extra_headers: sent with the request that creates the job; not part of its intent.
            extra_body: fields of the API that have no parameter here; part of the intent.

        Raises:
            ConfigurationError: arguments are missing, or contradict one another.
            ConflictError: the intent was used for another request.
            DoubtfulOutcomeError: the response was lost and the job was not found; call again.
        """
        how, what, digest = await self._measured(
            dataset=dataset,
            model=model,
            metrics=metrics,
            split=split,
            prompt=prompt,
            reference=reference,
            chat=chat,
            max_tokens=max_tokens,
            limit=limit,
            config=config,
            target=target,
        )
        request = EvaluationJobRequest(config=how, target=what)
        _set(request, namespace=namespace, project=project, description=description)
        headers, body = checked_headers(extra_headers), intent_body(request, extra_body)
        wanted = new_intent("evaluation", body, key=intent, data=digest, service=self._http.address.url)

        async def post(intent: Intent) -> EvaluationJob:
            marked = request.model_copy()
            marked.custom_fields = {FIELD: intent.token}
            return await self.jobs.create(marked, extra_headers=headers, extra_body=extra_body)

        async def find(intent: Intent) -> EvaluationJob | None:
            return await carrier(self.jobs.list(sort="-created_at"), intent)

        submission = Submission(post, self.jobs.get, find, lambda job: job.id)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return Evaluation(record, self._owner)

    async def _measured(
        self, **given: Unpack[Measurement]
    ) -> tuple[str | EvaluationConfigRequest, str | EvaluationTargetRequest, str | None]:
        """Config, target, and a digest of the rows, if it is known."""
        dataset, metrics, config = given.get("dataset"), given.get("metrics"), given.get("config")
        model, target, chat = given.get("model"), given.get("target"), given.get("chat", False)
        if (config is None) == (dataset is None) or (config is None) == (metrics is None):
            raise _either("config", "dataset and metrics")
        if (target is None) == (model is None):
            raise _either("target", "model")
        digest: str | None = None
        if config is None:
            assert dataset is not None
            url, digest = await dataset_file(dataset, given.get("split", "testing"), self._owner.data_store)
            config = answer_config(
                url,
                metrics or (),
                prompt=given.get("prompt", PROMPT),
                reference=given.get("reference", REFERENCE),
                chat=chat,
                max_tokens=given.get("max_tokens", MAX_TOKENS),
                limit=given.get("limit"),
            )
        if target is None:
            assert model is not None
            target = model_target(model, self._owner.settings.address("inference"), chat=chat)
        return config, target, digest

    async def platform_evaluation(self, job_id: str) -> PlatformEvaluation:
        """Look up an existing evaluation that is a platform job.

        Raises:
            NotFoundError: the evaluation does not exist.
        """
        return PlatformEvaluation(await self.platform_jobs.get(job_id), self._owner)

    async def evaluate_as_platform_job(
        self,
        *,
        name: str | None = None,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **measured: Unpack[Measurement],
    ) -> PlatformEvaluation:
        """Submit an evaluation as a platform job, which has steps, logs and files. The call is idempotent.

        Args:
            name: of the job.
            intent: as for ``evaluate``, like the following ones.
            namespace: see there.
            project: see there.
            description: see there.
            extra_headers: see there.
            extra_body: see there.
            measured: dataset, model and metrics, or config and target: as for ``evaluate``.

        Raises:
            ConfigurationError: arguments are missing, or contradict one another, or a field of the config
                or target has no place in a platform job.
            ConflictError: the intent was used for another request.
            DoubtfulOutcomeError: the response was lost and the job was not found; call again.
        """
        how, what, digest = await self._measured(**measured)
        spec = EvaluationSpec(config=inline_config(how), target=inline_target(what))
        request = PlatformEvaluationJobRequest(spec=spec)
        _set(request, name=name, namespace=namespace, project=project, description=description)
        headers, body = checked_headers(extra_headers), intent_body(request, extra_body)
        wanted = new_intent("evaluation-v2", body, key=intent, data=digest, service=self._http.address.url)

        async def post(intent: Intent) -> PlatformEvaluationJob:
            marked = request.model_copy()
            marked.custom_fields = {FIELD: intent.token}
            return await self.platform_jobs.create(marked, extra_headers=headers, extra_body=extra_body)

        async def find(intent: Intent) -> PlatformEvaluationJob | None:
            return await carrier(self.platform_jobs.list(sort="-created_at"), intent)

        submission = Submission(post, self.platform_jobs.get, find, lambda job: job.id)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return PlatformEvaluation(record, self._owner)


def _either(one: str, other: str) -> ConfigurationError:
    return ConfigurationError(f"an evaluation needs either {one}, or {other}", hint="Pass one of the two.")


def _set(request: WireRequest, **options: str | None) -> None:
    """Set the fields that are given, so that no others are sent."""
    for key, value in options.items():
        if value is not None:
            setattr(request, key, value)


__all__ = ["Evaluation", "Evaluator", "PlatformEvaluation", "rows_scored", "scores"]
