"""Jobs of any kind: states, steps, logs, results, and what is done to them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from lawtags_client.errors import NotFoundError, ProtocolError
from lawtags_client.helix.collection import Filter, HelixListing, Place, filter_query
from lawtags_client.helix.names import check_name
from lawtags_client.helix.types.common import Page
from lawtags_client.helix.types.jobs import (
    ExecutionProfile,
    HelixJob,
    JobResult,
    JobResults,
    JobStatus,
    JobStep,
    LogLine,
    LogPage,
    QueuedStep,
    is_final,
)
from lawtags_client.services.parsing import parse, parse_list
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience
from lawtags_client.transport.body import ARCHIVE_LIMIT
from lawtags_client.transport.call import Call
from lawtags_client.transport.paths import join

J = TypeVar("J", bound=HelixJob)

_ID = re.compile(r"platform-job-[A-Za-z0-9]{8,48}")
_LINES = 500
_MOST_EMPTY_PAGES = 1000


class LogCursor:
    """A place in a log, from which later calls read on.

    Args:
        step: only lines of this step.
        task: only lines of this task.
    """

    def __init__(self, step: str | None = None, task: str | None = None) -> None:
        self.step = step
        self.task = task
        self.page: str | None = None
        self.seen = 0
        self._left = set[str | None]()

    def turn(self, page: str | None) -> bool:
        """Go to the next page; whether it is another than all before, so that a log has an end."""
        self._left.add(self.page)
        if not page or page in self._left:
            return False
        self.page, self.seen = page, 0
        return True


class JobRoutes(HelixListing[J], Generic[J]):
    """What every route of jobs has, whichever service it belongs to.

    Args:
        place: where requests go.
        service: the service, as in paths.
        collection: the path below the workspace, such as ``automodel/jobs``.
        model: the type of a job.
    """

    def __init__(self, place: Place, service: str, collection: str, model: type[J]) -> None:
        super().__init__(place, service, collection, model)

    def _of(self, reference: str) -> str:
        first, slash, last = reference.partition("/")
        workspace, name = (first, last) if slash else (None, first)
        if not _ID.fullmatch(name):
            check_name(name, "job")
        return self._path(workspace) + join(name)

    def _download(self, reference: str, result: str) -> str:
        return f"{self._of(reference)}/results{join(result)}/download"

    async def get(self, reference: str) -> J:
        """Read a job.

        Args:
            reference: its name or id, or either behind ``workspace/``.

        Raises:
            NotFoundError: it does not exist, or belongs to another backend.
        """
        data = await self._place.http.json(Call("GET", self._of(reference)))
        return await parse(self._model, data, self._place.http)

    async def find(self, reference: str) -> J | None:
        """Read a job, or None if it does not exist."""
        try:
            return await self.get(reference)
        except NotFoundError:
            return None

    async def status(self, reference: str) -> JobStatus:
        """The state of a job with its steps and tasks; losses are in the task of the training step."""
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/status"))
        return await parse(JobStatus, data, self._place.http)

    async def cancel(self, reference: str) -> J:
        """Cancel a job; one that has ended stays as it is.

        A job that has begun stays ``cancelling`` until what carries it out confirms.
        """
        call = Call("POST", f"{self._of(reference)}/cancel", repeatable=True)
        return await parse(self._model, await self._place.http.json(call), self._place.http)

    async def delete(self, reference: str, *, missing_ok: bool = False) -> bool:
        """Delete a job that has ended, with its steps, logs and results; returns whether it existed.

        Raises:
            ConflictError: it has not ended.
            NotFoundError: it does not exist.
        """
        try:
            await self._place.http.send(Call("DELETE", self._of(reference)))
        except NotFoundError:
            if not missing_ok:
                raise
            return False
        return True

    async def log_page(
        self,
        reference: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        tail: int | None = None,
        step: str | None = None,
        task: str | None = None,
    ) -> LogPage:
        """Some lines of a job's log; only those of its current attempt exist.

        Args:
            reference: the job.
            limit: lines per page.
            cursor: ``next_page`` of the page before.
            tail: the last lines instead; not with ``limit`` or ``cursor``.
            step: only lines of this step.
            task: only lines of this task.

        Raises:
            UnprocessableError: the cursor is not one of this log.
        """
        options = {"limit": limit, "page_cursor": cursor, "tail": tail, "step_id": step, "task_id": task}
        query = [(name, str(value)) for name, value in options.items() if value is not None]
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/logs", query=query))
        return await parse(LogPage, data, self._place.http)

    async def logs(
        self, reference: str, *, step: str | None = None, task: str | None = None
    ) -> AsyncIterator[LogLine]:
        """All lines of a job's log so far, oldest first; arguments as for ``log_page``."""
        cursor = LogCursor(step, task)
        while lines := await self.next_lines(reference, cursor):
            for line in lines:
                yield line

    async def next_lines(self, reference: str, cursor: LogCursor, *, limit: int = _LINES) -> list[LogLine]:
        """The next lines of a log, at most one page; an empty list where there are none yet.

        Args:
            reference: the job.
            cursor: where to read on; moved behind the lines that are returned.
            limit: lines per page.

        Raises:
            ProtocolError: the platform names 1,000 pages in a row that are empty.
        """
        for _ in range(_MOST_EMPTY_PAGES):
            page = await self.log_page(
                reference, limit=limit, cursor=cursor.page, step=cursor.step, task=cursor.task
            )
            fresh = page.data[cursor.seen :]
            if not cursor.turn(page.next_page):
                cursor.seen = max(cursor.seen, len(page.data))
                return fresh
            if fresh:
                return fresh
        raise ProtocolError(
            f"the log of the job {reference} has {_MOST_EMPTY_PAGES:,} empty pages in a row",
            hint="Read its end instead: helix.jobs.log_page(job, tail=100).",
            service=self._place.http.address.service,
        )

    async def results(self, reference: str) -> list[JobResult]:
        """What a job has left, newest first."""
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/results"))
        return (await parse(JobResults, data, self._place.http)).data

    async def result(self, reference: str, name: str) -> JobResult:
        """One result of a job, without its content.

        Raises:
            NotFoundError: the job has none of that name.
        """
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/results{join(name)}"))
        return await parse(JobResult, data, self._place.http)

    async def read_result(self, reference: str, name: str, *, max_bytes: int = ARCHIVE_LIMIT) -> bytes:
        """The content of a result; that of a folder is a ``.tar.gz``.

        Args:
            reference: the job.
            name: of the result.
            max_bytes: a larger one is an error.
        """
        path = self._download(reference, name)
        call = Call("GET", path, headers={"accept": "*/*"}, max_bytes=max_bytes)
        return (await self._place.http.send(call)).body

    async def download_result(self, reference: str, name: str, path: Path) -> Path:
        """Write the content of a result to a file, in pieces.

        Args:
            reference: the job.
            name: of the result.
            path: the file; replaced if it exists.
        """
        from lawtags_client.helix.result_file import write_pieces

        call = Call("GET", self._download(reference, name), headers={"accept": "*/*"})
        async with self._place.http.stream(call) as (_, pieces):
            await write_pieces(path, pieces)
        return path

    async def wait(
        self,
        reference: str,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
        on_status: Callable[[JobStatus], Awaitable[None]] | None = None,
    ) -> JobStatus:
        """Wait until a job has completed.

        Args:
            reference: the job.
            timeout: seconds to wait in all.
            stall: seconds without any change after which to give up.
            patience: how often to poll, and how long to tolerate an unresponsive platform.
            on_status: called with what each look showed.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: nothing changed for ``stall`` seconds; it is still running.
            WaitTimeoutError: the timeout passed; it is still running.
        """
        seen: list[JobStatus] = []

        async def look() -> Look:
            found = await self.status(reference)
            moved = not seen or (found.status, found.updated_at, found.status_details) != (
                seen[-1].status,
                seen[-1].updated_at,
                seen[-1].status_details,
            )
            seen[:] = [found]
            if on_status is not None:
                await on_status(found)
            return Look(found.status, moved, found.reason)

        await awaited(reference, look).end(self._place.clock, timeout=timeout, stall=stall, patience=patience)
        return seen[-1]


def awaited(reference: str, look: object) -> Awaited:
    """A job whose end is waited for."""
    return Awaited(
        name=reference,
        service="jobs",
        look=look,  # type: ignore[arg-type]
        ended=is_final,
        advice="Read its log: helix.jobs.logs(...). It keeps its name until it is deleted.",
    )


@dataclass(frozen=True, slots=True)
class StepFilter:
    """Which steps of the queue are wanted.

    Args:
        states: two states or more; Helix refuses a single one.
        source: the service whose jobs they belong to, such as ``customization``.
    """

    states: tuple[str, ...] = ("created", "resuming")
    source: str | None = None

    def as_filter(self) -> Filter:
        """The filter of the list."""
        found: dict[str, str] = {"status": ",".join(self.states)}
        return {**found, **({"source": self.source} if self.source else {})}


class HelixJobs(JobRoutes[HelixJob]):
    """Jobs of every service, by the generic route, which also has their plan and their steps."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "jobs", "jobs", HelixJob)

    async def pause(self, reference: str) -> HelixJob:
        """Pause a job; it is ``pausing`` until what carries it out confirms. One that has ended stays so."""
        return await self._post(reference, "pause")

    async def resume(self, reference: str) -> HelixJob:
        """Resume a paused job; any other stays as it is."""
        return await self._post(reference, "resume")

    async def _post(self, reference: str, action: str) -> HelixJob:
        call = Call("POST", f"{self._of(reference)}/{action}", repeatable=True)
        return await parse(HelixJob, await self._place.http.json(call), self._place.http)

    async def steps(self, reference: str) -> list[JobStep]:
        """The steps of a job that exist so far; later ones are created when those before have completed."""
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/steps"))
        return (await parse(Page[JobStep], data, self._place.http)).data

    async def step(self, reference: str, name: str) -> JobStep:
        """One step of a job with its config.

        Raises:
            NotFoundError: it does not exist, or not yet.
        """
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/steps{join(name)}"))
        return await parse(JobStep, data, self._place.http)

    async def queue(
        self,
        wanted: StepFilter | None = None,
        *,
        workspace: str = "-",
        page_size: int = 100,
        sort: str = "created_at",
    ) -> list[QueuedStep]:
        """The first page of the steps that wait for someone to carry them out.

        Args:
            wanted: which ones; those that are created or to be resumed by default.
            workspace: all by default.
            page_size: most steps to return.
            sort: the oldest first by default.
        """
        path = f"{self._path(workspace)}/-/steps"
        query = [*filter_query((wanted or StepFilter()).as_filter()), ("sort", sort)]
        query += [("page", "1"), ("page_size", str(page_size))]
        data = await self._place.http.json(Call("GET", path, query=query))
        return (await parse(Page[QueuedStep], data, self._place.http)).data

    async def execution_profiles(self) -> list[ExecutionProfile]:
        """The ways to carry out steps that the platform offers."""
        data = await self._place.http.json(Call("GET", "/apis/jobs/v2/execution-profiles"))
        return await parse_list(ExecutionProfile, data, self._place.http)
