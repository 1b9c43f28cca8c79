"""Carries out evaluation jobs, one after the other."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.errors import BadRequestError, LawtagsError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.evaluations.metric_bundles import BundledMetric, read_metric
from lawtags_stack.helix.evaluations.scores import (
    AnsweredItem,
    EvaluationScores,
    aggregates,
    results,
    row_scores,
    score,
)
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.jobs.states import FINAL
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.lists import without_nulls
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.secrets import Secrets
from lawtags_stack.helix.tables import Table, split_reference
from lawtags_stack.http.bodies import strict_json
from lawtags_stack.sandbox.process import Sandbox
from lawtags_stack.service import StackContext
from lawtags_stack.services.evaluator import sandboxed
from lawtags_stack.services.evaluator.addresses import policy_of
from lawtags_stack.services.evaluator.calculations import Calculations
from lawtags_stack.services.evaluator.model_client import Endpoint, ModelClient, output_text

_log = logging.getLogger(__name__)
SOURCE, STEP = "nemo-evals", "evaluate"
_PAUSE = 0.1
_PAUSES = 20  # between looks at all jobs
_ANSWER_SECONDS = 600.0
_ORDER = ("evaluation-results", "aggregate-scores", "row-scores", "run-metadata", "artifacts")


class _Cancelled(Exception):
    """The job was asked to stop."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    answers: list[AnsweredItem]
    scores: EvaluationScores
    metrics: list[BundledMetric]
    errored: int


class HelixEvaluationWorker:
    """Carries out evaluation jobs.

    Args:
        context: the stack.
        jobs: all jobs.
        filesets: datasets, and the places of results.
        secrets: the API keys of targets.
        results: the table of finished evaluations.
    """

    def __init__(
        self, context: StackContext, jobs: JobStore, filesets: Filesets, secrets: Secrets, results: Table
    ) -> None:
        self._jobs = jobs
        self._filesets = filesets
        self._secrets = secrets
        self._results = results
        self._context = context
        self._policy = policy_of(context)
        self._sandbox: Sandbox | None = None
        self.submitted = threading.Event()

    async def run(self) -> None:
        """Carry out jobs until cancelled."""
        while True:
            self.submitted.clear()
            job = await asyncio.to_thread(self._next)
            if job is None:
                await self._wait()
                continue
            try:
                await self._carry_out(job)
            except Exception:  # one job must not end all others
                _log.exception("the evaluation %s could not be carried out", job["name"])
                await asyncio.sleep(_PAUSE)

    async def _wait(self) -> None:
        """Wait until a job is submitted, or a while: jobs are also paused, resumed and cancelled."""
        for _ in range(_PAUSES):
            if self.submitted.is_set():
                return
            await asyncio.sleep(_PAUSE)

    def stop(self) -> None:
        """Stop the process that renders templates."""
        if self._sandbox is not None:
            self._sandbox.stop()

    def calculations(self) -> Calculations:
        """Calculations in the sandbox."""
        if self._sandbox is None:
            self._sandbox = Sandbox(sandboxed.MODULE)
        return Calculations(self._sandbox)

    def _next(self) -> JsonObject | None:
        unfinished = (
            job for job in self._jobs.within("-") if job["source"] == SOURCE and job["status"] not in FINAL
        )
        return next(unfinished, None)

    async def _carry_out(self, job: JsonObject) -> None:
        workspace, name = str(job["workspace"]), str(job["name"])
        task = f"task-{uuid.uuid4().hex}"
        try:
            await asyncio.to_thread(self._begin, workspace, name, task)
            started = self._context.clock().isoformat()
            outcome = await self._evaluate(job)
            await asyncio.to_thread(self._finish, job, task, outcome, started)
        except _Cancelled:
            self._end(job, task, "cancelled", {})
        except (LawtagsError, HelixError) as error:
            message = f"Job exited with code 1: {error.message}"
            details: JsonObject = {"message": message, "exit_code": 1}
            await asyncio.to_thread(self._end, job, task, "error", details)

    def _begin(self, workspace: str, name: str, task: str) -> None:
        _, step = self._jobs.step(workspace, name, STEP)
        if step["status"] in ("cancelling", "pausing", "paused"):
            self._jobs.update_step(workspace, name, STEP, {"status": _answer_to(str(step["status"]))})
            raise _Cancelled
        self._jobs.update_step(workspace, name, STEP, {"status": "active"})
        self._jobs.put_task(workspace, name, STEP, task, {"status": "active"})

    async def _evaluate(self, job: JsonObject) -> _Outcome:
        spec = job["spec"]
        assert isinstance(spec, dict)
        bundles = spec["metrics"]
        metrics = (
            [read_metric(each) for each in bundles if isinstance(each, dict)]
            if isinstance(bundles, list)
            else []
        )
        rows = await asyncio.to_thread(self._rows, spec, str(job["workspace"]))
        target = spec.get("target")
        errored = 0
        if isinstance(target, dict):
            answers, errored = await self._ask(job, spec, target, rows)
        else:
            answers = [AnsweredItem(row) for row in rows]
        scores = await asyncio.to_thread(score, metrics, answers, self.calculations())
        return _Outcome(answers, scores, metrics, errored)

    def _rows(self, spec: JsonObject, workspace: str) -> list[JsonObject]:
        dataset, params = spec["dataset"], spec["params"]
        limit = params.get("limit_samples") if isinstance(params, dict) else None
        if isinstance(dataset, str):
            place, _, path = dataset.partition("#")
            owner, name = split_reference(place, workspace)
            self._filesets.get(owner, name)
            file = self._filesets.files.get(owner, name, path)
            found = _read_rows(self._filesets.files.blobs.path(file.sha256).read_bytes(), dataset)
        else:
            found = [row for row in dataset if isinstance(row, dict)] if isinstance(dataset, list) else []
        return found[: int(limit)] if isinstance(limit, int) else found

    async def _ask(
        self, job: JsonObject, spec: JsonObject, target: JsonObject, rows: Sequence[JsonObject]
    ) -> tuple[list[AnsweredItem], int]:
        """Ask the target for an answer to each row; returns them, and the number of failures."""
        params = spec["params"]
        assert isinstance(params, dict)
        seconds, retries = params.get("request_timeout"), params.get("max_retries")
        client = ModelClient(
            timeout=float(seconds) if isinstance(seconds, int | float) else _ANSWER_SECONDS,
            retries=retries if isinstance(retries, int) else 3,
            policy=self._policy,
        )
        endpoint = await asyncio.to_thread(self._endpoint, target, str(job["workspace"]))
        turn = asyncio.Semaphore(int(str(params.get("parallelism") or 1)))
        lenient = bool(params.get("ignore_request_failure"))

        async def ask(row: JsonObject, index: int) -> AnsweredItem | None:
            async with turn:
                await asyncio.to_thread(self._check_wanted, job)
                body = await asyncio.to_thread(self._request, spec, params, row, index)
                try:
                    exchange = await client.ask(endpoint, body)
                except LawtagsError:
                    if lenient:
                        return None
                    raise
                response = exchange["response"]
                return AnsweredItem(row, output_text(response), response, exchange["request"])

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(row, index)) for index, row in enumerate(rows)]
        except* (LawtagsError, _Cancelled) as failed:
            raise failed.exceptions[0] from None
        finally:
            await client.close()
        answers = [task.result() for task in tasks]
        return [each for each in answers if each is not None], sum(each is None for each in answers)

    def _request(self, spec: JsonObject, params: JsonObject, row: JsonObject, index: int) -> JsonObject:
        template = spec["prompt_template"]
        if isinstance(template, str):
            template = {"messages": [{"role": "user", "content": template}]}
        assert isinstance(template, dict)
        body = self.calculations().render({"template": template, "item": {**row}, "place": f"row {index}"})
        system, inference = params.get("system_prompt"), params.get("inference")
        messages = body.get("messages")
        if isinstance(system, str) and isinstance(messages, list):
            body = {**body, "messages": [{"role": "system", "content": system}, *messages]}
        asked = inference if isinstance(inference, dict) else {}
        return {**body, **{name: each for name, each in asked.items() if each is not None}}

    def _endpoint(self, target: JsonObject, workspace: str) -> Endpoint:
        url, secret = str(target["url"]), target.get("api_key_secret")
        self._policy.check(url)
        key = None
        if isinstance(secret, str):
            key = self._secrets.value(*split_reference(secret, workspace))
            if key is None:
                raise BadRequestError(f"the secret {secret[:80]!r} of the target does not exist")
        elif self._policy.is_own(url):
            key = self._context.options.token
        return Endpoint(url, str(target["name"]), key)

    def _check_wanted(self, job: JsonObject) -> None:
        _, step = self._jobs.step(str(job["workspace"]), str(job["name"]), STEP)
        if step["status"] in ("cancelling", "cancelled"):
            raise _Cancelled

    def _finish(self, job: JsonObject, task: str, outcome: _Outcome, started: str) -> None:
        """Store the results, and complete the job."""
        self._check_wanted(job)
        workspace, name = str(job["workspace"]), str(job["name"])
        found = results(outcome.metrics, outcome.answers, outcome.scores)
        scores: JsonObject = {"scores": aggregates(outcome.metrics, outcome.scores)}
        rows = row_scores(outcome.metrics, outcome.answers, outcome.scores)
        lines = "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in rows)
        metadata = json.dumps({"run_id": name, "started_at": started})
        content = {
            "evaluation-results": json.dumps(found, ensure_ascii=False),
            "aggregate-scores": json.dumps(scores),
            "row-scores": lines,
            "run-metadata": metadata,
            "artifacts/aggregate-scores.json": json.dumps(scores),
            "artifacts/row-scores.jsonl": lines,
            "artifacts/run-metadata.json": metadata,
        }
        folder, fileset = f"results/{job['attempt_id']}", str(job["fileset"])
        for path, text in content.items():
            blob = self._filesets.files.blobs.put(text.encode("utf-8"))
            self._filesets.files.put(workspace, fileset, f"{folder}/{path}", blob)
        for each in _ORDER:
            self._jobs.results.add(job, each, f"{workspace}/{fileset}#{folder}/{each}", "fileset")
        self._record(job, outcome, scores)
        total = len(outcome.answers) + outcome.errored
        evaluation: JsonObject = {
            "unit": "rows",
            "total": total,
            "errored": outcome.errored,
            "scored": len(outcome.answers),
            "failed": False,
            "message": f"{len(outcome.answers)} of {total} rows scored; {outcome.errored} reported errors.",
        }
        self._jobs.merge_details(job, {"evaluation": evaluation, **_tokens(outcome.answers)})
        message = "Job completed successfully with exit code 0"
        self._end(job, task, "completed", {"message": message, "exit_code": 0})

    def _end(self, job: JsonObject, task: str, status: str, details: JsonObject) -> None:
        workspace, name = str(job["workspace"]), str(job["name"])
        _, step = self._jobs.step(workspace, name, STEP)
        if step["status"] in FINAL:
            return
        error: JsonObject = {"message": details.get("message")} if status == "error" else {}
        sent: JsonObject = {"status": status, "status_details": details, "error_details": error or None}
        if self._jobs.task(step, task) is not None:
            self._jobs.put_task(workspace, name, STEP, task, sent)
        self._jobs.update_step(workspace, name, STEP, sent)

    def _record(self, job: JsonObject, outcome: _Outcome, scores: JsonObject) -> None:
        spec = job["spec"]
        assert isinstance(spec, dict)
        target, dataset = spec.get("target"), spec["dataset"]
        place = f"{job['workspace']}/{job['fileset']}#results/{job['attempt_id']}"
        fields: JsonObject = {
            "job_id": job["name"],
            **(
                {"target_kind": "model", "target_name": target["name"], "target_url": target["url"]}
                if isinstance(target, dict)
                else {}
            ),
            "scores": without_nulls(scores),
            "bundle_ref": f"{place}/evaluation-results",
            **({"dataset_ref": dataset} if isinstance(dataset, str) else {}),
            "metric_types": [metric.kind for metric in outcome.metrics],
            "row_count": len(outcome.answers) + outcome.errored,
            "error_row_count": outcome.errored,
        }
        workspace, name = str(job["workspace"]), str(job["name"])
        if self._results.find(workspace, name) is None:
            self._results.insert(workspace, name, fields)


def _answer_to(status: str) -> str:
    return "cancelled" if status == "cancelling" else "paused"


def _read_rows(content: bytes, place: str) -> list[JsonObject]:
    try:
        if content.lstrip().startswith(b"["):
            found = strict_json(content)
        else:
            found = [strict_json(line) for line in content.splitlines() if line.strip()]
    except ValueError as error:
        raise BadRequestError(f"the dataset {place[:200]!r} is not JSON or JSON lines: {error}") from None
    rows = found if isinstance(found, list) else []
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise BadRequestError(f"the dataset {place[:200]!r} has no rows, or rows that are not objects")
    return [row for row in rows if isinstance(row, dict)]


def _tokens(answers: Sequence[AnsweredItem]) -> JsonObject:
    counted: dict[str, JsonValue] = {}
    for name, key in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        usages = [each.response.get("usage") for each in answers]
        known = [each.get(key) for each in usages if isinstance(each, dict)]
        if known:
            counted[name] = sum(each for each in known if isinstance(each, int))
    return counted
