"""Wire models of the evaluation service: specs, metrics, scores and rows."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from lawtags_client.helix.types.common import HelixRequest, Items, Mapped, Resource, WireModel
from lawtags_client.helix.types.jobs import HelixJob
from lawtags_client.json_value import JsonValue


def _number(value: object) -> object:
    # Scores of rows that are not a number come as text.
    if isinstance(value, str) and value.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
        return float(value)
    return value


Score: TypeAlias = Annotated[float | str | None, BeforeValidator(_number)]
"""A score: a number, NaN included, or a label."""


class MetricOutput(HelixRequest):
    """A score that a metric produces; it must equal what the platform derives."""

    name: str
    value_json_schema: dict[str, JsonValue]
    description: str | None = None


class MetricPayload(HelixRequest):
    """The metric itself."""

    kind: Literal["inline"]
    metric: dict[str, JsonValue]


class Metric(HelixRequest):
    """A metric with its outputs; :mod:`lawtags_client.helix.metrics` makes them."""

    metric_type: str
    outputs: list[MetricOutput]
    payload: MetricPayload


class HelixEvaluationTarget(HelixRequest):
    """A model that is asked for each row."""

    url: str
    name: str
    format: str | None = None
    api_key_secret: str | None = None
    inference: dict[str, JsonValue] | None = None


class HelixEvaluationParams(HelixRequest):
    """How rows are scored, and how a target is asked."""

    parallelism: int | None = None
    limit_samples: int | None = None
    max_retries: int | None = None
    ignore_request_failure: bool | None = None
    request_timeout: float | None = None
    inference: dict[str, JsonValue] | None = None
    system_prompt: str | None = None


class HelixEvaluationSpec(HelixRequest):
    """What is scored: rows or ``workspace/fileset#file.jsonl``, metrics, and a target to be asked, if any.

    Large data belongs into a fileset, not into the spec.
    """

    dataset: str | list[dict[str, JsonValue]]
    metrics: list[Metric | str]
    params: HelixEvaluationParams | None = None
    target: HelixEvaluationTarget | None = None
    prompt_template: str | dict[str, JsonValue] | None = None
    field_mapping: dict[str, JsonValue] | None = None
    publication: dict[str, JsonValue] | None = None


class HelixEvaluationJob(HelixJob):
    """An evaluation job."""


class AggregateScore(WireModel):
    """A score over all rows; what is not a number is missing."""

    name: str
    count: int | None = None
    nan_count: int | None = None
    mean: float | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    median: float | None = None
    std_dev: float | None = None
    score_type: str | None = None


class AggregateScores(WireModel):
    """The scores of an evaluation."""

    scores: Items[AggregateScore] = Field(default_factory=list)

    @property
    def means(self) -> dict[str, float]:
        """The mean of each score that has one, by ``metric.output``."""
        return {
            score.name: score.mean
            for score in self.scores
            if score.mean is not None and math.isfinite(score.mean)
        }


class RowScore(WireModel):
    """One score of one row."""

    name: str
    value: Score = None


class RowSample(WireModel):
    """What the target wrote for a row."""

    output_text: str | None = None
    response: JsonValue = Field(default=None, repr=False)


class HelixScoredRow(WireModel):
    """A row with its scores."""

    row_index: int
    item: Mapped[JsonValue] = Field(default_factory=dict, repr=False)
    sample: RowSample | None = Field(default=None, repr=False)
    metrics: Mapped[list[RowScore]] = Field(default_factory=dict)
    metric_errors: JsonValue = None
    metric_diagnostics: JsonValue = None


class HelixEvaluationRecord(Resource):
    """The record of a finished evaluation, which outlives its job."""

    job_id: str | None = None
    target_name: str | None = None
    target_url: str | None = None
    scores: AggregateScores | None = None
    bundle_ref: str | None = None
    metric_types: Items[str] = Field(default_factory=list)
    row_count: int | None = None
    error_row_count: int | None = None


class StoredMetric(Resource):
    """A metric that evaluations can name."""

    metric_type: str | None = None
    outputs: Items[JsonValue] = Field(default_factory=list)
    payload: Mapped[JsonValue] = Field(default_factory=dict)


class LiveMetric(WireModel):
    """The scores of one metric that was computed at once."""

    metric: str
    scores: Items[AggregateScore] = Field(default_factory=list)
    error: JsonValue = None


class LiveScores(WireModel):
    """Scores that were computed at once."""

    metrics: Items[LiveMetric] = Field(default_factory=list)
    output: JsonValue = None
