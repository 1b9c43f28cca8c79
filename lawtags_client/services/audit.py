"""Intents against jobs: what was asked for, what the services have, and where the two differ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from lawtags_client.intents import Intent
from lawtags_client.services.base import Owner
from lawtags_client.services.customizer import Customizer
from lawtags_client.services.evaluator import Evaluator
from lawtags_client.services.submission import Stamped, stamp_of

State = Literal["matched", "missing", "doubled", "orphan"]
"""``matched``: the intent has its one job. ``missing``: it has none. ``doubled``: it has several that nobody
has cancelled. ``orphan``: a job carries a token that no intent here knows."""

KINDS = ("customization", "evaluation", "evaluation-v2")


class AuditedClient(Owner, Protocol):
    """The client, as far as an audit needs it."""

    @property
    def customizer(self) -> Customizer: ...
    @property
    def evaluator(self) -> Evaluator: ...


@dataclass(frozen=True, slots=True)
class MarkedJob:
    """What an audit needs of a job.

    Args:
        kind: as its intent's.
        id: of the job.
        token: the one it carries, if any.
        status: as the service says.
        created_at: as the service says.
    """

    kind: str
    id: str
    token: str | None
    status: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One intent, or one job that has none.

    Attributes:
        state: see ``State``.
        kind: of the job.
        intent: the intent's key.
        jobs: ids of the jobs that belong to it.
        status: of the jobs.
        made: what the request was for: the output model, or the data set.
        store: where the intent is kept.
        fix: what to do about it.
    """

    state: State
    kind: str
    intent: str | None
    jobs: tuple[str, ...]
    status: tuple[str | None, ...] = ()
    made: str | None = None
    store: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Intents against jobs.

    Attributes:
        rows: every intent meant for this platform, and every job with a token of none of them.
        elsewhere: how many intents are meant for other platforms.
        foreign: how many jobs were submitted by other means.
    """

    rows: tuple[AuditRow, ...]
    elsewhere: int = 0
    foreign: int = 0
    counts: Mapping[State, int] = field(default_factory=dict)

    def wrong(self, *, orphans: bool = True) -> list[AuditRow]:
        """The rows that somebody should look at; orphans may be other people's."""
        return [row for row in self.rows if row.state != "matched" and (orphans or row.state != "orphan")]

    def as_dict(self) -> dict[str, object]:
        """As one JSON object."""
        return {
            "counts": dict(self.counts),
            "elsewhere": self.elsewhere,
            "foreign": self.foreign,
            "rows": [asdict(row) for row in self.rows],
        }


def compare(
    stores: Mapping[str, Sequence[Intent]],
    jobs: Iterable[MarkedJob],
    services: Mapping[str, str],
    *,
    since: datetime | None = None,
) -> Audit:
    """Set intents against jobs.

    Args:
        stores: intents by the store they are kept in.
        jobs: all that the services have.
        services: the address of each kind's service; intents for others are not judged.
        since: jobs that are older were left out; nor are intents judged that are older and have none.
    """
    jobs = list(jobs)
    by_id = {(job.kind, job.id): job for job in jobs}
    by_token: dict[tuple[str, str], list[MarkedJob]] = {}
    for job in jobs:
        if job.token is not None:
            by_token.setdefault((job.kind, job.token), []).append(job)
    rows: list[AuditRow] = []
    claimed: set[tuple[str, str]] = set()
    elsewhere = 0
    for store, intents in stores.items():
        for intent in intents:
            found = {job.id: job for job in by_token.get((intent.kind, intent.token), [])}
            # A job that was there before, under another token, may have been adopted.
            noted = by_id.get((intent.kind, intent.remote_id or ""))
            if noted is not None:
                found.setdefault(noted.id, noted)
            claimed |= {(intent.kind, each) for each in found}
            if not found and intent.service not in (None, services.get(intent.kind)):
                elsewhere += 1
            elif found or since is None or intent.created_at is None or intent.created_at >= since:
                rows.append(_judged(intent, list(found.values()), store))
    orphans = [job for job in jobs if job.token is not None and (job.kind, job.id) not in claimed]
    rows += [_orphan(job) for job in orphans]
    foreign = sum(job.token is None and (job.kind, job.id) not in claimed for job in jobs)
    states: tuple[State, ...] = ("matched", "missing", "doubled", "orphan")
    counts = {state: sum(row.state == state for row in rows) for state in states}
    return Audit(tuple(rows), elsewhere, foreign, counts)


def _judged(intent: Intent, found: list[MarkedJob], store: str) -> AuditRow:
    state: State = "matched"
    fix = None
    alive = [job for job in found if job.status not in ("cancelled", "cancelling")]
    if not found:
        state = "missing"
        fix = "Its job no longer exists. Repeat the call to recreate it, or use --forget-missing."
        if intent.remote_id is None:
            fix = "It may never have arrived. Repeat the call: it looks for the job, then submits it."
    elif len(alive) > 1:
        state = "doubled"
        kept = intent.remote_id if any(job.id == intent.remote_id for job in alive) else alive[-1].id
        surplus = " and ".join(job.id for job in alive if job.id != kept)
        fix = f"Keep {kept}, and cancel {surplus}: lawtags jobs cancel JOB."
    made = intent.request.get("output_model") or intent.request.get("dataset")
    ids, status = tuple(job.id for job in found), tuple(job.status for job in found)
    named = made if isinstance(made, str) else None
    if not ids and intent.remote_id:
        ids = (intent.remote_id,)
    return AuditRow(state, intent.kind, intent.key, ids, status, named, store, fix)


def _orphan(job: MarkedJob) -> AuditRow:
    fix = "It belongs to another store or person. Pass that store with --store, or cancel the job."
    return AuditRow("orphan", job.kind, None, (job.id,), (job.status,), fix=fix)


class _Job(Stamped, Protocol):
    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str | None: ...


async def marked_jobs(nemo: AuditedClient, *, since: datetime | None = None) -> list[MarkedJob]:
    """All jobs of the Customizer and the Evaluator, with their tokens.

    Args:
        nemo: the client.
        since: leave out what is older.

    Raises:
        LawtagsError: a service does not answer.
    """
    lists: dict[str, AsyncIterator[_Job]] = {
        "customization": nemo.customizer.jobs.list(sort="-created_at"),
        "evaluation": nemo.evaluator.jobs.list(sort="-created_at"),
        "evaluation-v2": nemo.evaluator.platform_jobs.list(sort="-created_at"),
    }
    found = []
    for kind, jobs in lists.items():
        async for job in jobs:
            if since is not None and job.created_at is not None and job.created_at < since:
                break
            token, made = stamp_of(job)
            found.append(MarkedJob(kind, job.id, token, job.status, made))
    return found


async def audit(
    nemo: AuditedClient, stores: Mapping[str, Sequence[Intent]], *, since: datetime | None = None
) -> Audit:
    """Set the intents of some stores against the jobs of the platform.

    Args:
        nemo: the client.
        stores: intents by the name of their store.
        since: leave out what is older.

    Raises:
        LawtagsError: a service does not answer.
    """
    settings = nemo.settings
    customizer, evaluator = settings.address("customizer").url, settings.address("evaluator").url
    services = dict(zip(KINDS, (customizer, evaluator, evaluator), strict=True))
    return compare(stores, await marked_jobs(nemo, since=since), services, since=since)
