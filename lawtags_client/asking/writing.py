"""Tags from what a model writes, constrained to the vocabulary if the server can."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypedDict, Unpack

from lawtags_client.asking.arguments import check_questions
from lawtags_client.asking.constraints import MatchesTags, constraints
from lawtags_client.asking.likelihoods import tag_likelihoods
from lawtags_client.asking.tagged import Tagged, failure
from lawtags_client.closing import closing
from lawtags_client.errors import ProtocolError
from lawtags_client.services.inference.completions import as_completion
from lawtags_client.services.inference.dialects import Guided
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.guidance import Matches
from lawtags_client.services.inference.matching import matches_constraint
from lawtags_client.services.inference.source import Items, made_in_thread
from lawtags_client.tagging.parse import parse_tags
from lawtags_client.tagging.prompt import PromptBuilder, PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage, CompletionChoice

if TYPE_CHECKING:
    from lawtags_client.services.inference import Inference

__all__ = ["tag_by_writing"]

_ROWS_AT_ONCE = 16
_TOKENS_PER_TAG = 16


class _Constrained(TypedDict):
    """What completions and chats have in common."""

    logprobs_needed: bool
    guided: Guided | None
    matches: Matches
    telling: bool
    concurrency: int | None
    ordered: bool


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
    """Tag by what the model writes, constrained to the vocabulary if the server can."""
    builder = PromptBuilder(style or PromptStyle())
    ids: dict[int, str] = {}

    def build(batch: list[Question]) -> list[tuple[str, str]]:
        check_questions(batch)
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
        model,
        _TOKENS_PER_TAG * limit,
        logprobs_needed=needs_scores,
        guided=constraints(vocabulary, limit) if vocabulary is not None else None,
        matches=MatchesTags(vocabulary, limit) if vocabulary is not None else matches_constraint,
        telling=True,
        concurrency=concurrency,
        ordered=ordered,
    )
    async with closing(outcomes):
        async for outcome in outcomes:
            yield _tagged(outcome, ids.pop(outcome.row), vocabulary, limit, needs_scores)


def _tagged(
    outcome: Outcome[CompletionChoice],
    question_id: str,
    vocabulary: Vocabulary | None,
    limit: int,
    needs_scores: bool,
) -> Tagged:
    choice = outcome.value
    if choice is None:
        return Tagged(outcome.row, question_id, error=failure(outcome.error))
    tags = parse_tags(choice.text, vocabulary, limit).tags
    likely = tag_likelihoods(choice, tags, vocabulary)
    if needs_scores and tags and not likely:
        return Tagged(outcome.row, question_id, error=_unscored())
    return Tagged(outcome.row, question_id, tags, likely, held=choice.held)


def _written(
    inference: Inference,
    prompts: AsyncIterable[str],
    model: str,
    max_tokens: int,
    **options: Unpack[_Constrained],
) -> AsyncIterator[Outcome[CompletionChoice]]:
    # A written answer ends with its line; what follows would be the next question.
    return inference.complete_each(
        prompts,
        model=model,
        max_tokens=max_tokens,
        logprobs=1,
        extra_body={"stop": ["\n"]},
        batch_size=1,
        **options,
    )


async def _written_in_chats(
    inference: Inference,
    prompts: AsyncIterable[str],
    model: str,
    max_tokens: int,
    **options: Unpack[_Constrained],
) -> AsyncIterator[Outcome[CompletionChoice]]:
    async def requests() -> AsyncGenerator[ChatCompletionRequest, None]:
        async with closing(prompts):
            async for prompt in prompts:
                yield ChatCompletionRequest(
                    model=model,
                    messages=[ChatMessage(role="user", content=prompt)],
                    max_tokens=max_tokens,
                    temperature=0.0,
                )

    outcomes = inference.chat_each(requests(), logprobs=True, **options)
    async with closing(outcomes):
        async for outcome in outcomes:
            value = as_completion(outcome.value) if outcome.value is not None else None
            yield Outcome(outcome.row, value, outcome.error)


def _unscored() -> ProtocolError:
    return ProtocolError(
        "the response contains no log-probabilities, or none that match its text",
        hint="A threshold requires log-probabilities.",
        service="inference",
    )
