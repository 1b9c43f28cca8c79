"""Evaluation jobs, their scores, and stored metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from lawtags_client.closing import closing
from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.collection import HelixListing, Place
from lawtags_client.helix.evaluation_service import EVALUATION, EvaluationTransport
from lawtags_client.helix.jobs import JobRoutes
from lawtags_client.helix.names import check_name
from lawtags_client.helix.submission import intent_of, submit_once
from lawtags_client.helix.types.evaluations import (
    AggregateScores,
    HelixEvaluationJob,
    HelixEvaluationRecord,
    HelixEvaluationSpec,
    HelixScoredRow,
    LiveScores,
    Metric,
    StoredMetric,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Owner
from lawtags_client.services.extra_fields import extended
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.paths import join

AGGREGATE, ROWS = "aggregate-scores", "row-scores"
"""Results of an evaluation: the scores over all rows, and one JSON object per row."""

_LONGEST_LINE = 64 << 20


class HelixEvaluations(JobRoutes[HelixEvaluationJob]):
    """Evaluation jobs.

    Args:
        http: the way to the service, which finds its name.
        place: where requests go, by that way.
        owner: the client, which has the intents.
    """

    def __init__(self, http: EvaluationTransport, place: Place, owner: Owner) -> None:
        super().__init__(place, EVALUATION, "evaluate/jobs", HelixEvaluationJob)
        self._http = http
        self._owner = owner
        self.metrics = StoredMetrics(place)
        self.records: HelixListing[HelixEvaluationRecord] = HelixListing(
            place, EVALUATION, "eval-results", HelixEvaluationRecord
        )

    async def service_name(self) -> str | None:
        """What the platform calls the service: ``evals``, ``evaluator``, or None where it has none.

        Raises:
            APIError: the platform refuses to say.
        """
        return await self._http.name()

    async def submit(
        self,
        spec: HelixEvaluationSpec,
        *,
        name: str | None = None,
        key: str | None = None,
        workspace: str | None = None,
        description: str | None = None,
        project: str | None = None,
        custom_fields: Mapping[str, JsonValue] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> HelixEvaluationJob:
        """Submit an evaluation, or find the one that was submitted for the same intent before.

        Args:
            spec: rows, metrics and, if answers are to be generated, the target and its prompt.
            name: of the job; derived from the intent by default.
            key: what makes two submissions the same; the request by default.
            workspace: if not the default one.
            description: for people.
            project: a label.
            custom_fields: kept with the job.
            extra_body: fields of the API that have no parameter here.

        Raises:
            ConfigurationError: a name breaks the rule, a field is unknown, or target and prompt do not fit.
            UnprocessableError: Helix refuses the request; the error names the field and the remedy.
            ConflictError: the name belongs to another job.
            DoubtfulOutcomeError: the request was sent, and neither a response nor the job has been seen.
        """
        _check_target(spec)
        chosen = workspace or self._place.workspace
        check_name(chosen, "workspace")
        envelope: dict[str, JsonValue] = {
            "description": description,
            "project": project,
            "custom_fields": dict(custom_fields) if custom_fields else None,
        }
        body: dict[str, JsonValue] = {"spec": spec.to_wire()}
        body |= {field: value for field, value in envelope.items() if value is not None}
        body = extended(body, extra_body)
        intent, job = intent_of(
            "evaluation",
            body,
            workspace=chosen,
            address=self._place.http.address.url,
            name=name,
            title="evaluation",
            key=key,
        )
        return await submit_once(
            self,
            self._place.http,
            body,
            intent,
            path=self._path(chosen),
            workspace=chosen,
            name=job,
            store=self._owner.intents,
            clock=self._owner.clock,
        )

    async def scores(self, reference: str) -> AggregateScores:
        """The scores of a finished evaluation over all rows.

        Raises:
            NotFoundError: the job does not exist, or has no scores, as one that failed.
            ProtocolError: the result is not what the API promises.
        """
        call = Call("GET", self._download(reference, AGGREGATE), headers={"accept": "*/*"})
        return await parse(AggregateScores, await self._place.http.json(call), self._place.http)

    async def rows(self, reference: str) -> AsyncIterator[HelixScoredRow]:
        """The rows of a finished evaluation with their scores, as they arrive.

        Raises:
            NotFoundError: the job does not exist, or has no scores.
            ProtocolError: a row is not what the API promises.
        """
        call = Call("GET", self._download(reference, ROWS), headers={"accept": "*/*"})
        async with closing(self._place.http.json_lines(call, _LONGEST_LINE)) as rows:
            async for row in rows:
                yield await parse(HelixScoredRow, row, self._place.http)

    async def score_live(
        self,
        metrics: list[Metric],
        rows: list[dict[str, JsonValue]],
        *,
        workspace: str | None = None,
    ) -> LiveScores:
        """Score a few rows at once, without a job.

        Args:
            metrics: at most 24.
            rows: with the columns that the metrics name.
            workspace: if not the default one.
        """
        body: dict[str, JsonValue] = {
            "dataset": list(rows),
            "metrics": [metric.to_wire() for metric in metrics],
        }
        path = f"{self._place.path(EVALUATION, workspace)}/evaluate/live"
        call = Call("POST", path, json=body, repeatable=True)
        return await parse(LiveScores, await self._place.http.json(call), self._place.http)


class StoredMetrics(HelixListing[StoredMetric]):
    """Metrics that evaluations can name as ``workspace/name``.

    Args:
        place: where requests go.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place, EVALUATION, "metrics", StoredMetric)

    def _of(self, reference: str) -> str:
        workspace, name = self._place.split(reference, "metric")
        return self._path(workspace) + join(name)

    async def create(self, reference: str, metric: Metric) -> StoredMetric:
        """Store a metric.

        Raises:
            ConflictError: the name is taken.
        """
        call = Call("POST", self._of(reference), json=metric.to_wire())
        return await parse(StoredMetric, await self._place.http.json(call), self._place.http)

    async def get(self, reference: str) -> StoredMetric:
        """Read a metric; raises NotFoundError where there is none."""
        data = await self._place.http.json(Call("GET", self._of(reference)))
        return await parse(StoredMetric, data, self._place.http)

    async def delete(self, reference: str) -> None:
        """Delete a metric; raises NotFoundError where there is none."""
        await self._place.http.send(Call("DELETE", self._of(reference)))


def _check_target(spec: HelixEvaluationSpec) -> None:
    """Refuse what Helix answers with an internal error.

    Raises:
        ConfigurationError: a target has no prompt, or parameters of a target have none.
    """
    if spec.target is not None and spec.prompt_template is None:
        raise ConfigurationError(
            "the evaluation has a target and no prompt_template",
            hint='For example: {"messages": [{"role": "user", "content": "{{item.prompt}}"}]}',
        )
    online = ("max_retries", "ignore_request_failure", "request_timeout", "inference", "system_prompt")
    if spec.target is None and spec.params is not None:
        given = [name for name in online if getattr(spec.params, name) is not None]
        if given:
            raise ConfigurationError(
                f"the evaluation sets params.{given[0]} and has no target",
                hint="Set target, or leave the parameters for generation out.",
            )
