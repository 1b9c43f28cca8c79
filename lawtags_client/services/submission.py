"""Making a job exactly once for each intent.

The intent is written down before the POST and its token travels in the job. Whenever it is not certain that
nothing was made (a restart, a lost answer, a failure of the server), the job is looked for before it is asked
for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lawtags_client.errors import (
    APIError,
    BusyError,
    ConflictError,
    DoubtfulOutcomeError,
    NotFoundError,
    ServerError,
)
from lawtags_client.intents import Intent, IntentStore, check_same
from lawtags_client.transport.clock import Clock

logger = logging.getLogger(__name__)

J = TypeVar("J")

_LOOKS = 3
_PAUSE = 1.0
_LOCK_PAUSE = 0.2
_LOCK_PATIENCE = 600.0


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
    lock = await _locked(store, wanted.key, clock)
    try:
        return await _submit_locked(wanted, submission, store, clock)
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)


async def _submit_locked(wanted: Intent, submission: Submission[J], store: IntentStore, clock: Clock) -> J:
    intent = await asyncio.to_thread(store.begin, wanted)
    check_same(intent, wanted)
    if intent.remote_id is not None:
        try:
            return await submission.get(intent.remote_id)
        except NotFoundError:
            # Such jobs cannot be deleted, so this is another server, or one that was reset.
            logger.warning("job %s is no more; its intent begins anew", intent.remote_id)
            await asyncio.to_thread(store.forget, intent.key)
            intent = await asyncio.to_thread(store.begin, wanted)
    elif intent.token != wanted.token:
        found = await submission.find(intent)
        if found is not None:
            return await _settled(found, intent, submission, store)
    try:
        job = await _post(intent, submission, clock)
    except APIError as error:
        if error.status is not None and error.status < 500:
            # A clear no: nothing was made, and the key is free for a corrected request.
            await asyncio.to_thread(store.forget, intent.key)
        raise
    return await _settled(job, intent, submission, store)


async def _post(intent: Intent, submission: Submission[J], clock: Clock) -> J:
    try:
        return await submission.post(intent)
    except ConflictError as error:
        found = await submission.find(intent)
        if found is not None:
            return found
        if submission.clash is None:
            raise
        return await submission.clash(intent, error)
    except (DoubtfulOutcomeError, ServerError) as error:
        # It may show up in the list only a moment later.
        for look in range(_LOOKS):
            found = await submission.find(intent)
            if found is not None:
                return found
            if isinstance(error, APIError) or look == _LOOKS - 1:
                break
            await clock.sleep(_PAUSE)
        error.hint = "No job of this intent was found since. Submit the same again: it is looked for first."
        raise


async def _settled(job: J, intent: Intent, submission: Submission[J], store: IntentStore) -> J:
    await asyncio.to_thread(store.settle, intent.key, submission.job_id(job))
    return job


async def _locked(store: IntentStore, key: str, clock: Clock) -> AbstractContextManager[None]:
    begin = clock.monotonic()
    while True:
        lock = store.lock(key)
        try:
            await asyncio.to_thread(lock.__enter__)
        except BusyError:
            if clock.monotonic() - begin > _LOCK_PATIENCE:
                raise
            await clock.sleep(_LOCK_PAUSE)
        else:
            return lock


def explain_difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of the fields, nested ones with dots, that were asked for and are otherwise in what was found."""
    differing: list[str] = []
    for name, value in wanted.items():
        other = found.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            differing += [f"{name}.{inner}" for inner in explain_difference(value, other)]
        elif value != other:
            differing.append(name)
    return sorted(differing)
