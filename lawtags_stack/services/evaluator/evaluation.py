"""Runs one evaluation: its tasks in order, and their scores by group."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.sandbox.process import Sandboxes
from lawtags_stack.services.evaluator.calculations import Calculations
from lawtags_stack.services.evaluator.metrics import MetricScore, TaskScores
from lawtags_stack.services.evaluator.model_client import Endpoint, Endpoints, ModelClient
from lawtags_stack.services.evaluator.rows import DatasetRow, RowSource, clean_rows
from lawtags_stack.services.evaluator.scoring import Scorer
from lawtags_stack.services.evaluator.spec import (
    DatasetSpec,
    GroupSpec,
    LimitSpec,
    ParsedEvaluation,
    TaskSpec,
    read_spec,
)
from lawtags_stack.services.evaluator.task import ScoredSample, TaskWork

SUPPORTED = {
    "custom": ("chat-completion", "completion", "data"),
    "similarity_metrics": ("default",),
}
_TIMEOUT = 300.0
_NOTICE_SECONDS = 0.05


class CancelledError(Exception):
    """The evaluation was cancelled."""


@dataclass(slots=True)
class EvaluationProgress:
    """The progress of an evaluation."""

    total: int
    processed: int = 0
    tasks: dict[str, str] = field(default_factory=dict)


class GroupScores(TaskScores):
    """The combined metrics of several tasks, and those of nested groups."""

    groups: NotRequired[dict[str, GroupScores]]


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row of a task, with its answer and metrics."""

    task: str
    scored: ScoredSample


@dataclass(slots=True)
class EvaluationOutcome:
    """The result of an evaluation: scores by task and group, and each row with its answer and metrics."""

    tasks: dict[str, TaskScores] = field(default_factory=dict)
    groups: dict[str, GroupScores] = field(default_factory=dict)
    rows: list[ScoredRow] = field(default_factory=list)


def check_supported(config: JsonObject, target: JsonObject) -> None:
    """Reject an unsupported evaluation before a job is created.

    Raises:
        BadRequestError: it is not supported; the message says why.
    """
    kinds = SUPPORTED.get(str(config.get("type")))
    if kinds is None:
        raise BadRequestError(f"Evaluations of type {config.get('type')!r} are not supported; {_supported()}")
    measured = str(target.get("type"))
    if measured not in ("model", "cached_outputs", "rows", "dataset"):
        raise BadRequestError(f"Targets of type {target.get('type')!r} are not supported by this Evaluator")
    if not target.get(measured):
        raise BadRequestError(f"A target of type {measured!r} needs the field {measured!r}")
    tasks = _objects(config.get("tasks"))
    if not tasks:
        raise BadRequestError("The config has no tasks")
    for name, task in tasks.items():
        if task.get("type") == "prompt-optimization":
            raise BadRequestError(
                f"Task {name!r} asks to optimize a prompt, which this stack does not support; {_supported()}"
            )
        if task.get("type") not in kinds:
            raise BadRequestError(f"Task {name!r} has type {task.get('type')!r}; {_supported()}")
        for key, metric in _objects(task.get("metrics")).items():
            if metric.get("type") not in Scorer.KINDS:
                known = ", ".join(sorted(Scorer.KINDS))
                raise BadRequestError(f"Metric {key!r} has type {metric.get('type')!r}; supported: {known}")


def _objects(value: JsonValue) -> dict[str, JsonObject]:
    if not isinstance(value, dict):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, dict)}


def _supported() -> str:
    return "supported: " + "; ".join(f"{kind} with {', '.join(t)}" for kind, t in SUPPORTED.items())


@dataclass(frozen=True, slots=True)
class EvaluationSources:
    """Where evaluations find rows and models."""

    rows: RowSource
    endpoints: Endpoints


class EvaluationRunner:
    """Runs a config on a target.

    Args:
        sources: rows and models.
        config: the full config.
        target: the full target, including secrets.
        sandboxes: run templates, patterns and metrics.
        cancelled: set it to cancel the evaluation.
        on_progress: called after each row.
        log: receives log lines.

    Raises:
        LawtagsError: the evaluation is not supported.
    """

    def __init__(
        self,
        sources: EvaluationSources,
        config: JsonObject,
        target: JsonObject,
        *,
        sandboxes: Sandboxes,
        cancelled: threading.Event,
        on_progress: Callable[[EvaluationProgress], None],
        log: Callable[[str], None],
    ) -> None:
        check_supported(config, target)
        self._spec: ParsedEvaluation = read_spec(config, target)
        self._sources = sources
        self._params = self._spec.config.params or LimitSpec()
        self._cancelled = cancelled
        self._on_progress = on_progress
        self._log = log
        self._sandboxes = sandboxes
        self._sandbox = sandboxes.take()

    def run(self) -> EvaluationOutcome:
        """Run the evaluation.

        Raises:
            CancelledError: it was cancelled.
            LawtagsError: it failed.
        """
        return asyncio.run(self._run())

    async def _run(self) -> EvaluationOutcome:
        work, end = asyncio.create_task(self._work()), asyncio.create_task(self._cancellation())
        try:
            await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise CancelledError
            outcome = work.result()
            self._sandboxes.give_back(self._sandbox)
            return outcome
        except BaseException:
            # First, since a running call blocks a thread until the sandbox exits.
            self._sandbox.stop()
            raise
        finally:
            work.cancel()
            end.cancel()
            await asyncio.gather(work, end, return_exceptions=True)

    async def _cancellation(self) -> None:
        # Polled, since it is set from another thread without an event loop.
        while not self._cancelled.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_NOTICE_SECONDS)

    async def _work(self) -> EvaluationOutcome:
        config = self._spec.config
        rows = {name: self._rows(task) for name, task in config.tasks.items()}
        progress = EvaluationProgress(sum(map(len, rows.values())), tasks=dict.fromkeys(rows, "pending"))
        outcome = EvaluationOutcome()
        client = ModelClient(
            timeout=float(self._params.request_timeout or _TIMEOUT),
            retries=self._params.max_retries or 0,
            policy=self._sources.endpoints.policy,
        )
        try:
            for name, task in config.tasks.items():
                progress.tasks[name] = "running"
                self._on_progress(progress)
                self._log(f"task {name}: {len(rows[name])} rows")
                work = TaskWork(
                    task,
                    rows[name],
                    self._endpoint(task),
                    client,
                    self._sources.endpoints,
                    Calculations(self._sandbox),
                    self._params,
                    similarity=config.type == "similarity_metrics",
                )
                outcome.tasks[name] = await work.run(lambda done: self._advance(progress, done))
                outcome.rows += [ScoredRow(name, scored) for scored in work.shown()]
                progress.tasks[name] = "completed"
                self._on_progress(progress)
        finally:
            await client.close()
        outcome.groups = _groups(config.groups or {}, outcome.tasks)
        return outcome

    def _advance(self, progress: EvaluationProgress, rows: int) -> None:
        progress.processed += rows
        self._on_progress(progress)

    def _rows(self, task: TaskSpec) -> list[DatasetRow]:
        target, limit = self._spec.target, self._params.limit_samples
        match target.type:
            case "rows":
                rows = clean_rows(target.rows or [])
                return rows[: limit or len(rows)]
            case "cached_outputs":
                source: str | DatasetSpec | None = target.cached_outputs
            case "dataset":
                source = target.dataset
            case _:
                source = task.dataset or target.dataset or target.cached_outputs
        if not source:
            raise BadRequestError("A task that calls a model needs a dataset")
        return self._sources.rows.read(source, limit)

    def _endpoint(self, task: TaskSpec) -> Endpoint | None:
        model = self._spec.target.model
        if self._spec.target.type != "model" or task.type == "data" or model is None:
            return None
        return self._sources.endpoints.find(model, chat=task.type == "chat-completion")


def _groups(groups: Mapping[str, GroupSpec], tasks: Mapping[str, TaskScores]) -> dict[str, GroupScores]:
    """Combine the scores of tasks by group: means, weighted by rows."""
    found: dict[str, GroupScores] = {}
    for name, group in groups.items():
        members = [tasks[task] for task in group.tasks or [] if task in tasks]
        keys = list(group.metrics or {}) or list(
            dict.fromkeys(key for task in members for key in task["metrics"])
        )
        found[name] = {"metrics": {key: {"scores": _combine(members, key)} for key in keys}}
        if group.groups:
            found[name]["groups"] = _groups(group.groups, tasks)
    return found


def _combine(members: Sequence[TaskScores], key: str) -> dict[str, MetricScore]:
    parts: dict[str, list[tuple[float, int]]] = {}
    for task in members:
        if key not in task["metrics"]:
            continue
        for name, score in task["metrics"][key]["scores"].items():
            if score["value"] is not None:
                # Scores without statistics have weight one.
                count = score["stats"]["count"] if "stats" in score else 1
                parts.setdefault(name, []).append((score["value"], count))
    scores: dict[str, MetricScore] = {}
    for name, values in parts.items():
        count = sum(each for _, each in values)
        total = sum(value * each for value, each in values)
        mean = total / count
        scores[name] = {"value": mean, "stats": {"count": count, "sum": total, "mean": mean}}
    return scores
