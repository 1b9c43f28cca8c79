"""Typed configs and targets, where the wire types leave fields open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lawtags_client.errors import UnprocessableError
from lawtags_client.json_value import JsonObject
from lawtags_stack.http.bodies import validate
from lawtags_stack.services.evaluator.metric_spec import PARAMS, JudgeParams
from lawtags_stack.services.evaluator.model_spec import ModelFields
from lawtags_stack.services.evaluator.request_spec import RequestSpec
from lawtags_stack.services.evaluator.spec_base import ClosedRecord, Count, Number, SpecRecord, Whole


class MetricSpec(SpecRecord):
    """One metric of a task."""

    type: str
    params: JsonObject | None = None


class TaskParams(ClosedRecord):
    """The parameters of a task."""

    template: JsonObject | None = None


class DatasetSpec(SpecRecord):
    """A dataset, by its files."""

    files_url: str | None = None
    limit: Count | None = None


class TaskSpec(SpecRecord):
    """One task of an evaluation."""

    type: str
    params: TaskParams | None = None
    dataset: str | DatasetSpec | None = None
    metrics: dict[str, MetricSpec] | None = None


class GroupSpec(SpecRecord):
    """Tasks whose scores are aggregated."""

    tasks: list[str] | None = None
    metrics: dict[str, SpecRecord] | None = None
    groups: dict[str, GroupSpec] | None = None


class ExtraSpec(ClosedRecord):
    """Additional fields of each request to the model."""

    top_k: Annotated[Whole, Field(ge=-1)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    seed: Whole | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0)] | None = None


class LimitSpec(ClosedRecord):
    """Limits and sampling parameters of an evaluation."""

    parallelism: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
    request_timeout: Annotated[Whole, Field(ge=1, le=86_400)] | None = None
    max_retries: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = 3
    limit_samples: Count | None = None
    max_tokens: Count | None = None
    temperature: Annotated[Number, Field(ge=0)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    extra: ExtraSpec | None = None

    def sampling(self) -> JsonObject:
        """Default fields of each request to the model; a template overrides them."""
        named = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": self.stop,
            **(self.extra.model_dump() if self.extra else {}),
        }
        return {name: value for name, value in named.items() if value is not None}


class ConfigSpec(SpecRecord):
    """The config of an evaluation."""

    type: str
    params: LimitSpec | None = None
    tasks: dict[str, TaskSpec]
    groups: dict[str, GroupSpec] | None = None


class TargetSpec(SpecRecord):
    """The target of an evaluation."""

    type: str
    model: str | ModelFields | None = None
    rows: list[JsonObject] | None = None
    dataset: str | DatasetSpec | None = None
    cached_outputs: DatasetSpec | None = None


@dataclass(frozen=True, slots=True)
class ParsedEvaluation:
    """A parsed evaluation."""

    config: ConfigSpec
    target: TargetSpec


def read_spec(config: JsonObject, target: JsonObject) -> ParsedEvaluation:
    """Parse config and target, and reject unsupported parameters.

    Args:
        config: the config; the types of its tasks and metrics are known to be supported.
        target: the target.

    Raises:
        UnprocessableError: a parameter is missing or has the wrong type; the message has its path.
    """
    measured = validate(TargetSpec, target, within=("target",))
    found = _read_config(config, ("config",))
    for name, task in found.tasks.items():
        if measured.type == "model" and not (task.dataset or measured.dataset or measured.cached_outputs):
            place = ("config", "tasks", name, "dataset")
            raise _unusable(place, "a task that calls a model needs a dataset")
    return ParsedEvaluation(found, measured)


def check_config(config: JsonObject) -> None:
    """Reject a config that no evaluation could use, whatever the target.

    Unsupported types of configs and metrics are left to the job.

    Raises:
        UnprocessableError: a parameter is missing or has the wrong type; the message has its path.
    """
    _read_config({**config, "tasks": config.get("tasks") or {}}, ())


def _read_config(config: JsonObject, within: tuple[str, ...]) -> ConfigSpec:
    found = validate(ConfigSpec, config, within=within)
    for name, task in found.tasks.items():
        place = (*within, "tasks", name)
        if task.params and task.params.template:
            if task.type == "data":
                raise _unusable((*place, "params", "template"), "a data task uses no model; omit it")
            validate(RequestSpec, task.params.template, within=(*place, "params", "template"))
        for key, metric in (task.metrics or {}).items():
            if metric.type in PARAMS:
                _check_metric(metric, (*place, "metrics", key, "params"))
    _check_groups(found.groups or {}, found.tasks.keys(), (*within, "groups"))
    return found


def _check_metric(metric: MetricSpec, within: tuple[str, ...]) -> None:
    params = validate(PARAMS[metric.type], metric.params or {}, within=within)
    if isinstance(params, JudgeParams):
        validate(RequestSpec, params.template, within=(*within, "template"))


def _check_groups(groups: Mapping[str, GroupSpec], tasks: Collection[str], within: tuple[str, ...]) -> None:
    for name, group in groups.items():
        if unknown := next((task for task in group.tasks or () if task not in tasks), None):
            raise _unusable((*within, name, "tasks"), f"the config has no task {unknown[:80]!r}")
        _check_groups(group.groups or {}, tasks, (*within, name, "groups"))


def _unusable(place: tuple[str, ...], why: str) -> UnprocessableError:
    return UnprocessableError(f"{'.'.join(('body', *place))}: {why}")
