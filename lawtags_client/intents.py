"""What was asked for, and what became of it: the memory that keeps a job from being submitted twice.

An intent is written down, durably, before anything is sent. After a lost reply or a restart the same intent
is found again by its key, and the job it led to by the token that went into the job.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lawtags_client.errors import BusyError, ConflictError, DataError
from lawtags_client.files import make_folder
from lawtags_client.json_value import JsonValue
from lawtags_client.locks import FolderLock, Holder

FIELD = "lawtags_intent"
"""The custom field of a job that carries the token."""

_TABLE = """
CREATE TABLE IF NOT EXISTS intents (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    token TEXT NOT NULL,
    digest TEXT NOT NULL,
    request TEXT NOT NULL,
    remote_id TEXT,
    created_at TEXT NOT NULL,
    settled_at TEXT,
    service TEXT
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that shall happen once.

    Args:
        key: what makes two intents the same one.
        kind: what is to be made, e.g. ``"customization"``.
        token: goes into the job, so that it can be found again.
        digest: of the request, to see that the key is not used for something else.
        request: the request, without secrets.
        remote_id: the job that came of it, once known.
        created_at: when it was written down.
        service: the address that it was first meant for.
    """

    key: str
    kind: str
    token: str
    digest: str
    request: Mapping[str, JsonValue]
    remote_id: str | None = None
    created_at: datetime | None = None
    service: str | None = None


class IntentStore(Protocol):
    """Where intents are kept; a run hands in its own ledger."""

    def begin(self, intent: Intent) -> Intent:
        """Write an intent down, durably; if its key is known already, give back what stands there."""
        ...

    def find(self, key: str) -> Intent | None:
        """The intent of this key."""
        ...

    def settle(self, key: str, remote_id: str) -> None:
        """Write down which job came of it."""
        ...

    def forget(self, key: str) -> None:
        """Drop an intent whose job is known to be no more."""
        ...

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold an intent against other processes; raises BusyError at once if one of them has it."""
        ...


def new_intent(
    kind: str,
    request: Mapping[str, JsonValue],
    *,
    key: str | None = None,
    data: str | None = None,
    service: str | None = None,
    token: str | None = None,
) -> Intent:
    """An intent for a request.

    Args:
        kind: what is to be made.
        request: the request, without secrets and without the token.
        key: the caller's own key; without it request, data and service are the key.
        data: a digest of the data that the request refers to.
        service: the service's address. A caller's own key outlives a change of address, such as that of a
            server that comes up on another port.
        token: what goes into the job; random by default. One that is derived from a key must be as unique.
    """
    digest = _digest([kind, request, data])
    name = _digest([digest, service]) if key is None else key.encode(errors="backslashreplace").decode()
    return Intent(f"{kind}:{name}", kind, token or uuid.uuid4().hex, digest, dict(request), service=service)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def check_same(found: Intent, wanted: Intent) -> None:
    """See that a key found in the store stands for the same request.

    Raises:
        ConflictError: it does not; the message names the fields that differ.
    """
    if found.digest == wanted.digest:
        return
    names = sorted(set(found.request) | set(wanted.request))
    differing = [name for name in names if found.request.get(name) != wanted.request.get(name)]
    raise ConflictError(
        f"the intent {wanted.key!r} was already used for another request; "
        f"different: {', '.join(differing) or 'the data'}",
        hint="Pass another intent for this request.",
    )


class SqliteIntents:
    """Intents in one SQLite file; several processes may use it at once.

    Args:
        path: the file; made when first written.
        now: the wall clock, for the record only.

    Raises:
        DataError: of every call, when the file is damaged or cannot be written.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] | None = None) -> None:
        self._path = path
        self._now = now or (lambda: datetime.now(UTC))

    def begin(self, intent: Intent) -> Intent:
        stamp = self._now().isoformat()
        request = _text(intent.request)
        row = (intent.key, intent.kind, intent.token, intent.digest, request, stamp, intent.service)
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO intents (key, kind, token, digest, request, created_at, service) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                row,
            )
            found = _select(connection, intent.key)
        return found or replace(intent, created_at=datetime.fromisoformat(stamp))

    def find(self, key: str) -> Intent | None:
        with self._connection() as connection:
            return _select(connection, key)

    def settle(self, key: str, remote_id: str) -> None:
        with self._connection() as connection:
            connection.execute(
                "UPDATE intents SET remote_id = ?, settled_at = ? WHERE key = ?",
                (remote_id, self._now().isoformat(), key),
            )

    def forget(self, key: str) -> None:
        with self._connection() as connection:
            connection.execute("DELETE FROM intents WHERE key = ?", (key,))

    def all(self) -> list[Intent]:
        """Every intent, oldest first."""
        with self._connection() as connection:
            rows = connection.execute(f"{_COLUMNS} ORDER BY created_at").fetchall()
        return [_intent(row) for row in rows]

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        def busy(holder: Holder) -> BusyError:
            return BusyError(
                f"the intent {key!r} is being submitted by {holder}", hint="Wait until it finishes."
            )

        # A folder per key, since a lock file alone could be deleted while it is held.
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
        with FolderLock(self._path.parent / f"{self._path.name}.locks" / name, busy, remove=True):
            yield

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            make_folder(self._path.parent)
            with closing(sqlite3.connect(self._path, timeout=30)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(_TABLE)
                _complete(connection)
                with connection:
                    yield connection
        except (sqlite3.DatabaseError, OSError) as problem:
            # Nothing is submitted that is not written down.
            hint = "Check its permissions and the disk, or set intents_path to another file."
            raise DataError(
                f"the intent store cannot be used: {problem}", path=self._path, hint=hint
            ) from problem


def _complete(connection: sqlite3.Connection) -> None:
    """Add the column that stores of earlier versions lack."""
    if "service" in (row[1] for row in connection.execute("PRAGMA table_info(intents)")):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if "service" not in (row[1] for row in connection.execute("PRAGMA table_info(intents)")):
            connection.execute("ALTER TABLE intents ADD COLUMN service TEXT")


_COLUMNS = "SELECT key, kind, token, digest, request, remote_id, created_at, service FROM intents"


def _select(connection: sqlite3.Connection, key: str) -> Intent | None:
    row = connection.execute(f"{_COLUMNS} WHERE key = ?", (key,)).fetchone()
    return _intent(row) if row else None


def _intent(row: tuple[str, str, str, str, str, str | None, str, str | None]) -> Intent:
    key, kind, token, digest, request, remote_id, created_at, service = row
    made = datetime.fromisoformat(created_at)
    return Intent(key, kind, token, digest, json.loads(request), remote_id, made, service)


def _text(request: Mapping[str, object]) -> str:
    # Escapes, since SQLite takes no lone surrogates, which JSON can carry.
    return json.dumps(request, sort_keys=True, default=str)
