"""From questions to tags: by a fitted tagger, or by parsing what the model writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lawtags_client.errors import LawtagsError
from lawtags_client.services.inference.completions import first_chat_token, first_token
from lawtags_client.services.inference.pool import Outcome
from lawtags_client.tagging.parse import answer_regex, parse_tags
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage

if TYPE_CHECKING:
    from lawtags_client.services.inference import Inference

R = TypeVar("R")

_ROWS_AT_ONCE = 64
TOP_TOKENS = 20


class Tagger(Protocol):
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
        scores: tag to probability, where a tagger gave them.
        error: why there are no tags.
    """

    row: int
    id: str
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    error: LawtagsError | None = None


async def tag_by_mixing(
    inference: Inference,
    questions: Iterable[Question],
    tagger: Tagger,
    *,
    model: str,
    chat: bool,
    concurrency: int | None,
    batch_size: int,
) -> AsyncIterator[Tagged]:
    """Tag with a fitted tagger: one token of the model, mixed with the retriever."""
    row = 0
    for chunk in _chunks(questions, _ROWS_AT_ONCE):
        prompts = [tagger.prompt(question).text for question in chunk]
        if chat:
            likeliest = await _chat_tokens(inference, prompts, model, concurrency)
        else:
            outcomes = await inference.complete_many(
                prompts,
                model=model,
                max_tokens=1,
                logprobs=TOP_TOKENS,
                concurrency=concurrency,
                batch_size=batch_size,
            )
            likeliest = [_read(first_token, outcome) for outcome in outcomes]
        for place, tagged in enumerate(await asyncio.to_thread(_mix, tagger, chunk, likeliest)):
            yield Tagged(row + place, chunk[place].id, *tagged)
        row += len(chunk)


async def _chat_tokens(
    inference: Inference, prompts: Sequence[str], model: str, concurrency: int | None
) -> list[Mapping[str, float] | LawtagsError]:
    requests = [
        ChatCompletionRequest(
            model=model,
            messages=[ChatMessage(role="user", content=prompt)],
            max_tokens=1,
            temperature=0.0,
            logprobs=True,
            top_logprobs=TOP_TOKENS,
        )
        for prompt in prompts
    ]
    outcomes = inference.chat_each(requests, concurrency=concurrency, ordered=True)
    return [_read(first_chat_token, outcome) async for outcome in outcomes]


def _read(
    read: Callable[[R], Mapping[str, float]], outcome: Outcome[R]
) -> Mapping[str, float] | LawtagsError:
    if outcome.value is None:
        return _error(outcome.error)
    try:
        return read(outcome.value)
    except LawtagsError as error:
        return error


def _mix(
    tagger: Tagger, questions: Sequence[Question], likeliest: Sequence[Mapping[str, float] | LawtagsError]
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
        tags = tagger.decide(row)
        found.append((tags, {tag: float(row[tagger.vocabulary.index(tag)]) for tag in tags}, None))
    return found


async def tag_by_writing(
    inference: Inference,
    questions: Iterable[Question],
    *,
    model: str,
    style: PromptStyle | None,
    vocabulary: Vocabulary | None,
    limit: int,
    concurrency: int | None,
) -> AsyncIterator[Tagged]:
    """Tag by what the model writes, held to the vocabulary where the server can."""
    builder = PromptBuilder(style or PromptStyle())
    ids: dict[int, str] = {}

    def prompts() -> Iterator[str]:
        for row, question in enumerate(questions):
            ids[row] = question.id
            yield builder.build(question.title, question.body).text

    guided = {"guided_regex": answer_regex(vocabulary, most=limit)} if vocabulary is not None else None
    outcomes = inference.complete_each(
        prompts(),
        model=model,
        max_tokens=16 * limit,
        guided=guided,
        # A written answer ends with its line; what follows would be the next question.
        extra={"stop": ["\n"]},
        concurrency=concurrency,
        batch_size=1,
        ordered=True,
    )
    async for outcome in outcomes:
        question_id = ids.pop(outcome.row)
        if outcome.value is None:
            yield Tagged(outcome.row, question_id, error=_error(outcome.error))
            continue
        tags = parse_tags(outcome.value.text, vocabulary, limit).tags
        yield Tagged(outcome.row, question_id, tags)


def _error(error: LawtagsError | None) -> LawtagsError:
    return error or LawtagsError("there is neither a result nor an error")


def _chunks(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    source = iter(questions)
    while chunk := list(islice(source, size)):
        yield chunk
