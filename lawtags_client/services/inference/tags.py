"""From questions to tags: by a fitted tagger, or by parsing what the model writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from lawtags_client.asking import prepared
from lawtags_client.errors import LawtagsError, ProtocolError
from lawtags_client.services.inference.completions import first_chat_token, first_token
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.matching import MatchesTags, matches_constraint
from lawtags_client.services.inference.source import Items, made_in_thread
from lawtags_client.services.inference.written import as_completion, constraints, scores
from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.scores import BLOCK, named_scores
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage, CompletionChoice

if TYPE_CHECKING:
    from lawtags_client.services.inference import Inference

R = TypeVar("R")
Likeliest: TypeAlias = Mapping[str, float] | LawtagsError

TOP_TOKENS = 20
_ROWS_AT_ONCE = 16


class TagScorer(Protocol):
    """What mixes a model's log-probabilities with a retriever; see ``lawtags_client.tagging``."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def prompt(self, question: Question, /) -> Prompt: ...

    def scores(self, questions: Sequence[Question], lm: Sequence[Mapping[str, float]] | None, /) -> Any: ...

    def decide(self, row_scores: Any, /) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one question.

    Args:
        row: its place, from zero.
        id: its id.
        tags: best first; empty where nothing is sure enough.
        scores: tag to probability: a tagger's for its ten best tags, or that with which the model wrote the
            tag; empty where the server gives no log-probabilities.
        error: why there are no tags.
        held: whether the answer was held to the vocabulary; None where that is not known, or nothing was
            asked for. A tagger gives no tags but its own.
    """

    row: int
    id: str
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    error: LawtagsError | None = None
    held: bool | None = None


def abstaining(tagged: Tagged, threshold: float) -> Tagged:
    """Without the tags that are less likely than a threshold, from 0 to 1."""
    sure = tuple(tag for tag in tagged.tags if tagged.scores[tag] >= threshold)
    return replace(tagged, tags=sure)


async def tag_by(
    inference: Inference,
    questions: Items[Question],
    *,
    tagger: TagScorer | None,
    chat: bool | None,
    threshold: float | None,
    unmasked: bool,
    model: str,
    concurrency: int | None,
    batch_size: int,
    style: PromptStyle | None,
    vocabulary: Vocabulary | None,
    limit: int,
    ordered: bool,
) -> AsyncIterator[Tagged]:
    """Tag by a tagger, or by what the model writes; see ``Inference.tag_many``."""
    if tagger is not None:
        asking = getattr(tagger, "asking", None)
        found = tag_by_mixing(
            inference,
            questions,
            tagger,
            unmasked=unmasked,
            model=model,
            chat=asking.chat if chat is None and asking is not None else bool(chat),
            concurrency=concurrency,
            batch_size=batch_size,
        )
    else:
        found = tag_by_writing(
            inference,
            questions,
            model=model,
            chat=bool(chat),
            needs_scores=threshold is not None,
            concurrency=concurrency,
            style=style,
            vocabulary=vocabulary,
            limit=limit,
            ordered=ordered,
        )
    async for tagged in found:
        yield tagged if threshold is None else abstaining(tagged, threshold)


async def tag_by_mixing(
    inference: Inference,
    questions: Items[Question],
    tagger: TagScorer,
    *,
    unmasked: bool,
    model: str,
    chat: bool,
    concurrency: int | None,
    batch_size: int,
) -> AsyncIterator[Tagged]:
    """Tag with a fitted tagger: one token of the model, mixed with the retriever.

    Rows are mixed in blocks at fixed places, since the last digits of a score may depend on its neighbours;
    the answers for the next blocks are fetched meanwhile, and the next questions made ready.
    """
    asked: deque[Question] = deque()
    asking = getattr(tagger, "asking", None)

    def ready(batch: list[Question]) -> list[tuple[Question, str]]:
        made = prepared(batch, asking, unmasked=unmasked)
        return [(question, tagger.prompt(question).text) for question in made]

    async def prompts() -> AsyncGenerator[str, None]:
        async with aclosing(made_in_thread(questions, ready, _ROWS_AT_ONCE)) as made:
            async for question, prompt in made:
                asked.append(question)
                yield prompt

    if chat:
        answers = _chat_tokens(inference, prompts(), model, concurrency)
    else:
        answers = _tokens(inference, prompts(), model, concurrency, batch_size)
    row = 0
    async with aclosing(_ahead(answers, BLOCK)) as fetched:
        async for block in _blocks(fetched, BLOCK):
            chunk = [asked.popleft() for _ in block]
            mixed = await asyncio.to_thread(_mix, tagger, chunk, block)
            for question, tagged in zip(chunk, mixed, strict=True):
                yield Tagged(row, question.id, *tagged, held=True if tagged[2] is None else None)
                row += 1


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
    async for outcome in outcomes:
        yield _read(first_token, outcome)


async def _chat_tokens(
    inference: Inference, prompts: AsyncIterable[str], model: str, concurrency: int | None
) -> AsyncGenerator[Likeliest, None]:
    requests = (
        ChatCompletionRequest(
            model=model,
            messages=[ChatMessage(role="user", content=prompt)],
            max_tokens=1,
            temperature=0.0,
            logprobs=True,
            top_logprobs=TOP_TOKENS,
        )
        async for prompt in prompts
    )
    async for outcome in inference.chat_each(requests, concurrency=concurrency, ordered=True):
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
    async for item in source:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _read(read: Callable[[R], Mapping[str, float]], outcome: Outcome[R]) -> Likeliest:
    if outcome.value is None:
        return _error(outcome.error)
    try:
        return read(outcome.value)
    except LawtagsError as error:
        return error


def _mix(
    tagger: TagScorer, questions: Sequence[Question], likeliest: Sequence[Likeliest]
) -> list[tuple[tuple[str, ...], Mapping[str, float], LawtagsError | None]]:
    pairs = [
        (question, lm) for question, lm in zip(questions, likeliest, strict=True) if isinstance(lm, Mapping)
    ]
    scores = iter(
        tagger.scores([question for question, _ in pairs], [lm for _, lm in pairs]) if pairs else ()
    )
    found: list[tuple[tuple[str, ...], Mapping[str, float], LawtagsError | None]] = []
    for lm in likeliest:
        if isinstance(lm, LawtagsError):
            found.append(((), {}, lm))
            continue
        row = next(scores)
        found.append((tagger.decide(row), named_scores(row, tagger.vocabulary), None))
    return found


async def tag_by_writing(
    inference: Inference,
    questions: Items[Question],
    *,
    model: str,
    style: PromptStyle | None,
    vocabulary: Vocabulary | None,
    limit: int,
    chat: bool,
    needs_scores: bool,
    concurrency: int | None,
    ordered: bool,
) -> AsyncIterator[Tagged]:
    """Tag by what the model writes, held to the vocabulary where the server can."""
    builder = PromptBuilder(style or PromptStyle())
    ids: dict[int, str] = {}

    def build(batch: list[Question]) -> list[tuple[str, str]]:
        return [(question.id, builder.build(question.title, question.body).text) for question in batch]

    async def prompts() -> AsyncGenerator[str, None]:
        row = 0
        async with aclosing(made_in_thread(questions, build, _ROWS_AT_ONCE)) as made:
            async for ids[row], prompt in made:
                row += 1
                yield prompt

    write = _written_in_chats if chat else _written
    outcomes = write(
        inference,
        prompts(),
        model=model,
        max_tokens=16 * limit,
        logprobs_needed=needs_scores,
        guided=constraints(vocabulary, limit) if vocabulary is not None else None,
        matches=MatchesTags(vocabulary, limit) if vocabulary is not None else matches_constraint,
        telling=True,
        concurrency=concurrency,
        ordered=ordered,
    )
    async for outcome in outcomes:
        question_id = ids.pop(outcome.row)
        if outcome.value is None:
            yield Tagged(outcome.row, question_id, error=_error(outcome.error))
            continue
        tags = parse_tags(outcome.value.text, vocabulary, limit).tags
        likely = scores(outcome.value, tags, vocabulary)
        if needs_scores and tags and not likely:
            yield Tagged(outcome.row, question_id, error=_unscored())
            continue
        yield Tagged(outcome.row, question_id, tags, likely, held=outcome.value.held)


def _written(
    inference: Inference, prompts: AsyncIterable[str], **options: Any
) -> AsyncIterator[Outcome[CompletionChoice]]:
    # A written answer ends with its line; what follows would be the next question.
    return inference.complete_each(prompts, logprobs=1, extra_body={"stop": ["\n"]}, batch_size=1, **options)


async def _written_in_chats(
    inference: Inference, prompts: AsyncIterable[str], *, model: str, max_tokens: int, **options: Any
) -> AsyncIterator[Outcome[CompletionChoice]]:
    requests = (
        ChatCompletionRequest(
            model=model,
            messages=[ChatMessage(role="user", content=prompt)],
            max_tokens=max_tokens,
            temperature=0.0,
        )
        async for prompt in prompts
    )
    async for outcome in inference.chat_each(requests, logprobs=True, **options):
        value = as_completion(outcome.value) if outcome.value is not None else None
        yield Outcome(outcome.row, value, outcome.error)


def _unscored() -> LawtagsError:
    return ProtocolError(
        "the response contains no log-probabilities, or none that match its text",
        hint="A threshold requires log-probabilities.",
        service="inference",
    )


def _error(error: LawtagsError | None) -> LawtagsError:
    return error or LawtagsError("there is neither a result nor an error")
