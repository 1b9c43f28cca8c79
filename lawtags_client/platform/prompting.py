"""Questions to a model: the likeliest next tokens of prompts, and answers held to a vocabulary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from lawtags_client.asking.constraints import MatchesTags, constraints
from lawtags_client.closing import closing
from lawtags_client.errors import LawtagsError
from lawtags_client.platform.protocol import ModelAnswer, PromptInput
from lawtags_client.services.inference import Inference
from lawtags_client.services.inference.completions import first_chat_token, first_token
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import ChatChoice, ChatCompletionRequest, ChatMessage, CompletionChoice

V = TypeVar("V")
R = TypeVar("R")

# An answer takes a server far longer than a first token; larger requests would time out on a slow one.
_ANSWERS_PER_REQUEST = 4


async def first_tokens(
    inference: Inference, model: str, prompts: Sequence[PromptInput], *, top: int
) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
    """Log-probabilities of the likeliest next tokens of each prompt, as they come."""
    if _are_texts(prompts):
        texts = inference.complete_each(
            (str(prompt) for prompt in prompts), model=model, max_tokens=1, logprobs=top
        )
        async with closing(texts):
            async for outcome in texts:
                yield outcome.row, _caught(first_token, outcome.value, outcome.error)
        return
    requests = (
        ChatCompletionRequest(
            model=model,
            messages=_messages(prompt),
            max_tokens=1,
            temperature=0.0,
            logprobs=True,
            top_logprobs=top,
        )
        for prompt in prompts
    )
    chats = inference.chat_each(requests)
    async with closing(chats):
        async for answered in chats:
            yield answered.row, _caught(first_chat_token, answered.value, answered.error)


async def answers(
    inference: Inference,
    model: str,
    prompts: Sequence[PromptInput],
    *,
    vocabulary: Vocabulary,
    most: int,
    max_tokens: int,
) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
    """Greedy answers of at most so many tags, constrained to a vocabulary if the server can."""
    guided, matches = constraints(vocabulary, most), MatchesTags(vocabulary, most)
    if _are_texts(prompts):
        texts = inference.complete_each(
            (str(prompt) for prompt in prompts),
            model=model,
            max_tokens=max_tokens,
            guided=guided,
            matches=matches,
            telling=True,
            extra_body={"stop": ["\n"]},
            batch_size=_ANSWERS_PER_REQUEST,
        )
        async with closing(texts):
            async for outcome in texts:
                yield outcome.row, _caught(_answer, outcome.value, outcome.error)
        return
    requests = (
        ChatCompletionRequest(model=model, messages=_messages(prompt), max_tokens=max_tokens, temperature=0.0)
        for prompt in prompts
    )
    chats = inference.chat_each(requests, guided=guided, matches=matches, telling=True)
    async with closing(chats):
        async for answered in chats:
            yield (
                answered.row,
                _caught(lambda chat: _answer(*chat.choices[:1]), answered.value, answered.error),
            )


def _answer(choice: CompletionChoice | ChatChoice | None = None) -> ModelAnswer:
    return ModelAnswer(choice.text, choice.held) if choice is not None else ModelAnswer("")


def _are_texts(prompts: Sequence[PromptInput]) -> bool:
    # By place: going through them would count as sending them.
    return all(isinstance(prompts[place], str) for place in range(len(prompts)))


def _messages(prompt: PromptInput) -> list[ChatMessage]:
    if isinstance(prompt, str):
        return [ChatMessage(role="user", content=prompt)]
    return [ChatMessage.model_validate(dict(message)) for message in prompt]


def _caught(read: Callable[[V], R], value: V | None, error: LawtagsError | None) -> R | LawtagsError:
    if value is None:
        return error or LawtagsError("there is neither an answer nor an error", service="inference")
    try:
        return read(value)
    except LawtagsError as problem:
        return problem
