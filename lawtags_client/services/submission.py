"""Making a job exactly once for each intent.

The intent is written down before the POST and its token travels in the job. Whenever it is not certain that
nothing was made (a restart, a lost answer, a failure of the server), the job is looked for before it is asked
for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeAlias, TypeVar

from lawtags_client.errors import (
    APIError,
    BusyError,
    ConfigurationError,
    ConflictError,
    DoubtfulOutcomeError,
    LawtagsError,
    NotFoundError,
    ServerError,
)
from lawtags_client.intents import FIELD, Intent, IntentStore, check_same
from lawtags_client.json_value import JsonValue
from lawtags_client.services.extra_fields import extended, extended_request
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.redact import without_secrets
from lawtags_client.types.common import WireRequest

logger = logging.getLogger(__name__)

J = TypeVar("J")
_Carrying = TypeVar("_Carrying", bound="Stamped")
Stamp: TypeAlias = tuple[str | None, datetime | None]

# The secrets that a request may have; users choose the names of custom fields themselves.
_SECRETS = frozenset({"api_key", "hf_token"})
# At least so many of the newest jobs are looked through for one that carries a token.
_LOOK_BACK = 200
_LOOKS = 3
_PAUSE = 1.0
_LOCK_PAUSE = 0.2
_LOCK_PATIENCE = 600.0


class Stamped(Protocol):
    """A job that may carry a token."""

    @property
    def created_at(self) -> datetime | None: ...
    @property
    def custom_fields(self) -> Mapping[str, JsonValue]: ...


@dataclass(frozen=True, slots=True)
class Submission(Generic[J]):
    """How one kind of job is made, found and told apart.

    Args:
        post: asks for it, with the token in it.
        get: reads it by its id.
        find: looks for one that carries the token, among the newest.
        clash: for a name that is taken: the job that holds it, if it may be adopted.
        job_id: the id of a job.
    """

    post: Callable[[Intent], Awaitable[J]]
    get: Callable[[str], Awaitable[J]]
    find: Callable[[Intent], Awaitable[J | None]]
    job_id: Callable[[J], str]
    clash: Callable[[Intent, ConflictError], Awaitable[J]] | None = None


def intent_body(request: WireRequest, extra_body: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    """A request as its intent keeps it: with the fields that the user adds, and without secrets.

    Args:
        request: without a token.
        extra_body: the fields to add.

    Raises:
        ConfigurationError: a field is set twice, or is the one that holds the token.
    """
    # What cannot be sent is refused here, before an intent is written down.
    extended_request(request, extra_body)
    fields = (extra_body or {}).get("custom_fields")
    if isinstance(fields, Mapping) and FIELD in fields:
        raise ConfigurationError(
            f"extra_body sets the custom field {FIELD}, by which the client finds its job",
            hint="Use another name for the custom field.",
        )
    return extended(without_secrets(request.to_wire(), _SECRETS), without_secrets(extra_body or {}))


async def submit(wanted: Intent, submission: Submission[J], *, store: IntentStore, clock: Clock) -> J:
    """The job of an intent: found where it exists, made where it does not.

    Args:
        wanted: the intent; nothing of it needs to be known yet.
        submission: how to make and find its job.
        store: the memory of intents.
        clock: for pauses between looks.

    Raises:
        BusyError: another process was submitting this intent all the time.
        ConflictError: the key stands for another request, or the job's name is taken by something else.
        DoubtfulOutcomeError: it was asked for, and neither an answer nor the job has been seen.
    """
    async with _locked(store, wanted.key, clock):
        return await _submit_locked(wanted, submission, store, clock)


async def _submit_locked(wanted: Intent, submission: Submission[J], store: IntentStore, clock: Clock) -> J:
    known = await asyncio.to_thread(store.find, wanted.key)
    intent = await asyncio.to_thread(store.begin, wanted)
    check_same(intent, wanted)
    if intent.remote_id is not None:
        try:
            return await submission.get(intent.remote_id)
        except NotFoundError:
            # Such jobs cannot be deleted, so this is another server, or one that was reset.
            logger.warning("job %s no longer exists; its intent starts over", intent.remote_id)
            await asyncio.to_thread(store.forget, intent.key)
            intent = await asyncio.to_thread(store.begin, wanted)
    elif known is not None:
        found = await submission.find(intent)
        if found is not None:
            return await _settled(found, intent, submission, store)
    try:
        job = await submission.post(intent)
    except ConflictError as error:
        # Its own earlier request may have arrived late. While that is not known, the intent stays.
        found = await submission.find(intent)
        job = found if found is not None else await _taken(intent, error, submission, store)
    except (DoubtfulOutcomeError, ServerError) as error:
        job = await _look(intent, error, submission, clock)
    except APIError:
        # A clear no: nothing was made, and the key is free for a corrected request.
        await asyncio.to_thread(store.forget, intent.key)
        raise
    return await _settled(job, intent, submission, store)


async def _taken(intent: Intent, error: ConflictError, submission: Submission[J], store: IntentStore) -> J:
    """The job that holds the name, if it may be adopted; else the key is free for a corrected request."""
    try:
        if submission.clash is None:
            raise error
        return await submission.clash(intent, error)
    except ConflictError:
        await asyncio.to_thread(store.forget, intent.key)
        raise


async def _look(
    intent: Intent, error: DoubtfulOutcomeError | ServerError, submission: Submission[J], clock: Clock
) -> J:
    """The job of a request whose outcome is not known; raises that outcome where none is found."""
    error.hint = "No job with this intent was found. Repeat the call: it looks for the job first."
    for look in range(1 if isinstance(error, APIError) else _LOOKS):
        if look:
            # It may show up in the list only a moment later.
            await clock.sleep(_PAUSE)
        try:
            found = await submission.find(intent)
        except LawtagsError as blind:
            # What matters is that something was sent, not why it could not be looked for.
            error.hint = (
                f"Could not check whether a job was created ({blind.message}). "
                "Repeat the call: it looks for the job first."
            )
            raise error from blind
        if found is not None:
            return found
    raise error


async def _settled(job: J, intent: Intent, submission: Submission[J], store: IntentStore) -> J:
    await asyncio.to_thread(store.settle, intent.key, submission.job_id(job))
    return job


@asynccontextmanager
async def _locked(store: IntentStore, key: str, clock: Clock) -> AsyncIterator[None]:
    begin = clock.monotonic()
    with ExitStack() as held:
        while True:
            try:
                # Not in a thread: a task that is cancelled meanwhile would leave the lock behind.
                held.enter_context(store.lock(key))
                break
            except BusyError:
                if clock.monotonic() - begin > _LOCK_PATIENCE:
                    raise
            await clock.sleep(_LOCK_PAUSE)
        yield


def stamp_of(job: Stamped) -> Stamp:
    """The token that a job carries, and when the service made it."""
    token = job.custom_fields.get(FIELD)
    return token if isinstance(token, str) else None, job.created_at


async def carrier(jobs: AsyncIterator[_Carrying], intent: Intent) -> _Carrying | None:
    """The job that carries an intent's token; a list cannot be filtered by it, so it is read from the newest.

    Args:
        jobs: the newest first.
        intent: whose job is looked for.
    """
    # A job is never older than its intent, whatever has been submitted since; clocks may differ by a day.
    oldest = intent.created_at - timedelta(days=1) if intent.created_at else None
    seen = 0
    async for job in jobs:
        token, made = stamp_of(job)
        if token == intent.token:
            return job
        seen += 1
        if seen >= _LOOK_BACK and (oldest is None or (made is not None and made < oldest)):
            break
    return None


def explain_difference(wanted: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Names of the fields, nested ones with dots, that were asked for and are otherwise in what was found."""
    differing: list[str] = []
    for name, value in wanted.items():
        other = found.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            differing += [f"{name}.{inner}" for inner in explain_difference(value, other)]
        elif value != other:
            differing.append(name)
    return sorted(differing)
