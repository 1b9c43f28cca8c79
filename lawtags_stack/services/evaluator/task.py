"""One task of an evaluation: rows, the model's answers to them where it is asked, and the metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator import metrics, scoring
from lawtags_stack.services.evaluator.asking import Asker, Endpoint, Exchange, find_endpoint, output_text
from lawtags_stack.services.evaluator.rows import Row
from lawtags_stack.services.evaluator.scoring import Sample

if TYPE_CHECKING:
    from lawtags_stack.sandbox.process import Sandbox
    from lawtags_stack.service import StackContext

Document = Mapping[str, Any]
_PARALLEL = 8
_MOST_PARALLEL = 64
_SAMPLING = ("max_tokens", "temperature", "top_p", "stop")
_BATCH_ROWS = 64
_BATCH_CHARACTERS = 1 << 20
ItemT = TypeVar("ItemT")


class TaskWork:
    """Runs one task.

    Args:
        task: what to do, written out.
        rows: the rows to do it with.
        endpoint: the model to ask; None where rows bring their answers along.
        asker: asks models.
        context: the stack, for the endpoints of judges.
        sandbox: where templates, patterns and metrics run.
        params: the parameters of the evaluation.
        similarity: whether it is an evaluation of similarity, whose scores have a form of their own.
    """

    def __init__(
        self,
        task: Document,
        rows: Sequence[Row],
        endpoint: Endpoint | None,
        asker: Asker,
        context: StackContext,
        sandbox: Sandbox,
        params: Document,
        *,
        similarity: bool = False,
    ) -> None:
        self._task = task
        self._metrics: Mapping[str, Mapping[str, Any]] = task.get("metrics") or {}
        self._rows = rows
        self._endpoint = endpoint
        self._asker = asker
        self._context = context
        self._sandbox = sandbox
        self._params = params
        self._similarity = similarity
        self._exchanges: list[list[Exchange]] = [[] for _ in rows]
        self._samples: list[Sample | None] = [None] * len(rows)
        self._figures: list[dict[str, metrics.RowScores]] = [{} for _ in rows]
        self._texts: list[dict[str, Any]] = [{} for _ in rows]

    async def run(self, on_done: Callable[[int], None]) -> dict[str, Any]:
        """The scores.

        Args:
            on_done: told of how many rows more are done.

        Raises:
            LawtagsError: the task cannot be done.
        """
        if self._endpoint is None:
            for place, row in enumerate(self._rows):
                self._samples[place] = Sample.recorded(row)
            await self._in_parallel(self._batches(), self._score, on_done)
        else:
            await self._in_parallel(([place] for place in range(len(self._rows))), self._answer, on_done)

        loop = asyncio.get_running_loop()

        def bleu(outputs: list[str], references: list[list[str]]) -> tuple[list[float], float]:
            argument = {"outputs": outputs, "references": references}
            sentences, corpus = self._sandbox.call("bleu", argument)
            return sentences, corpus

        arguments = (self._metrics, self._figures, self._texts, bleu)
        summed = partial(scoring.results, *arguments, similarity=self._similarity)
        return {"metrics": await loop.run_in_executor(None, summed)}

    def shown(self) -> Iterator[dict[str, Any]]:
        """The rows with their answers and figures, and with what was asked for them."""
        for sample, figures, asked in zip(self._samples, self._figures, self._exchanges, strict=True):
            if sample is not None:
                found = {"item": sample.item, "sample": sample.shown(), "metrics": metrics.finite(figures)}
                yield {**found, "requests": asked}

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

        workers = max(1, min(int(self._params.get("parallelism") or _PARALLEL), _MOST_PARALLEL))
        tasks = [asyncio.create_task(some()) for _ in range(min(workers, max(1, len(self._rows))))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _batches(self) -> Iterator[list[int]]:
        """Rows to score together: so many, or fewer where they are long."""
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

    async def _call(self, operation: str, argument: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._sandbox.call, operation, argument)

    async def _answer(self, places: list[int]) -> None:
        for place in places:
            self._samples[place] = await self._asked(place)
        await self._score(places)

    async def _asked(self, place: int) -> Sample:
        assert self._endpoint is not None
        row, params = self._rows[place], self._task.get("params") or {}
        kind = self._task["type"]
        chat = kind == "chat-completion" or (kind == "default" and self._endpoint.chats)
        template = dict(params.get("template") or _default_template(row, chat))
        argument = {"template": template, "item": row, "place": _place(place)}
        body = dict(await self._call("render", argument))
        for name in _SAMPLING:
            if self._params.get(name) is not None:
                body.setdefault(name, self._params[name])
        response = (await self._ask(self._endpoint, body, place))["response"]
        return Sample(row, output_text(response), response)

    async def _ask(self, endpoint: Endpoint, body: dict[str, Any], place: int) -> Exchange:
        exchange = await self._asker.ask(endpoint, body)
        self._exchanges[place].append(exchange)
        return exchange

    async def _score(self, places: list[int]) -> None:
        samples = [self._samples[place] for place in places]
        rows = [
            {"item": each.item, "output": each.output, "response": each.response, "place": _place(place)}
            for place, each in zip(places, samples, strict=True)
            if each is not None
        ]
        found = await self._call("score", {"metrics": self._metrics, "rows": rows})
        for place, scored in zip(places, found, strict=True):
            self._figures[place], self._texts[place] = scored["figures"], scored["texts"]
            for key, body in scored["questions"].items():
                self._figures[place][key] = await self._judged(key, body, place)

    async def _judged(self, key: str, body: dict[str, Any], place: int) -> metrics.RowScores:
        params = self._metrics[key]["params"]
        endpoint = find_endpoint(self._context, params["model"], chat=True)
        text = output_text((await self._ask(endpoint, body, place))["response"])
        argument = {"text": text, "scores": params["scores"], "place": _place(place)}
        found: metrics.RowScores = await self._call("judged", argument)
        return found


def _place(place: int) -> str:
    return f"row {place + 1}"


def _default_template(row: Row, chats: bool) -> dict[str, Any]:
    if chats and "messages" in row:
        return {"messages": "{{ item.messages | tojson }}"}
    column = next((name for name in ("prompt", "input") if name in row), None)
    if column is None:
        raise BadRequestError("The task has no template, and the rows have neither prompt nor input")
    text = f"{{{{item.{column}}}}}"
    return {"messages": [{"role": "user", "content": text}]} if chats else {"prompt": text}
