"""Vectors that were computed before, in one SQLite file that processes share.

It holds hashes of texts, never the texts. What cannot be used is computed again: a damaged file is replaced,
and without a writable cache folder nothing is kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.cache import find_cached

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

FILE = "vectors.sqlite"
MOST_BYTES = 256 << 20
_AT_ONCE = 500  # keys per query; SQLite limits the number of parameters
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, written REAL NOT NULL)
WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_age ON vectors (written);
"""
_OLDEST = "SELECT key FROM vectors ORDER BY written LIMIT (SELECT 1 + count(*) / 4 FROM vectors)"
_log = logging.getLogger(__name__)


def vector_key(identity: str, text: str) -> bytes:
    """The key of a text's vector by one encoder."""
    return hashlib.sha256(f"{identity}\n{text}".encode("utf-8", "surrogatepass")).digest()


class VectorCache:
    """The cache; every call may be made from any thread or process.

    Args:
        path: its file; None takes the one in lawtags' cache folder.
        most_bytes: when it is larger, the oldest quarter is removed.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = path or find_cached("vectors", FILE) / FILE
        self._most_bytes = most_bytes
        self._now = now
        self._told = False

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors that are known, by key; damaged ones are left out."""
        found: dict[bytes, Vector] = {}

        def read(connection: sqlite3.Connection) -> None:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
                for key, content in rows:
                    vector = _vector(content)
                    if vector is not None:
                        found[key] = vector

        if keys:
            self._do(read)
        return found

    def add(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keep vectors."""
        now = self._now()
        rows = [(key, vector.astype("<f4").tobytes(), now) for key, vector in vectors.items()]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                if _bytes(connection) > self._most_bytes:
                    connection.execute(f"DELETE FROM vectors WHERE key IN ({_OLDEST})")

        if rows:
            self._do(write)

    def _do(self, work: Callable[[sqlite3.Connection], None]) -> None:
        for attempt in (1, 2):
            try:
                with self._connection() as connection:
                    work(connection)
                return None
            except sqlite3.OperationalError as problem:
                return self._tell(str(problem))
            except OSError as problem:
                return self._tell(problem.strerror or str(problem))
            except sqlite3.DatabaseError as problem:
                # Not a database, or a damaged one. Another process may have replaced it meanwhile; losing
                # its vectors costs time only.
                if attempt == 2:
                    return self._tell(str(problem))
                try:
                    self._remove()
                except OSError as error:
                    return self._tell(error.strerror or str(error))
        return None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Vectors tell something about their texts: for the user alone.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
            yield connection

    def _remove(self) -> None:
        for name in (self.path.name, f"{self.path.name}-journal"):
            self.path.with_name(name).unlink(missing_ok=True)

    def _tell(self, problem: str) -> None:
        if not self._told:
            _log.warning(
                "the cache of embeddings %s cannot be used (%s); they are computed again", self.path, problem
            )
        self._told = True


def _vector(content: object) -> Vector | None:
    import numpy as np

    if not isinstance(content, bytes) or not content or len(content) % 4:
        return None
    vector = np.frombuffer(content, dtype="<f4").astype(np.float32)
    length = float(vector @ vector)
    # Of length one, or zero for a text without tokens; NaN is neither.
    return vector if abs(length - 1) < 1e-3 or length == 0 else None


def _bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
