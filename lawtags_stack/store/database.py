"""One SQLite file for all services; acknowledged writes survive kills and power cuts."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import make_folder

SqlValue: TypeAlias = int | float | str | bytes | None

_BUSY_SECONDS = 30.0
_LONGEST_PATH = 500  # SQLite takes no more than 512 bytes, with what it appends


class Database:
    """A SQLite file in WAL mode with full sync, shared by threads.

    One lock guards one connection: transactions take microseconds apart from the fsync, and SQLite allows a
    single writer anyway. Other processes may open the same file with their own ``Database``.

    Example:
        >>> database = Database(Path("stack.sqlite"))
        >>> database.migrate("notes", ["CREATE TABLE notes (text TEXT NOT NULL)"])
        >>> with database.transaction() as connection:
        ...     _ = connection.execute("INSERT INTO notes VALUES (?)", ("hello",))

    Args:
        path: the file; its folder is created if missing.

    Raises:
        ConfigurationError: the path is too long, or the file is not a database.
    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path.absolute())) > _LONGEST_PATH:
            raise ConfigurationError(
                f"the database's path is longer than the {_LONGEST_PATH} bytes that SQLite accepts: {path}",
                hint="Use a folder with a shorter path.",
            )
        if path.exists() and not path.is_file():
            raise ConfigurationError(
                f"{path} is not a file, but the database belongs there",
                hint="Move it, or use another folder.",
            )
        make_folder(path.parent)
        self.path = path
        self._lock = threading.RLock()
        self._within = False
        # Autocommit in the driver: explicit BEGIN and COMMIT take the write lock at the start of each
        # transaction, so a transaction cannot fail halfway to get it.
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            raise self._damaged(str(error)) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (service TEXT PRIMARY KEY, version INTEGER NOT NULL)"
        )

    def check(self) -> None:
        """Read the whole file once, so that damage is reported at startup and not during a request.

        Raises:
            ConfigurationError: it is damaged.
        """
        try:
            [found] = self.rows("PRAGMA quick_check(1)")
            if found[0] != "ok":
                raise self._damaged(str(found[0]))
            for row in self.rows("SELECT service FROM migrations WHERE service LIKE 'documents:%'"):
                table = str(row["service"]).partition(":")[2]
                with self._lock:
                    for key, body, valid in self._connection.execute(
                        f'SELECT key, body, json_valid(body) FROM "{table}"'
                    ):
                        if not valid or not isinstance(body, str):
                            raise self._damaged(f"the row {key!r} of {table} is not valid JSON")
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} is damaged or is not a database: {' '.join(reason.split())}",
            hint="Nothing was changed. Restore the file from a backup, or start over with: "
            f"lawtags local reset --dir {self.path.parent}",
        )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction, which is on disk when the block exits.

        Blocks may be nested within a thread: the outermost one commits.
        """
        with self._lock:
            if self._within:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._within = True
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself if the disk is full.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._within = False

    def rows(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[SqlValue] = ()) -> sqlite3.Row | None:
        """Return the first row of a query."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def execute(self, sql: str, parameters: Sequence[SqlValue] = ()) -> int:
        """Run one statement in its own transaction, and return the number of changed rows."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).rowcount

    def migrate(self, service: str, steps: Sequence[str]) -> None:
        """Migrate a service's tables to the current version.

        Args:
            service: the service.
            steps: all migrations, oldest first; a step may contain several statements. Only append steps.

        Raises:
            ConfigurationError: a later version wrote the file.
        """
        with self.transaction() as connection:
            known = self.row("SELECT version FROM migrations WHERE service = ?", (service,))
            version = int(known["version"]) if known else 0
            if version > len(steps):
                raise ConfigurationError(
                    f"{self.path} has tables of {service!r} in version {version}; "
                    f"this release supports up to {len(steps)}",
                    hint="Use the release that wrote it, or another folder (--dir).",
                )
            for step in steps[version:]:
                for statement in _statements(step):
                    connection.execute(statement)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?) "
                "ON CONFLICT (service) DO UPDATE SET version = excluded.version",
                (service, len(steps)),
            )

    def close(self) -> None:
        """Close the file, and checkpoint the write-ahead log."""
        with self._lock:
            self._connection.close()


def _statements(script: str) -> Iterator[str]:
    # sqlite3's executescript commits first, which would split a migration.
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
