"""The ledger of a run: which stage is done, for which inputs, with which result.

One SQLite file (WAL, full sync) in the run's folder. A finished stage is recognized by the hash of its
inputs, options and code version; a marker file alone would call a changed stage done. What a stage finished
with stays on record until a later attempt finishes as well, so that a crash in between loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lawtags_client.errors import DataError
from lawtags_client.files import make_folder
from lawtags_client.json_value import JsonObject, JsonValue

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stages (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    started_at TEXT NOT NULL,
    finished_at TEXT,
    output TEXT,
    error TEXT
);
CREATE TABLE IF NOT EXISTS finished (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    code TEXT,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    output TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    at TEXT NOT NULL, stage TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL
);
"""

_LEAST_FREE = 1 << 18
_UNKEPT = "SELECT 1 FROM stages WHERE status = 'done' AND name NOT IN (SELECT name FROM finished)"
_KEEP = (
    "INSERT OR IGNORE INTO finished SELECT name, digest, NULL, started_at, finished_at, output FROM stages "
    "WHERE status = 'done'"
)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What the ledger knows of a stage.

    ``code`` is the version of the code that finished it, where that was recorded.
    """

    name: str
    digest: str
    status: str
    started_at: str
    finished_at: str | None
    output: JsonObject
    error: JsonObject | None
    code: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long the stage's last attempt took, in seconds."""
        if self.finished_at is None:
            return None
        span = datetime.fromisoformat(self.finished_at) - datetime.fromisoformat(self.started_at)
        return max(span.total_seconds(), 0.0)


class Ledger:
    """Durable record of a run's stages, which is read where it cannot be written.

    Args:
        path: the SQLite file; made when absent.
        patience: seconds to wait for a process that has it locked.
        now: the clock, for tests.

    Raises:
        DataError: of every call, when the file is damaged, locked or cannot be written.
    """

    def __init__(
        self, path: Path, *, patience: float = 30.0, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        make_folder(path.parent)
        self.path = path
        self._patience = patience
        self._now = now
        self._read_only = path.exists() and not all(os.access(each, os.W_OK) for each in (path, path.parent))
        if self._read_only:
            return
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
            # What older releases finished has no record of its own yet, which a new attempt would erase.
            if connection.execute(_UNKEPT).fetchone() is not None:
                connection.execute(_KEEP)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # One short connection each: the ledger is written a few times a minute, from whichever thread.
        try:
            with contextlib.closing(self._opened()) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                with connection:
                    yield connection
        except (sqlite3.DatabaseError, ValueError) as problem:
            hint = "Check its permissions and the disk. If it is damaged, move it away and run again."
            if self._disk_is_full():
                hint = "Its disk is full. Free some space, then repeat the command."
            raise DataError(f"the ledger cannot be used: {problem}", path=self.path, hint=hint) from problem

    def _opened(self) -> sqlite3.Connection:
        if not self._read_only:
            return sqlite3.connect(self.path, timeout=self._patience)
        # Even a reader makes files beside the database, unless a writer has made them or nobody may write.
        written = self.path.with_name(f"{self.path.name}-wal").exists()
        address = f"{self.path.absolute().as_uri()}?{'mode=ro' if written else 'immutable=1'}"
        return sqlite3.connect(address, timeout=self._patience, uri=True)

    def _disk_is_full(self) -> bool:
        # SQLite calls it an I/O error, since it also needs room for the files beside the database.
        try:
            return shutil.disk_usage(self.path.parent).free < _LEAST_FREE
        except OSError:
            return False

    def facts(self) -> dict[str, JsonValue]:
        """All facts of the run as a whole."""
        with self._connection() as connection:
            rows = connection.execute("SELECT name, value FROM facts").fetchall()
            return {name: json.loads(value) for name, value in rows}

    def fact(self, name: str) -> JsonValue:
        """A fact of the run as a whole, or None."""
        return self.facts().get(name)

    def failed_jobs(self, stage: StageRecord) -> int:
        """How many jobs of a stage have failed or were cancelled, for the same inputs."""
        count = self.fact(_failed_jobs(stage))
        return count if isinstance(count, int) else 0

    def add_failed_job(self, stage: StageRecord) -> None:
        """Record that a job of a stage has failed or was cancelled; the next attempt submits another."""
        self.set_fact(_failed_jobs(stage), self.failed_jobs(stage) + 1)

    def set_fact(self, name: str, value: object) -> None:
        """Record a fact of the run as a whole."""
        self.set_facts({name: value})

    def set_facts(self, facts: Mapping[str, object]) -> None:
        """Record several facts of the run as a whole, all of them or none."""
        with self._connection() as connection:
            connection.executemany(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, json.dumps(value)) for name, value in facts.items()],
            )

    def begin(self, name: str, digest: str) -> None:
        """Record that a stage has started on these inputs."""
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO stages VALUES (?, ?, 'running', ?, NULL, NULL, NULL)",
                (name, digest, self._stamp()),
            )
            self._log(connection, name, "started", {"digest": digest})

    def finish(self, name: str, output: Mapping[str, object], *, code: str | None = None) -> None:
        """Record that a stage is done.

        Args:
            name: the stage.
            output: what later stages need of it.
            code: the version of the code that did it.
        """
        with self._connection() as connection:
            connection.execute(
                "UPDATE stages SET status = 'done', finished_at = ?, output = ? WHERE name = ?",
                (self._stamp(), json.dumps(output), name),
            )
            connection.execute(
                "INSERT OR REPLACE INTO finished "
                "SELECT name, digest, ?, started_at, finished_at, output FROM stages WHERE name = ?",
                (code, name),
            )
            self._log(connection, name, "done", {})

    def take_over(self, stage: StageRecord, attempts: int) -> None:
        """Record a stage that another run has finished, with its times.

        Args:
            stage: as the other ledger has it.
            attempts: how often it was started there.
        """
        times = (stage.started_at, stage.finished_at, json.dumps(stage.output))
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO stages VALUES (?, ?, 'done', ?, ?, ?, NULL)",
                (stage.name, stage.digest, *times),
            )
            connection.execute(
                "INSERT OR REPLACE INTO finished VALUES (?, ?, ?, ?, ?, ?)",
                (stage.name, stage.digest, stage.code, *times),
            )
            for _ in range(attempts):
                self._log(connection, stage.name, "started", {"digest": stage.digest})
            self._log(connection, stage.name, "taken over", {})

    def fail(self, name: str, error: Mapping[str, object]) -> None:
        """Record that a stage failed, and why."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE stages SET status = 'failed', finished_at = ?, error = ? WHERE name = ?",
                (self._stamp(), json.dumps(error, default=str), name),
            )
            self._log(connection, name, "failed", error)

    def stage(self, name: str) -> StageRecord | None:
        """What is known of one stage."""
        return next((record for record in self.stages() if record.name == name), None)

    def finished(self, name: str) -> StageRecord | None:
        """The last finished attempt of a stage, whatever came of later attempts."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM finished WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            _, digest, code, started, finished, output = row
            return StageRecord(name, digest, "done", started, finished, json.loads(output), None, code)

    def attempts(self, stage: StageRecord) -> int:
        """How often a stage was started on these inputs."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT count(*) FROM events WHERE stage = ? AND event = 'started' "
                "AND json_extract(detail, '$.digest') = ?",
                (stage.name, stage.digest),
            ).fetchone()
        return int(row[0])

    def stages(self) -> list[StageRecord]:
        """All stages that have started, in the order in which they did."""
        with self._connection() as connection:
            # By row, since a clock may be set back; a stage that starts again gets a new one.
            rows = connection.execute("SELECT * FROM stages ORDER BY rowid").fetchall()
            return [
                StageRecord(name, digest, status, started, finished, json.loads(output or "{}"), _load(error))
                for name, digest, status, started, finished, output, error in rows
            ]

    def begun(self) -> str | None:
        """When the first stage started or was taken over, in ISO 8601 and UTC; None if none has."""
        with self._connection() as connection:
            row = connection.execute("SELECT at FROM events ORDER BY rowid LIMIT 1").fetchone()
        return str(row[0]) if row is not None else None

    def _log(
        self, connection: sqlite3.Connection, stage: str, event: str, detail: Mapping[str, object]
    ) -> None:
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            (self._stamp(), stage, event, json.dumps(detail, default=str)),
        )

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="milliseconds")


def _failed_jobs(stage: StageRecord) -> str:
    return f"{stage.name} attempts {stage.digest}"


def _load(text: str | None) -> JsonObject | None:
    return json.loads(text) if text else None
