"""One-token completions by the thousand: several prompts a request, many requests at once."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

from lawtags_client.errors import (
    BadRequestError,
    LawtagsError,
    PayloadTooLargeError,
    ProtocolError,
    UnprocessableError,
)
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.lanes import Lane
from lawtags_client.services.inference.pace import Allowance, Load
from lawtags_client.services.inference.pool import each
from lawtags_client.services.inference.source import Items
from lawtags_client.types.inference import (
    ChatCompletion,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
)

logger = logging.getLogger(__name__)

Ask = Callable[[str | list[str], Allowance], Awaitable[Completion]]
_NOT_THIS = (BadRequestError, PayloadTooLargeError, ProtocolError, UnprocessableError)


async def complete_each(
    prompts: Items[str],
    ask: Ask,
    *,
    model: str,
    refused_lists: set[str],
    lane: Lane,
    on_load: Callable[[Load], None] | None = None,
    ordered: bool,
) -> AsyncGenerator[Outcome[CompletionChoice], None]:
    """Complete prompts; each has an outcome of its own.

    A request that is refused as a whole is taken apart, so that the others of its prompts are not lost with
    the one that is at fault.

    Args:
        prompts: read as they are needed.
        ask: one request.
        model: asked.
        refused_lists: the models that are known to refuse a list of prompts.
        lane: prompts a request where the server takes lists, and how many requests at once.
        on_load: called with the current load whenever it changes.
        ordered: outcomes in the order of the prompts.
    """

    async def act(batch: list[str], allowance: Allowance) -> Sequence[CompletionChoice | LawtagsError]:
        if len(batch) == 1:
            return [_only(await ask(batch[0], allowance))]
        if model in refused_lists:
            return await _singly(batch, ask, allowance)
        try:
            return list(_in_order(await ask(batch, allowance), len(batch)))
        except _NOT_THIS as error:
            if isinstance(error, ProtocolError) and error.status is not None:
                # Not JSON at all, such as a page of a proxy, which says nothing about the prompts.
                raise
            apart = await _singly(batch, ask, allowance)
            if not any(isinstance(choice, LawtagsError) for choice in apart):
                # All of them are fine by themselves: it is the list that the server does not take.
                logger.info("%s accepts one prompt per request: %s", model, error.message)
                refused_lists.add(model)
                lane.pace.one_row_each()
            return apart

    if model in refused_lists:
        lane.pace.one_row_each()
    outcomes = each(prompts, act, lane=lane, on_load=on_load, ordered=ordered)
    async with aclosing(outcomes):
        async for outcome in outcomes:
            yield outcome


async def _singly(
    batch: Sequence[str], ask: Ask, allowance: Allowance
) -> list[CompletionChoice | LawtagsError]:
    found: list[CompletionChoice | LawtagsError] = []
    for prompt in batch:
        try:
            found.append(_only(await ask(prompt, allowance)))
        except _NOT_THIS as error:
            found.append(error)
    return found


def _only(completion: Completion) -> CompletionChoice:
    return next(iter(_in_order(completion, 1)))


def _in_order(completion: Completion, wanted: int) -> Iterable[CompletionChoice]:
    choices = {choice.index: choice for choice in completion.choices}
    if sorted(choices) != list(range(wanted)):
        raise ProtocolError(
            f"the server returned {len(completion.choices)} answers to {wanted} prompts",
            hint="The server may not accept lists of prompts.",
            service="inference",
        )
    return (choices[index] for index in range(wanted))


def first_token(choice: CompletionChoice) -> dict[str, float]:
    """The likeliest first tokens of a completion with their log-probabilities.

    Raises:
        ProtocolError: the answer carries none.
    """
    logprobs = choice.logprobs
    likeliest = logprobs.top_logprobs[0] if logprobs and logprobs.top_logprobs else None
    if not likeliest:
        raise ProtocolError(
            "the response contains no log-probabilities",
            hint="The server may not provide them for this model; try with logprobs=20.",
            service="inference",
        )
    return likeliest


def first_chat_token(chat: ChatCompletion) -> dict[str, float]:
    """The likeliest first tokens of a chat's next message with their log-probabilities.

    Raises:
        ProtocolError: the answer carries none.
    """
    logprobs = chat.choices[0].logprobs if chat.choices else None
    if logprobs is None or not logprobs.content:
        raise ProtocolError(
            "the response contains no log-probabilities",
            hint="The server may not provide them for this model; try with top_logprobs=20.",
            service="inference",
        )
    return {top.token: top.logprob for top in logprobs.content[0].top_logprobs}


def as_completion(chat: ChatCompletion) -> CompletionChoice:
    """What a model wrote in a chat, in the form of a completion."""
    if not chat.choices:
        return CompletionChoice()
    choice = chat.choices[0]
    logprobs = None
    if choice.logprobs is not None:
        tokens = choice.logprobs.content
        logprobs = CompletionLogprobs(
            tokens=[token.token for token in tokens], token_logprobs=[token.logprob for token in tokens]
        )
    written = CompletionChoice(text=choice.text, finish_reason=choice.finish_reason, logprobs=logprobs)
    written.mark(choice.held)
    return written
