"""Following many jobs through the list of them, instead of asking for each.

The whole list is read every few seconds, newest first and in the largest pages that the service gives, until
every followed job was seen; never more than one request a second. Only entries that changed are parsed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from lawtags_client.errors import BadRequestError, NotFoundError, ProtocolError, UnprocessableError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.extra_fields import wire_filter
from lawtags_client.services.parsing import parse
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import join
from lawtags_client.transport.query import list_query
from lawtags_client.types.common import WireRequest, is_final

M = TypeVar("M", bound=BaseModel)
_Entry: TypeAlias = tuple[str, Mapping[str, JsonValue]]

logger = logging.getLogger(__name__)

EVERY = 2.5
"""Seconds from the beginning of one look at the list to the beginning of the next."""

_PACE = 1.0
_MOST_PAGES = 1000
_PAGE_SIZES = (1000, 100)
# A job may slip from one page to the other while they are read; only then is it asked for by itself.
_MISSED_LOOKS = 2


@dataclass(frozen=True, slots=True)
class JobChange(Generic[M]):
    """A change of a followed job.

    Args:
        id: the job's.
        job: what it is now; None if the service does not know it, or no longer does.
        state: the state it is in.
        before: the state it was in; None at the first look.
        final: whether that state is final: no further change follows.
    """

    id: str
    job: M | None
    state: str | None
    before: str | None
    final: bool

    def __str__(self) -> str:
        return f"{self.id} {self.state or 'unknown'}" + (f" (was {self.before})" if self.before else "")


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of the list.

    Args:
        entries: jobs by their ids.
        total_pages: as the service says, if it does.
    """

    entries: list[_Entry]
    total_pages: int | None


@dataclass(slots=True)
class _Followed:
    state: str | None = None
    shown: tuple[JsonValue, JsonValue] | None = None
    seen: bool = False
    missed: int = 0


class Follower(Generic[M]):
    """Follows jobs of one kind until all of them have come to their end.

    Args:
        http: the transport of the service.
        path: of the list.
        model: what an entry is.
        clock: time, sleep and chance.
        every: seconds between looks.
        patience: how long to tolerate an unresponsive service.
        filter: narrows the list where it also holds many other jobs.
    """

    def __init__(
        self,
        http: ServiceTransport,
        path: str,
        model: type[M],
        clock: Clock,
        *,
        every: float = EVERY,
        patience: Patience | None = None,
        filter: WireRequest | None = None,
    ) -> None:
        self._http = http
        self._path = path
        self._model = model
        self._clock = clock
        self._every = max(every, _PACE)
        self._poller = Poller(clock, patience or Patience())
        self._filter = wire_filter(filter)
        self._page_size = _PAGE_SIZES[0]
        self._asked = -_PACE

    async def follow(self, ids: Iterable[str]) -> AsyncIterator[JobChange[M]]:
        """What changes, from the first look on, until every job is in a state that it does not leave."""
        open_jobs = {job_id: _Followed() for job_id in ids}
        while open_jobs:
            begin = self._clock.monotonic()
            async for listed, entry in self._entries(open_jobs):
                change = await self._change(listed, entry, open_jobs)
                if change is not None:
                    if change.final:
                        del open_jobs[change.id]
                    yield change
            for job_id in [job_id for job_id, job in open_jobs.items() if _is_missed(job)]:
                gone = await self._alone(job_id, open_jobs)
                if gone is not None:
                    yield gone
            left = self._every - (self._clock.monotonic() - begin)
            if open_jobs and left > 0:
                # Jitter keeps many followers from asking in the same moment.
                await self._clock.sleep(left * (0.8 + 0.2 * self._clock.random()))

    async def _entries(self, wanted: Mapping[str, _Followed]) -> AsyncIterator[_Entry]:
        """The list's entries, until all wanted ones were among them."""
        missing, listed = set(wanted), set[str]()
        for job in wanted.values():
            job.seen = False
        number = 1
        while missing:
            page = await self._page(number)
            fresh = {job_id: entry for job_id, entry in page.entries if job_id not in listed}
            listed.update(fresh)
            missing.difference_update(listed)
            for job_id, entry in fresh.items():
                yield job_id, entry
            if not fresh or (page.total_pages is not None and number >= page.total_pages):
                return
            if number == _MOST_PAGES:
                # What the list does not reach is asked for by itself.
                return
            number += 1

    async def _page(self, number: int) -> _Page:
        async def read() -> JsonValue:
            await self._paced()
            query = list_query(
                page=number, page_size=self._page_size, sort="-created_at", filter=self._filter
            )
            return await self._http.json(Call("GET", self._path, query=query, max_retries=0))

        try:
            data = await self._poller.look(read)
        except (BadRequestError, UnprocessableError):
            if self._page_size == _PAGE_SIZES[-1]:
                raise
            logger.info("the service does not return pages of %d entries", self._page_size)
            self._page_size = _PAGE_SIZES[-1]
            data = await self._poller.look(read)
        listed = data.get("data") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(listed, list | None):
            raise self._not("a list of jobs")
        pagination = data.get("pagination")
        pages = pagination.get("total_pages") if isinstance(pagination, Mapping) else None
        entries = [entry for entry in listed or () if isinstance(entry, Mapping)]
        return _Page(
            [(job_id, entry) for entry in entries if isinstance(job_id := entry.get("id"), str)],
            pages if isinstance(pages, int) else None,
        )

    async def _change(
        self, job_id: str, entry: Mapping[str, JsonValue], jobs: dict[str, _Followed]
    ) -> JobChange[M] | None:
        job = jobs.get(job_id)
        if job is None:
            return None
        job.seen, job.missed = True, 0
        shown = (entry.get("status"), entry.get("status_details"))
        if shown == job.shown:
            return None
        before = job.state
        parsed = await parse(self._model, entry, self._http)
        status = entry.get("status")
        state = status if isinstance(status, str) else None
        job.shown, job.state = shown, state
        return JobChange(job_id, parsed, state, before, is_final(state))

    async def _alone(self, job_id: str, jobs: dict[str, _Followed]) -> JobChange[M] | None:
        """A job that the list left out, asked for by itself."""

        async def read() -> JsonValue:
            await self._paced()
            return await self._http.json(Call("GET", self._path + join(job_id), max_retries=0))

        try:
            entry = await self._poller.look(read)
        except NotFoundError:
            return JobChange(job_id, None, None, jobs.pop(job_id).state, True)
        if not isinstance(entry, Mapping):
            raise self._not("a job")
        found = await self._change(job_id, {**entry, "id": job_id}, jobs)
        if found is not None and found.final:
            del jobs[job_id]
        return found

    def _not(self, what: str) -> ProtocolError:
        address = self._http.address
        return ProtocolError(
            f"the response is not {what}",
            hint=f"Check the address; it comes from {address.origin}.",
            service=address.service,
            url=address.url,
        )

    async def _paced(self) -> None:
        left = self._asked + _PACE - self._clock.monotonic()
        if left > 0:
            await self._clock.sleep(left)
        self._asked = self._clock.monotonic()


def _is_missed(job: _Followed) -> bool:
    job.missed += not job.seen
    return job.missed >= _MISSED_LOOKS
