"""Files of JSON Lines that grow row by row and survive a kill in the middle of a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from lawtags_client import jsonl
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_text, make_folder, sync
from lawtags_client.json_value import JsonObject, JsonRow

_POLICY = jsonl.LinePolicy(blank=False, mark=False, torn=True)


def read_rows(path: Path) -> Iterator[JsonRow]:
    """The rows of a file of JSON lines; an incomplete last line is ignored.

    Raises:
        DataError: another line is not a JSON object.
    """
    for _, row in jsonl.read_rows(path, _POLICY):
        yield row


class RowLog:
    """Appends rows to a file and knows which are there already.

    Args:
        path: the file; an incomplete last line is removed.
        every: rows between two fsyncs.

    Raises:
        DataError: the file holds something else.
    """

    def __init__(self, path: Path, *, every: int = 64) -> None:
        make_folder(path.parent)
        self.path = path
        self._every = every
        self._unsynced = 0
        self.rows: dict[int, JsonObject] = {}
        if path.exists():
            # Read before anything is removed: a file of something else must stay unharmed.
            for line, row in enumerate(read_rows(path), 1):
                number = row.get("row")
                if type(number) is not int:
                    hint = "Pass another file."
                    raise DataError("is not a row of answers", path=path, line=line, field="row", hint=hint)
                self.rows[number] = row
            _cut_torn_line(path)
        self._stream = path.open("a", encoding="utf-8")
        sync(path.parent)

    def append(self, row: JsonObject) -> None:
        """Add one row; its field ``row`` is its number."""
        number = row["row"]
        assert isinstance(number, int)
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.rows[number] = row
        self._unsynced += 1
        if self._unsynced >= self._every:
            self.sync()

    def keep(self, rows: Mapping[int, JsonObject]) -> None:
        """Rewrite the file with these rows alone, so that the others can be added again."""
        self.sync()
        self._stream.close()
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())
        atomic_write_text(self.path, "".join(lines))
        self.rows = dict(rows)
        self._stream = self.path.open("a", encoding="utf-8")

    def sync(self) -> None:
        """Put what was added on disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._unsynced = 0

    def __enter__(self) -> RowLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync()
        finally:
            self._stream.close()


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as stream:
        content = stream.read()
        if content and not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)
