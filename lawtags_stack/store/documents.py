"""Tables of JSON documents by key, which nearly every resource of the API uses."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from lawtags_client.json_value import JsonObject
from lawtags_stack.store.database import Database

RecordT = TypeVar("RecordT")

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class DuplicateKeyError(Exception):
    """A document with this key already exists."""


class Documents:
    """A table of JSON documents, in insertion order.

    The table is created on first use, by its own migration.

    Args:
        database: the database.
        table: its name: lower-case letters, digits and underscores, e.g. ``"customizer_jobs"``.
    """

    def __init__(self, database: Database, table: str) -> None:
        if not _NAME.match(table):
            raise ValueError(f"not a table name: {table!r}")
        self._database = database
        self._table = table
        database.migrate(
            f"documents:{table}",
            [
                f"CREATE TABLE {table} (sequence INTEGER PRIMARY KEY AUTOINCREMENT, "
                "key TEXT NOT NULL UNIQUE, body TEXT NOT NULL)"
            ],
        )

    def insert(self, key: str, document: JsonObject) -> None:
        """Insert a document.

        Raises:
            DuplicateKeyError: the key is taken.
        """
        try:
            self._database.execute(
                f"INSERT INTO {self._table} (key, body) VALUES (?, ?)", (key, _encode(document))
            )
        except sqlite3.IntegrityError as error:
            raise DuplicateKeyError(key) from error

    def put(self, key: str, document: JsonObject) -> None:
        """Insert a document, or replace the one with this key; keeps its position."""
        self._database.execute(
            f"INSERT INTO {self._table} (key, body) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            (key, _encode(document)),
        )

    def get(self, key: str) -> JsonObject | None:
        """Return the document with a key, or None."""
        row = self._database.row(f"SELECT body FROM {self._table} WHERE key = ?", (key,))
        return _decode(row["body"]) if row else None

    def update(self, key: str, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject | None:
        """Read, change and write a document in one transaction.

        Args:
            key: the document's key.
            change: receives the stored document and returns the new one, or ``None`` to keep it.

        Returns:
            The resulting document; ``None`` if the key does not exist.
        """
        with self._database.transaction():
            document = self.get(key)
            if document is None:
                return None
            changed = change(document)
            if changed is None:
                return self.get(key)
            self.put(key, changed)
            return changed

    def delete(self, key: str) -> bool:
        """Delete a document, and return whether it existed."""
        return self._database.execute(f"DELETE FROM {self._table} WHERE key = ?", (key,)) > 0

    def count(self) -> int:
        """The number of documents."""
        row = self._database.row(f"SELECT COUNT(*) AS total FROM {self._table}")
        return int(row["total"]) if row else 0

    def page(self, limit: int, offset: int = 0, *, newest_first: bool = False) -> list[JsonObject]:
        """Return one page of documents, in insertion order."""
        order = "DESC" if newest_first else "ASC"
        rows = self._database.rows(
            f"SELECT body FROM {self._table} ORDER BY sequence {order} LIMIT ? OFFSET ?", (limit, offset)
        )
        return [_decode(row["body"]) for row in rows]

    def below(self, parent: str) -> list[JsonObject]:
        """Return the documents whose keys begin with ``parent/``, in insertion order."""
        rows = self._database.rows(
            f"SELECT body FROM {self._table} WHERE key >= ? AND key < ? ORDER BY sequence",
            (f"{parent}/", f"{parent}0"),  # "0" follows "/"
        )
        return [_decode(row["body"]) for row in rows]

    def __iter__(self) -> Iterator[JsonObject]:
        return iter(self.page(-1))


class Records(Generic[RecordT]):
    """Records of one type, stored as JSON documents.

    Args:
        documents: the table.
        read: converts a document to a record; must accept documents of earlier releases.
        write: converts a record to a document.
    """

    def __init__(
        self,
        documents: Documents,
        read: Callable[[JsonObject], RecordT],
        write: Callable[[RecordT], JsonObject],
    ) -> None:
        self._documents = documents
        self._read = read
        self._write = write

    def insert(self, key: str, record: RecordT) -> None:
        """Insert a record.

        Raises:
            DuplicateKeyError: the key is taken.
        """
        self._documents.insert(key, self._write(record))

    def put(self, key: str, record: RecordT) -> None:
        """Insert a record, or replace the one with this key; keeps its position."""
        self._documents.put(key, self._write(record))

    def get(self, key: str) -> RecordT | None:
        """Return the record with a key, or None."""
        document = self._documents.get(key)
        return None if document is None else self._read(document)

    def update(self, key: str, change: Callable[[RecordT], RecordT | None]) -> RecordT | None:
        """Read, change and write a record in one transaction; see ``Documents.update``."""

        def changed(document: JsonObject) -> JsonObject | None:
            record = change(self._read(document))
            return None if record is None else self._write(record)

        document = self._documents.update(key, changed)
        return None if document is None else self._read(document)

    def delete(self, key: str) -> bool:
        """Delete a record, and return whether it existed."""
        return self._documents.delete(key)

    def __iter__(self) -> Iterator[RecordT]:
        return map(self._read, self._documents)


def _encode(document: JsonObject) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _decode(body: str) -> JsonObject:
    document: JsonObject = json.loads(body)
    return document
