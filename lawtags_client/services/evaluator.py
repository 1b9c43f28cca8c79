"""The Evaluator: targets, configs, evaluations that are submitted once, and their scores."""

from __future__ import annotations

from lawtags_client.errors import JobCancelledError, JobFailedError, JobStalledError, WaitTimeoutError
from lawtags_client.intents import FIELD, Intent, new_intent
from lawtags_client.services.base import Entities, Listing, Services, by_id, parse
from lawtags_client.services.submission import Submission, submit
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.transport.http import Call, ServiceTransport
from lawtags_client.transport.paths import join
from lawtags_client.types.common import is_final
from lawtags_client.types.evaluator import (
    EvaluationConfig,
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationEntityFilter,
    EvaluationJob,
    EvaluationJobFilter,
    EvaluationJobRequest,
    EvaluationResult,
    EvaluationResultFilter,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationStatusDetails,
    EvaluationTarget,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
    LiveEvaluation,
)

_JOBS = "/v1/evaluation/jobs"
_LOOK_BACK = 200
_LIVE_TIMEOUT = 600.0


class Jobs(Listing[EvaluationJob, EvaluationJobFilter]):
    """Evaluations."""

    async def get(self, job_id: str) -> EvaluationJob:
        """Read an evaluation; the only place where its state stands.

        Raises:
            NotFoundError: there is no such evaluation.
        """
        return parse(EvaluationJob, await self._http.json(Call("GET", _JOBS + join(job_id))), self._http)

    async def create(self, request: EvaluationJobRequest) -> EvaluationJob:
        """Submit an evaluation, bare; ``evaluate`` is the call that does it once only.

        Raises:
            DoubtfulOutcomeError: the answer was lost; look for it before submitting again.
        """
        data = await self._http.json(Call("POST", _JOBS, json=request.to_wire()))
        return parse(EvaluationJob, data, self._http)

    async def status(self, job_id: str) -> EvaluationStatusDetails:
        """How far an evaluation is."""
        data = await self._http.json(Call("GET", f"{_JOBS}{join(job_id)}/status"))
        return parse(EvaluationStatusDetails, data, self._http)

    async def results(self, job_id: str) -> EvaluationResult:
        """What an evaluation found.

        Raises:
            NotFoundError: there is no result yet.
        """
        data = await self._http.json(Call("GET", f"{_JOBS}{join(job_id)}/results"))
        return parse(EvaluationResult, data, self._http)

    async def download_results(self, job_id: str) -> bytes:
        """Everything about an evaluation, as a ZIP file."""
        path = f"{_JOBS}{join(job_id)}/download-results"
        return (await self._http.send(Call("GET", path, headers={"accept": "application/zip"}))).body

    async def logs(self, job_id: str) -> bytes:
        """An evaluation's logs, as the service gives them."""
        return (await self._http.send(Call("GET", f"{_JOBS}{join(job_id)}/logs"))).body

    async def cancel(self, job_id: str) -> None:
        """Ask for an evaluation's end."""
        await self._http.send(Call("POST", f"{_JOBS}{join(job_id)}/cancel", repeatable=True))

    async def delete(self, job_id: str) -> None:
        """Drop an evaluation."""
        await self._http.send(Call("DELETE", _JOBS + join(job_id)))


class Evaluation:
    """An evaluation in hand.

    Args:
        record: what the service said of it last.
        owner: the client.
    """

    def __init__(self, record: EvaluationJob, owner: Services) -> None:
        self.record = record
        self._owner = owner

    def __repr__(self) -> str:
        return f"Evaluation(id={self.id!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """The service's id for it."""
        return self.record.id

    @property
    def status(self) -> str | None:
        """The state it was in when last looked at."""
        return self.record.status

    @property
    def progress(self) -> float | None:
        """How far it was, 0 to 100; None where the service does not tell."""
        return self.record.status_details.progress if self.record.status_details else None

    async def refresh(self) -> EvaluationJob:
        """Read it again."""
        self.record = await self._owner.evaluator.jobs.get(self.id)
        return self.record

    async def cancel(self) -> None:
        """Ask for its end."""
        await self._owner.evaluator.jobs.cancel(self.id)

    async def wait(
        self,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
    ) -> EvaluationResult:
        """Wait for the result.

        Args:
            timeout: seconds to wait in all.
            stall: seconds without any change after which to give up.
            patience: how often to look, and how long a silent service is borne.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: nothing moved for ``stall`` seconds; it goes on.
            WaitTimeoutError: the time is over; it goes on.
        """
        clock = self._owner.clock
        begin = moved = clock.monotonic()
        poller = Poller(clock, (patience or Patience()).within(timeout))
        last: str | None = None
        while True:
            record = await poller.look(self.refresh)
            now = clock.monotonic()
            if is_final(record.status):
                break
            details = record.status_details
            seen = f"{record.status} {details.model_dump_json() if details else ''}"
            if seen != last:
                moved = now
            if stall is not None and now - moved > stall:
                raise JobStalledError(f"{self.id} shows no progress for {now - moved:.0f} s", job_id=self.id)
            if timeout is not None and now - begin > timeout:
                raise WaitTimeoutError(
                    f"{self.id} is {record.status} after {now - begin:.0f} s", hint="It goes on; wait again."
                )
            await poller.rest(moved=seen != last)
            last = seen
        self._check_end()
        return await self._owner.evaluator.jobs.results(self.id)

    def _check_end(self) -> None:
        said = self.record.status_details.message if self.record.status_details else None
        if self.status == "failed":
            hint = "Often a dataset that is not one file's URL, or a model that is not served."
            raise JobFailedError(
                f"{self.id} failed: {said or 'no reason given'}", job_id=self.id, reason=said, hint=hint
            )
        if self.status == "cancelled":
            raise JobCancelledError(f"{self.id} was cancelled", job_id=self.id, reason=said)


class Evaluator:
    """Scoring on the platform.

    Args:
        http: the way to the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: Services) -> None:
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
        self.jobs = Jobs(http, _JOBS, EvaluationJob)

    async def evaluation(self, job_id: str) -> Evaluation:
        """Take up an evaluation that exists.

        Raises:
            NotFoundError: there is no such evaluation.
        """
        return Evaluation(await self.jobs.get(job_id), self._owner)

    async def live(
        self,
        config: EvaluationConfigRequest,
        target: EvaluationTargetRequest,
        *,
        timeout: float = _LIVE_TIMEOUT,
    ) -> LiveEvaluation:
        """Score at once; nothing of it is stored on the platform.

        Args:
            config: a ``custom`` one.
            target: what is scored.
            timeout: seconds for the whole of it.
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
        """Submit an evaluation once: the same call again finds what it made before.

        Example:
            ``result = await (await nemo.evaluator.evaluate("law/tags-eval", "law/tagger")).wait()``

        Args:
            config: how to score, by ``namespace/name`` or written out.
            target: what to score, by ``namespace/name`` or written out.
            intent: a key of your own; without it the request is the key.
            namespace: of the job.
            project: for people.
            description: for people.

        Raises:
            ConflictError: the intent was used for another request.
            DoubtfulOutcomeError: asked for, and neither an answer nor the job was seen; call again.
        """
        request = EvaluationJobRequest(config=config, target=target)
        options = {"namespace": namespace, "project": project, "description": description}
        for key, value in options.items():
            if value is not None:
                setattr(request, key, value)
        wanted = new_intent("evaluation", _public(request), key=intent, service=self._http.address.url)

        async def post(intent: Intent) -> EvaluationJob:
            marked = request.model_copy()
            marked.custom_fields = {FIELD: intent.token}
            return await self.jobs.create(marked)

        submission = Submission(post, self.jobs.get, self._find, lambda job: job.id)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return Evaluation(record, self._owner)

    async def _find(self, intent: Intent) -> EvaluationJob | None:
        # Not every release filters by custom fields, so the newest are looked through.
        seen = 0
        async for job in self.jobs.list(sort="-created_at"):
            if job.custom_fields.get(FIELD) == intent.token:
                return job
            seen += 1
            if seen >= _LOOK_BACK:
                break
        return None


def scores(result: EvaluationResult) -> dict[str, float]:
    """The figures of a result: ``task.metric``, or ``task.metric.score`` where a metric has several.

    The metric's name is the caller's, the score's is the service's and differs between releases; so the only
    score of a metric goes by the metric's name.

    Example:
        ``scores(await evaluation.wait())["tags.f1"]``
    """
    found: dict[str, float] = {}
    parts = [(name, group.metrics) for name, group in result.groups.items()]
    parts += [(name, task.metrics) for name, task in result.tasks.items()]
    for part, metrics in parts:
        for metric, measured in metrics.items():
            named = {name: score.value for name, score in measured.scores.items() if score.value is not None}
            if len(named) == 1:
                found[f"{part}.{metric}"] = next(iter(named.values()))
            else:
                found |= {f"{part}.{metric}.{name}": value for name, value in named.items()}
    return found


def _public(request: EvaluationJobRequest) -> dict[str, object]:
    """The request as it may be written down: an endpoint's key stays out."""

    def clean(value: object) -> object:
        if isinstance(value, dict):
            secret = ("api_key", "hf_token")
            return {key: clean(inner) for key, inner in value.items() if key not in secret}
        if isinstance(value, list):
            return [clean(inner) for inner in value]
        return value

    return {key: clean(value) for key, value in request.to_wire().items()}
