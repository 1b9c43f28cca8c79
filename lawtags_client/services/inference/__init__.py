"""Inference: models, chat, completions and streaming."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Owner
from lawtags_client.services.extra_fields import constrained, extended
from lawtags_client.services.inference.completions import complete_each, first_token
from lawtags_client.services.inference.dialects import Guided
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.guidance import Guidance, Matches, ServerMemory, Wish
from lawtags_client.services.inference.identity import identify, probe
from lawtags_client.services.inference.lanes import Lane
from lawtags_client.services.inference.matching import matches_constraint
from lawtags_client.services.inference.pace import Allowance, Load, Pace
from lawtags_client.services.inference.pool import each
from lawtags_client.services.inference.requests import CHAT, COMPLETIONS, ModelRequests
from lawtags_client.services.inference.source import first_of
from lawtags_client.services.parsing import parse
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.inference import (
    ChatCompletion,
    ChatCompletionRequest,
    Completion,
    CompletionChoice,
    CompletionRequest,
)


class Inference(ModelRequests):
    """Models that answer.

    Args:
        http: the transport of the service.
        owner: the client.
        memory: what was found out about the servers; a copy of a client shares it.
    """

    def __init__(self, http: ServiceTransport, owner: Owner, memory: ServerMemory | None = None) -> None:
        super().__init__(http, owner)
        look = partial(identify, http, owner.settings.inference_models_path, owner.settings)
        self._memory = memory if memory is not None else ServerMemory()
        self._guidance = Guidance(look, partial(probe, http), owner.clock, self._memory)

    async def complete_each(
        self,
        prompts: Iterable[str] | AsyncIterable[str],
        *,
        model: str,
        max_tokens: int = 1,
        logprobs: int | None = None,
        logprobs_needed: bool = True,
        temperature: float = 0.0,
        guided: Guided | None = None,
        matches: Matches = matches_constraint,
        telling: bool = False,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        batch_size: int = 8,
        ordered: bool = False,
        on_load: Callable[[Load], None] | None = None,
    ) -> AsyncIterator[Outcome[CompletionChoice]]:
        """Complete many prompts, with one outcome per prompt, as they arrive.

        Args:
            prompts: read as needed.
            model: the model's id.
            max_tokens: maximum length of an answer.
            logprobs: number of most likely tokens to return with their log-probabilities.
            logprobs_needed: whether missing log-probabilities are an error.
            temperature: 0 for the most likely answer.
            guided: ``guided_regex`` or the like, sent as the server knows it; or several of them, the one to
                be preferred first. ``held`` of a choice says whether the server enforced it.
            matches: whether a text is of the form asked for; compared with the constraint by default.
            telling: whether JSON is something that the model would not have written of its own accord, so
                that it shows that the server keeps to a schema.
            extra_headers: sent with each request.
            extra_body: fields of the API that have no parameter here.
            concurrency: maximum concurrency; adaptive by default.
            batch_size: maximum number of prompts per request, if the server accepts several.
            ordered: outcomes in the order of the prompts.
            on_load: called with the current load whenever it changes.
        """
        if isinstance(prompts, str | bytes):
            # A text is an iterable of texts, too: each of its letters would be a prompt.
            kind = type(prompts).__name__
            raise ConfigurationError(f"prompts is a {kind}", hint="Pass a list of prompts, even for one.")
        wish = Wish(model, False, guided, matches, telling, logprobs, logprobs_needed)
        headers = checked_headers(extra_headers)

        async def ask(prompt: str | list[str], allowance: Allowance) -> Completion:
            request = CompletionRequest(
                model=model, prompt=prompt, max_tokens=max_tokens, temperature=temperature
            )

            async def send(fields: dict[str, JsonValue]) -> Completion:
                body = constrained(extended(request.to_wire(), extra_body), fields)
                data = await self._post(COMPLETIONS, model, body, headers, allowance)
                return await parse(Completion, data, self._http)

            return await allowance.within(self._guidance.ask(wish, send))

        outcomes = complete_each(
            prompts,
            ask,
            model=model,
            refused_lists=self._memory.refused_lists,
            lane=self._lane(model, batch_size, concurrency),
            on_load=on_load,
            ordered=ordered,
        )
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield outcome

    async def complete_many(
        self,
        prompts: Iterable[str],
        *,
        model: str,
        max_tokens: int = 1,
        logprobs: int | None = None,
        temperature: float = 0.0,
        guided: Guided | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        batch_size: int = 8,
    ) -> list[Outcome[CompletionChoice]]:
        """All outcomes of ``complete_each``, in the order of the prompts."""
        outcomes = self.complete_each(
            prompts,
            model=model,
            max_tokens=max_tokens,
            logprobs=logprobs,
            temperature=temperature,
            guided=guided,
            extra_headers=extra_headers,
            extra_body=extra_body,
            concurrency=concurrency,
            batch_size=batch_size,
        )
        return sorted([outcome async for outcome in outcomes], key=lambda outcome: outcome.row)

    async def chat_each(
        self,
        requests: Iterable[ChatCompletionRequest] | AsyncIterable[ChatCompletionRequest],
        *,
        guided: Guided | None = None,
        matches: Matches = matches_constraint,
        telling: bool = False,
        logprobs: bool | None = None,
        logprobs_needed: bool = True,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        ordered: bool = False,
        on_load: Callable[[Load], None] | None = None,
    ) -> AsyncIterator[Outcome[ChatCompletion]]:
        """Send many chats, with one outcome per chat, as they arrive; arguments as for ``complete_each``.

        Args:
            requests: read as needed.
            guided: see there.
            matches: see there.
            telling: see there.
            logprobs: whether the tokens come with their log-probabilities; as the requests say by default.
            logprobs_needed: see there.
            extra_headers: see there.
            extra_body: see there.
            concurrency: see there.
            ordered: see there.
            on_load: see there.
        """
        headers = checked_headers(extra_headers)

        async def act(asked: list[ChatCompletionRequest], allowance: Allowance) -> list[ChatCompletion]:
            (request,) = asked

            async def send(fields: dict[str, JsonValue]) -> ChatCompletion:
                body = constrained(extended(request.to_wire(), extra_body), fields)
                data = await self._post(CHAT, request.model, body, headers, allowance)
                return await parse(ChatCompletion, data, self._http)

            wish = Wish(request.model, True, guided, matches, telling, logprobs, logprobs_needed)
            return [await allowance.within(self._guidance.ask(wish, send))]

        first, following = await first_of(requests)
        lane = self._lane(first.model if first is not None else "", 1, concurrency)
        outcomes = each(following, act, lane=lane, on_load=on_load, ordered=ordered)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield outcome

    def _lane(self, model: str, batch_size: int, concurrency: int | None) -> Lane:
        pace = Pace(self._owner.settings, self._owner.clock, batch_size, concurrency)
        return self._memory.lanes.lane(model, pace)


__all__ = ["Inference", "Load", "Outcome", "first_token"]
