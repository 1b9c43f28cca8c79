"""Runs one task of an evaluation: rows, the model's answers if it is called, and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_stack.services.evaluator import metrics, scoring
from lawtags_stack.services.evaluator.calculations import Calculations
from lawtags_stack.services.evaluator.metric_spec import JudgeParams
from lawtags_stack.services.evaluator.model_client import (
    Endpoint,
    Endpoints,
    Exchange,
    ModelClient,
    output_text,
)
from lawtags_stack.services.evaluator.rows import DatasetRow
from lawtags_stack.services.evaluator.sandboxed import AnsweredRow
from lawtags_stack.services.evaluator.scoring import MetricFields, Sample, TextPair
from lawtags_stack.services.evaluator.spec import LimitSpec, TaskSpec

_PARALLEL = 8
_MOST_PARALLEL = 64
_BATCH_ROWS = 64
_BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """A row with its answer and metrics.

    Args:
        sample: row and answer.
        figures: the values of the row by metric; None for NaN.
        requests: the requests that were sent for it.
    """

    sample: Sample
    figures: dict[str, dict[str, float | None]]
    requests: list[Exchange]


class TaskWork:
    """Runs one task.

    Args:
        task: the full task.
        rows: its rows.
        endpoint: the model to call; None if the rows contain their answers.
        client: calls models.
        endpoints: endpoints of judges.
        calculations: templates, patterns and metrics.
        params: the parameters of the evaluation.
        similarity: whether it is a similarity evaluation, whose scores have their own format.
    """

    def __init__(
        self,
        task: TaskSpec,
        rows: Sequence[DatasetRow],
        endpoint: Endpoint | None,
        client: ModelClient,
        endpoints: Endpoints,
        calculations: Calculations,
        params: LimitSpec,
        *,
        similarity: bool = False,
    ) -> None:
        self._task = task
        self._metrics: dict[str, MetricFields] = {
            key: {"type": metric.type, "params": metric.params}
            for key, metric in (task.metrics or {}).items()
        }
        self._rows = rows
        self._endpoint = endpoint
        self._client = client
        self._endpoints = endpoints
        self._calculations = calculations
        self._params = params
        self._similarity = similarity
        self._exchanges: list[list[Exchange]] = [[] for _ in rows]
        self._samples: list[Sample | None] = [None] * len(rows)
        self._figures: list[dict[str, metrics.RowScores]] = [{} for _ in rows]
        self._texts: list[dict[str, TextPair]] = [{} for _ in rows]

    async def run(self, on_done: Callable[[int], None]) -> metrics.TaskScores:
        """Run the task, and return its scores.

        Args:
            on_done: receives the number of newly completed rows.

        Raises:
            LawtagsError: the task failed.
        """
        if self._endpoint is None:
            for place, row in enumerate(self._rows):
                self._samples[place] = Sample.recorded(row)
            await self._in_parallel(self._batches(), self._score, on_done)
        else:
            await self._in_parallel(([place] for place in range(len(self._rows))), self._answer, on_done)

        summed = partial(
            scoring.results,
            self._metrics,
            self._figures,
            self._texts,
            self._calculations.bleu,
            similarity=self._similarity,
        )
        return {"metrics": await asyncio.to_thread(summed)}

    def shown(self) -> Iterator[ScoredSample]:
        """The rows with their answers, metrics and requests."""
        for sample, figures, asked in zip(self._samples, self._figures, self._exchanges, strict=True):
            if sample is not None:
                yield ScoredSample(sample, metrics.finite(figures), asked)

    async def _in_parallel(
        self,
        work: Iterable[list[int]],
        do: Callable[[list[int]], Awaitable[None]],
        on_done: Callable[[int], None],
    ) -> None:
        left = iter(work)

        async def some() -> None:
            for places in left:
                await do(places)
                on_done(len(places))

        workers = max(1, min(self._params.parallelism or _PARALLEL, _MOST_PARALLEL))
        tasks = [asyncio.create_task(some()) for _ in range(min(workers, max(1, len(self._rows))))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _batches(self) -> Iterator[list[int]]:
        """Batches of rows to score together, smaller if the rows are long."""
        batch: list[int] = []
        size = 0
        for place, row in enumerate(self._rows):
            batch.append(place)
            size += len(json.dumps(row, default=str))
            if len(batch) == _BATCH_ROWS or size > _BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _answer(self, places: list[int]) -> None:
        for place in places:
            self._samples[place] = await self._answered_sample(place)
        await self._score(places)

    async def _answered_sample(self, place: int) -> Sample:
        assert self._endpoint is not None
        row, kind, endpoint = self._rows[place], self._task.type, self._endpoint
        chat = kind == "chat-completion" or (kind == "default" and endpoint.chats)
        params = self._task.params
        template = (params.template if params else None) or _default_template(row, chat)
        rendered = await asyncio.to_thread(
            self._calculations.render, {"template": template, "item": row, "place": _place(place)}
        )
        sampling = self._params.sampling().items()
        body = {**rendered, **{name: value for name, value in sampling if name not in rendered}}
        response = (await self._ask(endpoint, body, place))["response"]
        return Sample(row, output_text(response), response)

    async def _ask(self, endpoint: Endpoint, body: JsonObject, place: int) -> Exchange:
        exchange = await self._client.ask(endpoint, body)
        self._exchanges[place].append(exchange)
        return exchange

    async def _score(self, places: list[int]) -> None:
        rows: list[AnsweredRow] = []
        for place in places:
            sample = self._samples[place]
            if sample is not None:
                rows.append(
                    {
                        "item": sample.item,
                        "output": sample.output,
                        "response": sample.response,
                        "place": _place(place),
                    }
                )
        found = await asyncio.to_thread(self._calculations.score, {"metrics": self._metrics, "rows": rows})
        for place, scored in zip(places, found, strict=True):
            self._figures[place], self._texts[place] = scored["figures"], scored["texts"]
            for key, body in scored["questions"].items():
                self._figures[place][key] = await self._judged(key, body, place)

    async def _judged(self, key: str, body: JsonObject, place: int) -> metrics.RowScores:
        params = JudgeParams.model_validate(self._metrics[key].get("params"))
        endpoint = self._endpoints.find(params.model, chat=True)
        text = output_text((await self._ask(endpoint, body, place))["response"])
        scores = {name: score.as_json() for name, score in params.scores.items()}
        return await asyncio.to_thread(
            self._calculations.judged, {"text": text, "scores": scores, "place": _place(place)}
        )


def _place(place: int) -> str:
    return f"row {place + 1}"


def _default_template(row: DatasetRow, chats: bool) -> JsonObject:
    if chats and "messages" in row:
        return {"messages": "{{ item.messages | tojson }}"}
    column = next((name for name in ("prompt", "input") if name in row), None)
    if column is None:
        raise BadRequestError("The task has no template, and the rows have neither prompt nor input")
    text = f"{{{{item.{column}}}}}"
    return {"messages": [{"role": "user", "content": text}]} if chats else {"prompt": text}
