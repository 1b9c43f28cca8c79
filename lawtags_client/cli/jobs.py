"""``lawtags jobs``: customization jobs on the platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, CancelOnInterrupt, JobId
from lawtags_client.cli.session import Session

if TYPE_CHECKING:
    from lawtags_client.json_value import JsonValue
    from lawtags_client.platform.failure_causes import JobDiagnosis
    from lawtags_client.platform.training_jobs import JobRow
    from lawtags_client.services.audit import Audit
    from lawtags_client.services.customizer.job import MetricRow
    from lawtags_client.types.customizer import ContainerLogs

_NAMED_ONCE = "Names hold Helix to one job per intent. List the jobs with: lawtags jobs ls"

app = typer.Typer(
    help="Customization jobs: list, show, watch, explain, cancel, logs, metrics, audit.", no_args_is_help=True
)


@app.command("ls")
@command
def ls(
    session: Session,
    status: Annotated[str | None, typer.Option("--status", help="Only jobs in this state.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Only jobs of this namespace.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many, newest first.")] = 50,
) -> None:
    """List jobs, newest first. Example: lawtags jobs ls --status running"""
    from lawtags_client.cli.empty_lists import explain_empty
    from lawtags_client.platform.choice import training_jobs

    async def work() -> Sequence[JobRow]:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            rows = await jobs.list(status=status, namespace=namespace, limit=limit)
            if not rows:
                session.report(
                    await explain_empty(jobs.namespaces, "jobs", status=status, namespace=namespace)
                )
        return rows

    rows = session.run(work())
    if session.json:
        session.emit(map(asdict, rows))
        return
    if not rows:
        return
    session.table(
        ("id", "status", "config", "dataset", "output model", "steps", "created"),
        [[None if value is None else str(value) for value in row] for row in map(astuple, rows)],
    )


@app.command("show")
@command
def show(session: Session, job_id: JobId) -> None:
    """Show a job as the platform reports it. Example: lawtags jobs show cust-… --json"""

    from lawtags_client.platform.choice import training_jobs
    from lawtags_client.platform.training_jobs import with_complete_id

    async def work() -> dict[str, JsonValue]:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job_id, jobs.show)

    found = session.run(work())
    if session.json:
        session.emit(found)
        return
    import yaml

    session.say(yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip())


@app.command("watch")
@command
def watch(
    session: Session,
    job_id: JobId,
    cancel_on_interrupt: CancelOnInterrupt = False,
) -> None:
    """Follow a job until it ends: bar, remaining time, loss curves, states and log lines.

    Ctrl-C leaves the job running; the same command attaches to it again.

    With --json, each event is a line, with a TrainingState after each progress.

    Example: lawtags jobs watch cust-…
    """
    session.cancel_on_interrupt, session.followed = cancel_on_interrupt, lambda: job_id

    from lawtags_client.cli.job_watch import watch_job

    session.run(watch_job(session, job_id))


@app.command("why")
@command
def why(session: Session, job_id: JobId) -> None:
    """Say why a job failed, waits or is not served, and which command fixes it.

    Example: lawtags jobs why cust-…

    It reads status, logs, events and config of the job, and the list of served models; on Helix the errors of
    its steps, too.
    """
    from lawtags_client.platform.choice import training_jobs
    from lawtags_client.platform.training_jobs import with_complete_id

    async def work() -> JobDiagnosis:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job_id, jobs.why)

    found = session.run(work())
    if session.json:
        session.emit(asdict(found))
        return
    session.say(f"{found.job} is {found.status}")
    for cause in found.causes:
        session.say(f"{cause.message}\n  seen in: {cause.evidence}\n  {cause.cure}:\n  {cause.command}")
    if found.causes:
        return
    if found.status == "completed":
        session.say("It did not fail, and nothing is known to be wrong with it.")
    elif not found.has_ended:
        session.say(f"Nothing is known to be wrong with it. Follow it: lawtags jobs watch {found.job}")
    else:
        session.say(f"No known cause was found. Read its logs: lawtags jobs logs {found.job}")


@app.command("cancel")
@command
def cancel(session: Session, job_id: JobId) -> None:
    """Cancel a job. Example: lawtags jobs cancel cust-…"""

    from lawtags_client.platform.choice import training_jobs
    from lawtags_client.platform.training_jobs import with_complete_id

    async def work() -> JobRow:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job_id, jobs.cancel)

    found = session.run(work())
    if session.json:
        session.emit(asdict(found))
    else:
        session.say(f"{found.id} is {found.status}")


@app.command("logs")
@command
def logs(session: Session, job_id: JobId) -> None:
    """Print the logs of the job's containers, or on Helix of its steps. Example: lawtags jobs logs cust-…"""

    from lawtags_client.platform.choice import training_jobs
    from lawtags_client.platform.training_jobs import with_complete_id

    async def work() -> ContainerLogs:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job_id, jobs.logs)

    found = session.run(work())
    if session.json:
        session.emit(found.model_dump(mode="json"))
        return
    for name, entry in (found.entries or {}).items():
        session.say(f"== {name}")
        for text in (entry.logs or {}).values():
            session.say(str(text))


@app.command("metrics")
@command
def metrics(session: Session, job_id: JobId) -> None:
    """Print a job's metrics, one point per row. Example: lawtags jobs metrics cust-… --json"""

    from lawtags_client.platform.choice import training_jobs
    from lawtags_client.platform.training_jobs import with_complete_id

    async def work() -> Sequence[MetricRow]:
        async with session.client() as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job_id, jobs.metrics)

    rows = session.run(work())
    if session.json:
        session.emit(map(asdict, rows))
        return
    session.table(
        ("metric", "step", "value", "at"),
        [(row.metric, str(row.step), f"{row.value:.4f}", str(row.at or "")) for row in rows],
    )


@app.command("audit")
@command
def audit(
    session: Session,
    runs: Annotated[
        Path, typer.Option("--runs", help="Folder of runs; their ledgers are read.")
    ] = DEFAULT_RUNS,
    stores: Annotated[
        list[Path] | None,
        typer.Option("--store", help="Another intent store or run ledger; repeatable."),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option("--days", min=0, max=36_500, help="Ignore anything older than this many days."),
    ] = None,
    others: Annotated[
        bool, typer.Option("--others", help="Others use this platform: do not report orphans as errors.")
    ] = False,
    forget_missing: Annotated[
        bool, typer.Option("--forget-missing", help="Drop intents whose job no longer exists.")
    ] = False,
) -> None:
    """Compare intents with the jobs on the platform; exit with 1 unless each intent has exactly one job.

    Reads the client's own intent store and the ledgers of runs, repeats and sweeps.

    Matched: exactly one job; missing: none; doubled: several. An orphan is a job without an intent here.

    Example: lawtags jobs audit --profile cluster --others

    Example: lawtags jobs audit --days 30 --json

    Example: lawtags jobs audit --runs /data/runs --store old/intents.sqlite
    """
    from lawtags_client.cli.auditing import (
        forget_missing_intents,
        print_audit,
        read_intents,
        read_stores,
    )
    from lawtags_client.platform.choice import require_v1
    from lawtags_client.services.audit import audit as compare_all

    async def work() -> tuple[Audit, int, list[str]]:
        async with session.client() as nemo:
            await require_v1(nemo, "lawtags jobs audit", _NAMED_ONCE)
            kept = read_stores(nemo.settings.intents_path, runs, stores or [])
            since = datetime.now(UTC) - timedelta(days=days) if days is not None else None
            intents, unread = read_intents(kept)
            found = await compare_all(nemo, intents, since=since)
            return found, forget_missing_intents(found, kept) if forget_missing else 0, unread

    found, forgotten, unread = session.run(work())
    print_audit(session, found, forgotten, others=others, unread=unread)
