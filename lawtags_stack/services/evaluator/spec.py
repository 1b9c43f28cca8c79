"""Configs and targets with the types that this Evaluator works with, where the wire leaves them open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lawtags_stack.http.bodies import validate
from lawtags_stack.json_value import JsonObject
from lawtags_stack.services.evaluator.metrics import JudgeScore

Template = str | int | FiniteFloat | bool
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Record(BaseModel):
    """A part of a config; what is not known of it may be anything."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), frozen=True)

    def __bool__(self) -> bool:
        # An empty object says as little as none.
        return bool(self.model_fields_set)


class EndpointSpec(_Record):
    """Where a model answers."""

    url: str
    model_id: str
    api_key: str | None = None


class ModelSpec(_Record):
    """A model: by its endpoint, or by its name."""

    api_endpoint: EndpointSpec | None = None
    name: str | None = None
    namespace: str | None = None
    url: str | None = None
    model_id: str | None = None
    api_key: str | None = None

    @property
    def endpoint(self) -> EndpointSpec | None:
        """Where it answers, if it says so."""
        if self.api_endpoint:
            return self.api_endpoint
        if self.url and self.model_id:
            return EndpointSpec(url=self.url, model_id=self.model_id, api_key=self.api_key)
        return None


class _Comparison(_Record):
    """``em``, ``f1``, ``rouge``, ``accuracy`` and ``bleu``."""

    ground_truth: Template | None = None
    prediction: Template | None = None
    references: list[Template] | None = None


class _Check(_Record):
    """``string-check`` and ``number-check``."""

    check: Annotated[list[Template], Field(min_length=3)]
    epsilon: FiniteFloat | None = None


class _ToolCalling(_Record):
    tool_calls_ground_truth: str | list[JsonObject] | None = None


class ParserSpec(_Record):
    """Where a score is in a judge's answer."""

    type: str | None = None
    pattern: str


class ScoreSpec(_Record):
    """A score that a judge gives."""

    type: str | None = None
    parser: ParserSpec

    def as_json(self) -> JudgeScore:
        """What ``judge_scores`` needs of it."""
        return {"type": self.type, "parser": {"pattern": self.parser.pattern}}


class JudgeParams(_Record):
    """``llm-judge``."""

    model: Annotated[str, Field(min_length=1)] | ModelSpec
    template: Annotated[JsonObject, Field(min_length=1)]
    scores: Annotated[dict[str, ScoreSpec], Field(min_length=1)]


_PARAMS: dict[str, type[_Record]] = {
    "string-check": _Check,
    "number-check": _Check,
    "tool-calling": _ToolCalling,
    "llm-judge": JudgeParams,
}


class MetricSpec(_Record):
    """One metric of a task."""

    type: str
    params: JsonObject | None = None


class TaskParams(_Record):
    """How a task asks."""

    template: JsonObject | None = None


class DatasetSpec(_Record):
    """Rows, by their files."""

    files_url: str | None = None
    limit: Count | None = None


class TaskSpec(_Record):
    """One task of an evaluation."""

    type: str
    params: TaskParams | None = None
    dataset: str | DatasetSpec | None = None
    metrics: dict[str, MetricSpec] | None = None


class GroupSpec(_Record):
    """Tasks whose scores are put together."""

    tasks: list[str] | None = None
    metrics: dict[str, _Record] | None = None
    groups: dict[str, GroupSpec] | None = None


class LimitSpec(_Record):
    """How an evaluation asks its model."""

    parallelism: Annotated[int, Field(ge=0, le=10_000)] | None = None
    request_timeout: Annotated[int, Field(ge=0, le=86_400)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=1_000_000)] | None = 3
    limit_samples: Count | None = None
    max_tokens: Count | None = None
    temperature: FiniteFloat | None = None
    top_p: FiniteFloat | None = None
    stop: str | list[str] | None = None

    def sampling(self) -> JsonObject:
        """What is sent to the model unless a template says otherwise."""
        named = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": self.stop,
        }
        return {name: value for name, value in named.items() if value is not None}


class ConfigSpec(_Record):
    """How to measure."""

    type: str
    params: LimitSpec | None = None
    tasks: dict[str, TaskSpec]
    groups: dict[str, GroupSpec] | None = None


class TargetSpec(_Record):
    """What to measure."""

    type: str
    model: str | ModelSpec | None = None
    rows: list[JsonObject] | None = None
    dataset: str | DatasetSpec | None = None
    cached_outputs: DatasetSpec | None = None


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """An evaluation, understood."""

    config: ConfigSpec
    target: TargetSpec


def read_spec(config: JsonObject, target: JsonObject) -> EvaluationSpec:
    """Read config and target, and refuse parameters that this Evaluator cannot work with.

    Args:
        config: what to do; tasks and metrics are known to be of supported types.
        target: what to measure.

    Raises:
        UnprocessableError: one is missing or of the wrong type; names its place.
    """
    measured = validate(TargetSpec, target, within=("target",))
    found = validate(ConfigSpec, config, within=("config",))
    for name, task in found.tasks.items():
        for key, metric in (task.metrics or {}).items():
            place = ("config", "tasks", name, "metrics", key, "params")
            validate(_PARAMS.get(metric.type, _Comparison), metric.params or {}, within=place)
    return EvaluationSpec(found, measured)
