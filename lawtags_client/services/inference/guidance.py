"""Constrains answers, and detects whether the server enforces the constraint.

A server that does not know the field of a constraint may ignore it and answer without. So the client asks
the server what it is, or sends one request for a text that no model writes on its own. It also compares every
answer with the constraint, since a server may be replaced at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lawtags_client.errors import BadRequestError, ProtocolError, UnprocessableError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.inference import dialects
from lawtags_client.services.inference.dialects import FREE, Dialect, Form, Guided
from lawtags_client.services.inference.identity import Server
from lawtags_client.services.inference.lanes import Lanes
from lawtags_client.services.inference.matching import matches_constraint
from lawtags_client.transport.clock import Clock
from lawtags_client.types.inference import ChatCompletion, Completion

logger = logging.getLogger(__name__)

A = TypeVar("A", Completion, ChatCompletion)
Matches = Callable[[str, Form, bool], bool | None]
"""Whether a text is what a form asks for, given whether it was cut off; None where nobody can tell."""

_REFUSALS = (BadRequestError, UnprocessableError)
# A server that answers now so, now otherwise (replicas of two releases) is not looked at each time.
_SECONDS_BETWEEN_LOOKS = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What an answer must look like, and what comes with it.

    Args:
        model: the model asked.
        chat: whether it is asked in a chat.
        guided: the constraint, see :func:`~lawtags_client.services.inference.dialects.forms`.
        matches: whether a text is of the form asked for; by default it is compared with the constraint.
        telling: whether JSON is something that the model would not have written of its own accord.
        logprobs: what is sent as ``logprobs``.
        logprobs_needed: whether it is an error where the server refuses to give them.
    """

    model: str
    chat: bool
    guided: Guided | None = None
    matches: Matches = matches_constraint
    telling: bool = False
    logprobs: int | bool | None = None
    logprobs_needed: bool = True


@dataclass(slots=True)
class _Known:
    """What is known of the server of one model.

    Args:
        dialect: how it receives constraints.
        sure: whether it is known to enforce them.
        by_name: whether that follows from what it says it is.
        strict: whether it refuses fields that it does not know.
        looked: when this was found out.
        once_sure: whether it was known to enforce them before.
        shown: the kinds of request (chats or not) whose answers have shown that it does.
    """

    dialect: Dialect
    sure: bool
    by_name: bool = False
    strict: bool = False
    looked: float = 0.0
    once_sure: bool = False
    shown: set[bool] = field(default_factory=set)


@dataclass(slots=True)
class _SharedSearch:
    """A look at a server that several requests wait for.

    Args:
        task: the look.
        waiting: how many requests wait for it.
    """

    task: asyncio.Task[_Known]
    waiting: int = 0


@dataclass(slots=True)
class ServerMemory:
    """What was found out about the servers of models, shared by a client and its copies.

    Args:
        known: how each model's server constrains answers.
        looking: the looks at servers that are under way.
        accepted: which form of a request a server has accepted.
        refused_lists: the models that refuse a list of prompts.
        lanes: what is under way at each server.
    """

    known: dict[str, _Known] = field(default_factory=dict)
    looking: dict[str, _SharedSearch] = field(default_factory=dict)
    accepted: dict[tuple[object, ...], int] = field(default_factory=dict)
    refused_lists: set[str] = field(default_factory=set)
    lanes: Lanes = field(default_factory=Lanes)


class Guidance:
    """Knows for each model how its server constrains answers.

    Args:
        identify: asks the server of a model what it is.
        probe: has a model (in a chat or not) say something, with some fields added to the request.
        clock: time.
        memory: what is known already.
    """

    def __init__(
        self,
        identify: Callable[[str], Awaitable[Server | None]],
        probe: Callable[[str, bool, dict[str, JsonValue]], Awaitable[str]],
        clock: Clock,
        memory: ServerMemory,
    ) -> None:
        self._identify = identify
        self._probe = probe
        self._clock = clock
        self._known = memory.known
        self._looking = memory.looking
        self._accepted = memory.accepted

    async def ask(self, wish: Wish, act: Callable[[dict[str, JsonValue]], Awaitable[A]]) -> A:
        """Make a request in the form that the server knows, and mark each choice as constrained or not.

        A request that is refused in a form that was accepted before is not tried in another form.

        Args:
            wish: what the answer must look like.
            act: makes the request with some fields added.

        Raises:
            APIError: the service refused the request.
        """
        if not wish.guided:
            return (await self._send(wish, None, act))[0]
        known = await self._renewed(wish.model) or await self._look(wish)
        answer, form = await self._send(wish, known, act)
        if self._mark(wish, known, form, answer) or not self._worth_a_look(known):
            return answer
        newer = await self._look(wish, known)
        if newer.sure and newer.dialect is not known.dialect:
            answer, form = await self._send(wish, newer, act)
            self._mark(wish, newer, form, answer)
        return answer

    async def _send(
        self, wish: Wish, known: _Known | None, act: Callable[[dict[str, JsonValue]], Awaitable[A]]
    ) -> tuple[A, Form]:
        forms = _forms(wish, known)
        names = tuple(name for form in forms for name in form.fields)
        key = (wish.model, wish.chat, known and known.dialect, names)
        before = self._accepted.get(key)
        for place in range(before or 0, len(forms)):
            try:
                answer = await act(dict(forms[place].fields))
            except _REFUSALS:
                # Another request may have got further meanwhile, or not so far.
                now = self._accepted.get(key)
                if before is not None or place == len(forms) - 1 or (now is not None and now <= place):
                    raise
                continue
            if wish.guided and forms[place].constraint is None and key not in self._accepted:
                logger.warning(
                    "%s does not support constraints; its answers are marked as unconstrained (held=false)",
                    wish.model,
                )
            self._accepted[key] = max(place, self._accepted.get(key, 0))
            return answer, forms[place]
        raise AssertionError("the last form returns or raises")

    def _mark(self, wish: Wish, known: _Known, form: Form, answer: A) -> bool:
        """Mark each choice as constrained or not; False if one should match the constraint and does not."""
        if form.constraint is None:
            for choice in answer.choices:
                choice.mark(False)
            return True
        found = [wish.matches(each.text, form, each.finish_reason == "length") for each in answer.choices]
        if False in found:
            known.shown.discard(wish.chat)
        elif wish.telling and "response_format" in form.fields and found and all(found):
            known.shown.add(wish.chat)
        sure = known.sure or wish.chat in known.shown
        # What a server is says what it can do, not that a gateway before it passes the constraint on: where
        # the text cannot be compared, only what it has shown counts.
        shown = wish.chat in known.shown or (known.sure and not known.by_name)
        for choice, matches in zip(answer.choices, found, strict=True):
            choice.mark(False if matches is False else True if (sure if matches else shown) else None)
        return False not in found

    def _worth_a_look(self, known: _Known) -> bool:
        return known.sure or (
            known.once_sure and self._clock.monotonic() - known.looked >= _SECONDS_BETWEEN_LOOKS
        )

    async def _look(self, wish: Wish, before: _Known | None = None) -> _Known:
        """Find out about a model's server; requests that want to know at the same time do so together."""
        current = self._known.get(wish.model)
        if current is not before and current is not None:
            return current
        shared = self._looking.get(wish.model)
        if shared is None or shared.task.done():
            shared = _SharedSearch(asyncio.create_task(self._find(wish.model, wish.chat, before)))
            self._looking[wish.model] = shared
        return await self._shared(wish.model, shared)

    async def _shared(self, model: str, shared: _SharedSearch) -> _Known:
        """Wait for a look; it ends with the last request that waits for it."""
        shared.waiting += 1
        try:
            # A request that is given up must not take from the others what they wait for.
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                shared.task.cancel()
                if self._looking.get(model) is shared:
                    del self._looking[model]

    async def _renewed(self, model: str) -> _Known | None:
        """What is known; now and then a server is asked again what it is.

        Answers that happen to match would not show that a release without constraints has replaced it.
        """
        known = self._known.get(model)
        now = self._clock.monotonic()
        if known is None or not known.by_name or now - known.looked < _SECONDS_BETWEEN_LOOKS:
            return known
        known.looked = now
        server = await self._identify(model)
        if server is not None and server.dialect is not known.dialect and self._known.get(model) is known:
            logger.info("%s is now served by %s", model, server.name)
            known = _Known(server.dialect, sure=True, by_name=True, looked=now, once_sure=True)
            self._known[model] = known
        return known

    async def _find(self, model: str, chat: bool, before: _Known | None) -> _Known:
        server = await self._identify(model)
        if server is not None and not (before and before.by_name and before.dialect is server.dialect):
            found = _Known(server.dialect, sure=True, by_name=True, once_sure=True)
        else:
            # It does not say what it is; or says that it is what it was, and does not keep to it.
            found = await self._tried(model, chat)
        if before is not None:
            if found.dialect is before.dialect:
                found.sure = False
            found.once_sure = True
            logger.warning("%s no longer enforces constraints sent as %s", model, before.dialect.value)
        found.looked = self._clock.monotonic()
        # Here, not where it is waited for: a request that comes in between would look once more.
        self._known[model] = found
        return found

    async def _tried(self, model: str, chat: bool) -> _Known:
        """Constrain a model to a text that it would not write, in all dialects at once."""
        try:
            dialect = dialects.probed(await self._probe(model, chat, dialects.probe_fields()))
        except _REFUSALS as error:
            left = dialects.unrefused(f"{error.message} {error.detail or ''}")
            return _Known(left or Dialect.RESPONSE_FORMAT, sure=False, strict=left is None)
        except ProtocolError:
            dialect = None
        if dialect is None:
            # What is left is JSON by its schema, which shows by itself whether it was kept to.
            return _Known(Dialect.RESPONSE_FORMAT, sure=False)
        return _Known(dialect, sure=True, once_sure=True)


def _forms(wish: Wish, known: _Known | None) -> list[Form]:
    found = []
    # The older way of completing texts has no response format at servers that know OpenAI's fields alone.
    if known is not None and (wish.chat or not known.strict):
        found = dialects.forms(known.dialect, wish.guided, chat=wish.chat)
    found = [*found, FREE]
    if wish.logprobs is None:
        return found
    scored = [replace(form, fields={**form.fields, "logprobs": wish.logprobs}) for form in found]
    if wish.logprobs_needed:
        return scored
    return [form for pair in zip(scored, found, strict=True) for form in pair]
