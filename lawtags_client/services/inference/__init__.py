"""Inference: models, chat, completions, streaming, and tags."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from lawtags_client.services.base import Owner, parse
from lawtags_client.services.extra_fields import constrained, extended
from lawtags_client.services.inference.completions import complete_each, first_token
from lawtags_client.services.inference.dialects import Guided
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.guidance import Guidance, Matches, ServerMemory, Wish
from lawtags_client.services.inference.identity import identify, probe
from lawtags_client.services.inference.matching import matches_constraint
from lawtags_client.services.inference.pace import Allowance, Load, Pace
from lawtags_client.services.inference.pool import each
from lawtags_client.services.inference.requests import CHAT, COMPLETIONS, ModelRequests
from lawtags_client.services.inference.tags import Tagged, TagScorer, tag_by
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
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
        extra_body: Mapping[str, Any] | None = None,
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
                be preferred first. ``held`` of a choice says whether the server kept to it.
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
        wish = Wish(model, False, guided, matches, telling, logprobs, logprobs_needed)
        headers = checked_headers(extra_headers)

        async def ask(prompt: str | list[str], allowance: Allowance) -> Completion:
            request = CompletionRequest(
                model=model, prompt=prompt, max_tokens=max_tokens, temperature=temperature
            )

            async def send(fields: dict[str, Any]) -> Completion:
                body = constrained(extended(request.to_wire(), extra_body), fields)
                data = await self._post(COMPLETIONS, model, body, headers, allowance)
                return parse(Completion, data, self._http)

            return await allowance.within(self._guidance.ask(wish, send))

        outcomes = complete_each(
            prompts,
            ask,
            model=model,
            refused_lists=self._memory.refused_lists,
            pace=self._pace(batch_size, concurrency, on_load),
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
        extra_body: Mapping[str, Any] | None = None,
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
        extra_body: Mapping[str, Any] | None = None,
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

            async def send(fields: dict[str, Any]) -> ChatCompletion:
                body = constrained(extended(request.to_wire(), extra_body), fields)
                data = await self._post(CHAT, request.model, body, headers, allowance)
                return parse(ChatCompletion, data, self._http)

            wish = Wish(request.model, True, guided, matches, telling, logprobs, logprobs_needed)
            return [await allowance.within(self._guidance.ask(wish, send))]

        outcomes = each(requests, act, pace=self._pace(1, concurrency, on_load), ordered=ordered)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield outcome

    async def tag(
        self,
        *,
        title: str,
        body: str | None = None,
        model: str,
        tagger: TagScorer | None = None,
        vocabulary: Vocabulary | None = None,
        style: PromptStyle | None = None,
        chat: bool | None = None,
        limit: int = 5,
        threshold: float | None = None,
        unmasked: bool = False,
    ) -> Tagged:
        """Tag one question.

        Example:
            ``(await nemo.inference.tag(title="Can pricing be trademarked?", model=model)).tags``

        Args:
            title: the question's title.
            body: its text. A tagger that knows how its questions were made ready takes HTML and Markdown and
                masks personal data; otherwise give it without markup.
            model: the tuned model's id.
            tagger: a fitted one, which mixes in a retriever; without it the model's own words are parsed.
            vocabulary: the known tags, to which the answer is held where the server can.
            style: of the prompt, as in training; ignored with a tagger, which knows its own.
            chat: use the chat API, for a model that was trained on messages; by default as the
                tagger says.
            limit: maximum number of tags.
            threshold: probability from 0 to 1 below which a tag is left out, so that there may be none.
            unmasked: do not mask personal data, although the tagger's model was trained on masked text.

        Raises:
            MissingExtraError: a package that makes the question ready for the tagger is not installed.
            LawtagsError: the question could not be tagged.
        """
        questions = [Question(id="", title=title, body=body, tags=())]
        tagged = self.tag_many(
            questions,
            model=model,
            tagger=tagger,
            vocabulary=vocabulary,
            style=style,
            chat=chat,
            limit=limit,
            threshold=threshold,
            unmasked=unmasked,
        )
        (result,) = [one async for one in tagged]
        if result.error is not None:
            raise result.error
        return result

    async def tag_many(
        self,
        questions: Iterable[Question] | AsyncIterable[Question],
        *,
        model: str,
        tagger: TagScorer | None = None,
        vocabulary: Vocabulary | None = None,
        style: PromptStyle | None = None,
        chat: bool | None = None,
        limit: int = 5,
        threshold: float | None = None,
        unmasked: bool = False,
        concurrency: int | None = None,
        batch_size: int = 8,
        ordered: bool = True,
    ) -> AsyncIterator[Tagged]:
        """Tag many questions; one that cannot be tagged carries its error.

        Questions are read as they are needed and prepared in a thread. The number of concurrent requests
        adapts to the server. ``lawtags_client.runs.tag_file`` writes the results to a file, and resumes where
        it stopped.

        Args:
            questions: what to tag; those that ``questions_to_tag`` made ready are asked as they are.
            model: as for ``tag``, like the following ones.
            tagger: see there.
            vocabulary: see there.
            style: see there.
            chat: see there.
            limit: see there.
            threshold: see there.
            unmasked: see there.
            concurrency: maximum concurrency; adaptive by default.
            batch_size: prompts per request, if a tagger requests one token each.
            ordered: in the order of the questions; otherwise, where the model writes, as the answers come.
        """
        found = tag_by(
            self,
            questions,
            model=model,
            tagger=tagger,
            vocabulary=vocabulary,
            style=style,
            chat=chat,
            limit=limit,
            threshold=threshold,
            unmasked=unmasked,
            concurrency=concurrency,
            batch_size=batch_size,
            ordered=ordered,
        )
        async for tagged in found:
            yield tagged

    def _pace(self, batch_size: int, concurrency: int | None, on_load: Callable[[Load], None] | None) -> Pace:
        return Pace(self._owner.settings, self._owner.clock, batch_size, concurrency, on_load)


__all__ = ["Inference", "Load", "Outcome", "TagScorer", "Tagged", "first_token"]
