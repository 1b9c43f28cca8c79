"""What the wire leaves open in an evaluation, with the types that this Evaluator works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lawtags_stack.http.bodies import validate

Template = str | int | FiniteFloat | bool
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Record(BaseModel):
    """A part of a config; what is not known of it may be anything."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class _Endpoint(_Record):
    url: str
    model_id: str
    api_key: str | None = None


class _Model(_Record):
    api_endpoint: _Endpoint | None = None
    name: str | None = None
    namespace: str | None = None
    url: str | None = None
    model_id: str | None = None
    api_key: str | None = None


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
    tool_calls_ground_truth: str | list[dict[str, Any]] | None = None


class _Parser(_Record):
    type: str | None = None
    pattern: str


class _JudgeScore(_Record):
    type: str | None = None
    parser: _Parser


class _Judge(_Record):
    model: Annotated[str, Field(min_length=1)] | _Model
    template: Annotated[dict[str, Any], Field(min_length=1)]
    scores: Annotated[dict[str, _JudgeScore], Field(min_length=1)]


_PARAMS: dict[str, type[_Record]] = {
    "string-check": _Check,
    "number-check": _Check,
    "tool-calling": _ToolCalling,
    "llm-judge": _Judge,
}


class _TaskParams(_Record):
    template: dict[str, Any] | None = None


class _Dataset(_Record):
    files_url: str | None = None
    limit: Count | None = None


class _Task(_Record):
    params: _TaskParams | None = None
    dataset: str | _Dataset | None = None


class _Group(_Record):
    tasks: list[str] | None = None
    metrics: dict[str, _Record] | None = None
    groups: dict[str, _Group] | None = None


class _Limits(_Record):
    parallelism: Annotated[int, Field(ge=0, le=10_000)] | None = None
    request_timeout: Annotated[int, Field(ge=0, le=86_400)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    limit_samples: Count | None = None
    max_tokens: Count | None = None
    temperature: FiniteFloat | None = None
    top_p: FiniteFloat | None = None


class _Config(_Record):
    params: _Limits | None = None
    tasks: dict[str, _Task]
    groups: dict[str, _Group] | None = None


class _Target(_Record):
    model: str | _Model | None = None
    rows: list[dict[str, Any]] | None = None
    dataset: str | _Dataset | None = None
    cached_outputs: _Dataset | None = None


def check_params(config: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Refuse parameters that this Evaluator cannot work with, before a job is made.

    Args:
        config: what to do; tasks and metrics are known to be of supported types.
        target: what to measure.

    Raises:
        UnprocessableError: one is missing or of the wrong type; names its place.
    """
    validate(_Target, target, within=("target",))
    validate(_Config, config, within=("config",))
    for name, task in config["tasks"].items():
        for key, metric in (task.get("metrics") or {}).items():
            place = ("config", "tasks", name, "metrics", key, "params")
            validate(_PARAMS.get(metric["type"], _Comparison), metric.get("params") or {}, within=place)
