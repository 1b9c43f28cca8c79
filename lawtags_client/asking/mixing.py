"""Tags by a fitted tagger: one token of the model, mixed with a retriever's scores.

The fit may have left the model out. Such a tagger needs no token, so nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lawtags_client.asking.arguments import check_questions
from lawtags_client.asking.preparation import prepared
from lawtags_client.asking.tagged import Tagged, TagScorer, failure
from lawtags_client.closing import closing
from lawtags_client.errors import LawtagsError
from lawtags_client.services.inference.completions import first_chat_token, first_token
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.source import Items, made_in_thread
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.scores import BLOCK, named_scores
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage

if TYPE_CHECKING:
    from lawtags_client.services.inference import Inference

__all__ = ["tag_by_mixing"]

R = TypeVar("R")
Likeliest: TypeAlias = Mapping[str, float] | LawtagsError

TOP_TOKENS = 20
_ROWS_AT_ONCE = 16

logger = logging.getLogger(__name__)


async def tag_by_mixing(
    inference: Callable[[], Inference],
    questions: Items[Question],
    tagger: TagScorer,
    *,
    asking: PromptSettings | None,
    unmasked: bool,
    model: str,
    chat: bool,
    concurrency: int | None,
    batch_size: int,
) -> AsyncIterator[Tagged]:
    """Tag with a fitted tagger: one token of the model, mixed with the retriever.

    A tagger that leaves the model out sends no request. A scorer need not have ``uses_model``; without it,
    the model is asked.

    Rows are mixed in blocks at fixed places, since the last digits of a score may depend on its neighbours;
    the answers for the next blocks are fetched meanwhile, and the next questions made ready.
    """
    asked: deque[Question] = deque()
    uses_model: bool = getattr(tagger, "uses_model", True)

    def ready(batch: list[Question]) -> list[tuple[Question, str]]:
        check_questions(batch)
        made = prepared(batch, asking, unmasked=unmasked)
        return [(question, tagger.prompt(question).text if uses_model else "") for question in made]

    async def prompts() -> AsyncGenerator[str, None]:
        async with aclosing(made_in_thread(questions, ready, _ROWS_AT_ONCE)) as made:
            async for question, prompt in made:
                asked.append(question)
                yield prompt

    if not uses_model:
        logger.info("the tagger does not use the language model %s; no request is sent", model)
        answers = _no_tokens(prompts())
    elif chat:
        answers = _chat_tokens(inference(), prompts(), model, concurrency)
    else:
        answers = _tokens(inference(), prompts(), model, concurrency, batch_size)
    row = 0
    async with closing(_blocks(_ahead(answers, BLOCK), BLOCK)) as blocks:
        async for block in blocks:
            chunk = [asked.popleft() for _ in block]
            mixed = await asyncio.to_thread(_mix, tagger, chunk, block)
            for question, tagged in zip(chunk, mixed, strict=True):
                yield replace(tagged, row=row, id=question.id)
                row += 1


async def _no_tokens(prompts: AsyncGenerator[str, None]) -> AsyncGenerator[Likeliest, None]:
    async with aclosing(prompts):
        async for _ in prompts:
            yield {}


async def _tokens(
    inference: Inference, prompts: AsyncIterable[str], model: str, concurrency: int | None, batch_size: int
) -> AsyncGenerator[Likeliest, None]:
    outcomes = inference.complete_each(
        prompts,
        model=model,
        max_tokens=1,
        logprobs=TOP_TOKENS,
        concurrency=concurrency,
        batch_size=batch_size,
        ordered=True,
    )
    async with closing(outcomes):
        async for outcome in outcomes:
            yield _read(first_token, outcome)


async def _chat_tokens(
    inference: Inference, prompts: AsyncIterable[str], model: str, concurrency: int | None
) -> AsyncGenerator[Likeliest, None]:
    async def requests() -> AsyncGenerator[ChatCompletionRequest, None]:
        async with closing(prompts):
            async for prompt in prompts:
                yield ChatCompletionRequest(
                    model=model,
                    messages=[ChatMessage(role="user", content=prompt)],
                    max_tokens=1,
                    temperature=0.0,
                    logprobs=True,
                    top_logprobs=TOP_TOKENS,
                )

    outcomes = inference.chat_each(requests(), concurrency=concurrency, ordered=True)
    async with closing(outcomes):
        async for outcome in outcomes:
            yield _read(first_chat_token, outcome)


async def _ahead(source: AsyncGenerator[R, None], most: int) -> AsyncGenerator[R, None]:
    """What a source gives, fetched while the taker is busy with what came before."""
    fetched: asyncio.Queue[tuple[R] | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def fetch() -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    await room.acquire()
                    fetched.put_nowait((item,))
        finally:
            fetched.put_nowait(None)

    task = asyncio.create_task(fetch())
    try:
        while (entry := await fetched.get()) is not None:
            room.release()
            yield entry[0]
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _blocks(source: AsyncIterator[R], size: int) -> AsyncIterator[list[R]]:
    block: list[R] = []
    async with closing(source):
        async for item in source:
            block.append(item)
            if len(block) == size:
                yield block
                block = []
    if block:
        yield block


def _read(read: Callable[[R], Mapping[str, float]], outcome: Outcome[R]) -> Likeliest:
    if outcome.value is None:
        return failure(outcome.error)
    try:
        return read(outcome.value)
    except LawtagsError as error:
        return error


def _mix(tagger: TagScorer, questions: Sequence[Question], likeliest: Sequence[Likeliest]) -> list[Tagged]:
    """What the tagger says of each question, not yet numbered."""
    pairs = [
        (question, lm) for question, lm in zip(questions, likeliest, strict=True) if isinstance(lm, Mapping)
    ]
    scores = iter(
        tagger.scores([question for question, _ in pairs], [lm for _, lm in pairs]) if pairs else ()
    )
    # A scorer need not know how to abstain.
    abstains: Callable[[object], bool] = getattr(tagger, "abstains", lambda _: False)
    found: list[Tagged] = []
    for lm in likeliest:
        if isinstance(lm, LawtagsError):
            found.append(Tagged(0, "", error=lm))
            continue
        row = next(scores)
        named = named_scores(row, tagger.vocabulary)
        found.append(Tagged(0, "", tagger.decide(row), named, held=True, abstained=abstains(row)))
    return found
