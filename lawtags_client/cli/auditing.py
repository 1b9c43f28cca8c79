"""What ``lawtags jobs audit`` reads, drops and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.intents import Intent, SqliteIntents
from lawtags_client.runs.overview import ledgers_below
from lawtags_client.services.audit import Audit, AuditRow
from lawtags_client.settings import default_intents_path


def read_stores(own: Path | None, runs: Path, more: Sequence[Path]) -> dict[str, SqliteIntents]:
    """The intent stores by path: the client's own, the ledgers of runs and sweeps, and those passed.

    Args:
        own: the client's own, from the settings.
        runs: a folder of runs.
        more: other stores, which must exist.

    Raises:
        ConfigurationError: a store that was passed does not exist.
    """
    absent = [str(path) for path in more if not path.is_file()]
    if absent:
        raise ConfigurationError(
            f"no intent store was found at {', '.join(absent)}",
            hint="Pass a client's intents.sqlite or a run's ledger.sqlite.",
        )
    found = [own or default_intents_path(), *ledgers_below(runs), *more]
    return {str(path): SqliteIntents(path) for path in found if path.is_file()}


def read_intents(stores: Mapping[str, SqliteIntents]) -> tuple[dict[str, list[Intent]], list[str]]:
    """The intents of each store, and what is wrong with those that cannot be read.

    Args:
        stores: by path.
    """
    found, unread = dict[str, list[Intent]](), list[str]()
    for name, store in stores.items():
        try:
            found[name] = store.all()
        except DataError as problem:
            unread.append(problem.message)
    return found, unread


def forget_missing_intents(found: Audit, stores: Mapping[str, SqliteIntents]) -> int:
    """Drop the intents whose job no longer exists; returns how many."""
    gone = [row for row in found.rows if _is_gone(row)]
    for row in gone:
        if row.intent is not None and row.store is not None:
            stores[row.store].forget(row.intent)
    return len(gone)


def _is_gone(row: AuditRow) -> bool:
    # An intent that never had a job may still get it from a request in flight.
    return row.state == "missing" and bool(row.jobs)


def print_audit(
    session: Session, found: Audit, forgotten: int, *, others: bool, unread: Sequence[str] = ()
) -> None:
    """Print an audit.

    Args:
        session: the command.
        found: of the stores that can be read.
        forgotten: how many intents were dropped.
        others: whether orphans are expected.
        unread: what is wrong with the other stores.

    Raises:
        LawtagsError: something is wrong.
    """
    if session.json:
        session.emit(found.as_dict() | {"forgotten": forgotten, "unread": list(unread)})
    else:
        session.table(
            ("state", "kind", "intent", "for", "jobs", "status"),
            [_cells(row) for row in found.rows],
            optional=("intent", "kind"),
        )
        for row in found.wrong(orphans=not others):
            session.say(f"{row.state} {_key(row) or row.jobs[0]}: {row.fix}")
        counts = ", ".join(f"{number} {state}" for state, number in found.counts.items())
        session.say(f"{counts}; {found.elsewhere} for other platforms, {found.foreign} jobs without a token")
        if forgotten:
            session.say(f"{forgotten} intents dropped")
    for problem in unread:
        session.report(problem)
    wrong = [row for row in found.wrong(orphans=not others) if not (forgotten and _is_gone(row))]
    if wrong:
        states = sorted({row.state for row in wrong})
        raise LawtagsError(
            f"{len(wrong)} of {len(found.rows)} need attention: {', '.join(states)}",
            hint="See the fix for each above.",
        )
    if unread:
        raise LawtagsError(
            f"{len(unread)} stores of intents could not be read",
            hint="Move each of them away: lawtags runs rm RUN --keep-on-platform.",
        )


def _key(row: AuditRow) -> str:
    return (row.intent or "").partition(":")[2]


def _cells(row: AuditRow) -> tuple[str | None, ...]:
    status = ", ".join(each or "?" for each in row.status)
    return row.state, row.kind, _key(row), row.made, ", ".join(row.jobs), status
