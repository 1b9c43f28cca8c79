"""One evaluation: its tasks one after the other, and their scores by group."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import BadRequestError
from lawtags_stack.sandbox.process import Sandboxes
from lawtags_stack.services.evaluator.addresses import policy_of
from lawtags_stack.services.evaluator.asking import Asker, Endpoint, find_endpoint
from lawtags_stack.services.evaluator.rows import Row, clean_rows, read_rows
from lawtags_stack.services.evaluator.scoring import Scorer
from lawtags_stack.services.evaluator.task import TaskWork

if TYPE_CHECKING:
    from lawtags_stack.service import StackContext

SUPPORTED = {
    "custom": ("chat-completion", "completion", "data"),
    "similarity_metrics": ("default",),
}
_TIMEOUT = 300.0
_RETRIES = 3
_NOTICE_SECONDS = 0.05
Document = Mapping[str, Any]


class CancelledError(Exception):
    """The evaluation was told to end."""


@dataclass(slots=True)
class Progress:
    """How far an evaluation is."""

    total: int
    processed: int = 0
    tasks: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What an evaluation found: results by task and group, and each row with its answer and figures."""

    tasks: dict[str, Any]
    groups: dict[str, Any]
    raw: list[dict[str, Any]]


def check_supported(config: Document, target: Document) -> None:
    """Refuse what this Evaluator cannot do, before a job is made of it.

    Raises:
        BadRequestError: it cannot, and why.
    """
    kinds = SUPPORTED.get(str(config.get("type")))
    if kinds is None:
        raise BadRequestError(f"Evaluations of type {config.get('type')!r} are not offered; {_offered()}")
    if target.get("type") not in ("model", "cached_outputs", "rows", "dataset"):
        raise BadRequestError(f"Targets of type {target.get('type')!r} are not offered by this Evaluator")
    if not target.get(target["type"]):
        raise BadRequestError(f"A target of type {target['type']!r} needs the field {target['type']!r}")
    tasks = config.get("tasks") or {}
    if not tasks:
        raise BadRequestError("The config has no tasks")
    for name, task in tasks.items():
        if task.get("type") == "prompt-optimization":
            raise BadRequestError(
                f"Task {name!r} asks to optimize a prompt, which this stack does not support; {_offered()}"
            )
        if task.get("type") not in kinds:
            raise BadRequestError(f"Task {name!r} has type {task.get('type')!r}; {_offered()}")
        for key, metric in (task.get("metrics") or {}).items():
            if metric.get("type") not in Scorer.KINDS:
                known = ", ".join(sorted(Scorer.KINDS))
                raise BadRequestError(f"Metric {key!r} has type {metric.get('type')!r}; known are {known}")


def _offered() -> str:
    return "offered are " + "; ".join(f"{kind} with {', '.join(t)}" for kind, t in SUPPORTED.items())


class Evaluation:
    """Runs a config on a target.

    Args:
        context: the stack.
        config: what to do, written out.
        target: what to measure, written out, secrets in it.
        sandboxes: where templates, patterns and metrics run.
        cancelled: set to end it.
        on_progress: told after each row.
        log: told what happens, a line at a time.
    """

    def __init__(
        self,
        context: StackContext,
        config: Document,
        target: Document,
        *,
        sandboxes: Sandboxes,
        cancelled: threading.Event,
        on_progress: Callable[[Progress], None],
        log: Callable[[str], None],
    ) -> None:
        self._context = context
        self._config = config
        self._target = target
        self._params = config.get("params") or {}
        self._cancelled = cancelled
        self._on_progress = on_progress
        self._log = log
        self._sandboxes = sandboxes
        self._sandbox = sandboxes.take()

    def run(self) -> Outcome:
        """Do it.

        Raises:
            CancelledError: it was told to end.
            LawtagsError: it cannot be done.
        """
        return asyncio.run(self._run())

    async def _run(self) -> Outcome:
        work, end = asyncio.create_task(self._work()), asyncio.create_task(self._cancellation())
        try:
            await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise CancelledError
            outcome = work.result()
            self._sandboxes.give_back(self._sandbox)
            return outcome
        except BaseException:
            # First, since a call under way holds a thread until the sandbox has ended.
            self._sandbox.stop()
            raise
        finally:
            work.cancel()
            end.cancel()
            await asyncio.gather(work, end, return_exceptions=True)

    async def _cancellation(self) -> None:
        # Looked at rather than waited for: whoever cancels is in another thread, and has no loop.
        while not self._cancelled.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_NOTICE_SECONDS)

    async def _work(self) -> Outcome:
        check_supported(self._config, self._target)
        rows = {name: self._rows(task) for name, task in self._config["tasks"].items()}
        progress = Progress(sum(map(len, rows.values())), tasks=dict.fromkeys(rows, "pending"))
        outcome = Outcome({}, {}, [])
        asker = Asker(
            timeout=float(self._params.get("request_timeout") or _TIMEOUT),
            retries=int(self._params.get("max_retries", _RETRIES) or 0),
            policy=policy_of(self._context),
        )
        try:
            for name, task in self._config["tasks"].items():
                progress.tasks[name] = "running"
                self._on_progress(progress)
                self._log(f"task {name}: {len(rows[name])} rows")
                work = TaskWork(
                    task,
                    rows[name],
                    self._endpoint(task),
                    asker,
                    self._context,
                    self._sandbox,
                    self._params,
                    similarity=self._config["type"] == "similarity_metrics",
                )
                outcome.tasks[name] = await work.run(lambda done: self._advance(progress, done))
                outcome.raw += [{"task": name, **row} for row in work.shown()]
                progress.tasks[name] = "completed"
                self._on_progress(progress)
        finally:
            await asker.close()
        outcome.groups = _groups(self._config.get("groups") or {}, outcome.tasks)
        return outcome

    def _advance(self, progress: Progress, rows: int) -> None:
        progress.processed += rows
        self._on_progress(progress)

    def _rows(self, task: Document) -> list[Row]:
        limit = self._params.get("limit_samples")
        source = task.get("dataset") or self._target.get("dataset") or self._target.get("cached_outputs")
        if self._target["type"] in ("cached_outputs", "dataset"):
            source = self._target[self._target["type"]]
        if self._target["type"] == "rows":
            rows = clean_rows(self._target["rows"])
            return rows[: limit or len(rows)]
        if not source:
            raise BadRequestError("A task that asks a model needs a dataset")
        return read_rows(self._context, source, limit)

    def _endpoint(self, task: Document) -> Endpoint | None:
        if self._target["type"] != "model" or task["type"] == "data":
            return None
        return find_endpoint(self._context, self._target["model"], chat=task["type"] == "chat-completion")


def _groups(groups: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of several tasks as one: means, weighted by rows."""
    found: dict[str, Any] = {}
    for name, group in groups.items():
        wanted = group.get("metrics") or {}
        members = [tasks[task] for task in group.get("tasks") or [] if task in tasks]
        keys = list(wanted) or list(dict.fromkeys(key for task in members for key in task["metrics"]))
        found[name] = {"metrics": {key: {"scores": _together(members, key)} for key in keys}}
        if group.get("groups"):
            found[name]["groups"] = _groups(group["groups"], tasks)
    return found


def _together(members: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    parts: dict[str, list[tuple[float, int]]] = {}
    for task in members:
        for name, score in task["metrics"].get(key, {}).get("scores", {}).items():
            if score["value"] is not None:
                # Scores without statistics count as one each.
                parts.setdefault(name, []).append((score["value"], score.get("stats", {}).get("count", 1)))
    scores = {}
    for name, values in parts.items():
        count = sum(each for _, each in values)
        total = sum(value * each for value, each in values)
        mean = total / count
        scores[name] = {"value": mean, "stats": {"count": count, "sum": total, "mean": mean}}
    return scores
