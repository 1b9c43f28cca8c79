"""Log lines of jobs: received as OTLP, read page by page with cursors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.lists import positive
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.http.ids import base58
from lawtags_stack.store import Database

_ATTRIBUTES = ("job", "job_attempt", "job_step", "job_task")
_COLUMNS = {"job": "job", "job_attempt": "attempt", "job_step": "step", "job_task": "task"}
_DEFAULT_LIMIT = 100
_MOST_LINES = 10_000
_CURSOR = re.compile(r"[np][1-9A-HJ-NP-Za-km-z]{1,12}\Z")
_OFFSET = 1000
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TABLE = """
CREATE TABLE helix_logs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, fileset TEXT NOT NULL,
    job TEXT NOT NULL, attempt TEXT NOT NULL, step TEXT NOT NULL, task TEXT NOT NULL, time INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX helix_logs_by_job ON helix_logs (workspace, fileset, job, attempt, time, sequence);
"""


class JobLogs:
    """The log lines of all jobs.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        database.migrate("helix_logs", [_TABLE])
        self._database = database

    def receive(self, workspace: str, fileset: str, body: bytes) -> JsonObject:
        """Store the lines of an OTLP request in JSON, and return the response.

        Raises:
            HelixError: the body is not JSON, or not an OTLP request (400).
        """
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise HelixError(400, f"Invalid JSON format: {error}") from None
        if not isinstance(sent, dict):
            raise HelixError(400, "Invalid JSON format: expected an object with resourceLogs")
        rejected, reasons = 0, []
        with self._database.transaction() as connection:
            for resource in _objects(sent.get("resourceLogs")):
                lines = [
                    line
                    for scope in _objects(resource.get("scopeLogs"))
                    for line in _objects(scope.get("logRecords"))
                ]
                found = _attributes(resource)
                missing = [name for name in _ATTRIBUTES if name not in found]
                if missing:
                    rejected += len(lines)
                    reasons.append(f"Missing required resource attributes: {', '.join(missing)}")
                    continue
                connection.executemany(
                    "INSERT INTO helix_logs (workspace, fileset, job, attempt, step, task, time, message) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (workspace, fileset, *(found[name] for name in _ATTRIBUTES), _time(line), _text(line))
                        for line in lines
                    ],
                )
        if not rejected:
            return {"partialSuccess": None}
        message = f"Rejected {rejected} log records. Errors: {'; '.join(reasons)}"
        return {"partialSuccess": {"rejectedLogRecords": rejected, "errorMessage": message}}

    def read(
        self, workspace: str, fileset: str, filters: Mapping[str, str], query: Sequence[tuple[str, str]]
    ) -> JsonObject:
        """Return a page of lines, oldest first.

        Args:
            workspace, fileset: where they were sent.
            filters: values of attributes.
            query: ``limit``, ``page_cursor`` or ``tail``.

        Raises:
            HelixError: the cursor is invalid (422), or parameters exclude each other (400).
        """
        asked = dict(query)
        if "tail" in asked and "limit" in asked:
            message = "tail cannot be combined with limit; tail controls the returned log window size."
            raise HelixError(400, message)
        if "tail" in asked and "page_cursor" in asked:
            raise HelixError(400, "tail cannot be combined with page_cursor.")
        where = ["workspace = ?", "fileset = ?", *(f"{_COLUMNS[name]} = ?" for name in filters)]
        values = [workspace, fileset, *filters.values()]
        condition = " AND ".join(where)
        row = self._database.row(f"SELECT COUNT(*) AS total FROM helix_logs WHERE {condition}", values)
        total = int(row["total"]) if row else 0
        start, limit = _window(asked, total)
        rows = self._database.rows(
            f"SELECT * FROM helix_logs WHERE {condition} ORDER BY time, sequence LIMIT ? OFFSET ?",
            [*values, limit, start],
        )
        end = start + len(rows)
        return {
            "data": [
                {
                    "timestamp": _moment(int(each["time"])),
                    "job": each["job"],
                    "job_step": each["step"],
                    "job_task": each["task"],
                    "message": each["message"],
                }
                for each in rows
            ],
            "total": total,
            "next_page": f"n{base58(end + _OFFSET)}" if rows and end < total else None,
            "prev_page": f"p{base58(start + _OFFSET)}" if start > 0 else None,
        }

    def delete(self, workspace: str, fileset: str) -> None:
        """Delete the lines of a fileset."""
        self._database.execute(
            "DELETE FROM helix_logs WHERE workspace = ? AND fileset = ?", (workspace, fileset)
        )


def _window(asked: Mapping[str, str], total: int) -> tuple[int, int]:
    """The first line and the number of lines of a page."""
    if "tail" in asked:
        limit = positive("tail", asked["tail"], _MOST_LINES)
        return max(0, total - limit), limit
    limit = positive("limit", asked["limit"], _MOST_LINES) if "limit" in asked else _DEFAULT_LIMIT
    cursor = asked.get("page_cursor")
    if cursor is None:
        return 0, limit
    if not _CURSOR.match(cursor):
        raise HelixError(422, "Invalid page cursor")
    place = 0
    for digit in cursor[1:]:
        place = place * 58 + _ALPHABET.index(digit)
    place -= _OFFSET
    if not 0 <= place <= total:
        raise HelixError(422, "Invalid page cursor")
    if cursor[0] == "n":
        return place, limit
    return max(0, place - limit), min(limit, place)


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _attributes(resource: JsonObject) -> dict[str, str]:
    described = resource.get("resource")
    pairs = _objects(described.get("attributes")) if isinstance(described, dict) else []
    found: dict[str, str] = {}
    for pair in pairs:
        value = pair.get("value")
        text = value.get("stringValue") if isinstance(value, dict) else None
        if isinstance(text, str):
            found[str(pair.get("key"))] = text
    return found


def _text(line: JsonObject) -> str:
    body = line.get("body")
    return str(body.get("stringValue", "")) if isinstance(body, dict) else ""


def _time(line: JsonObject) -> int:
    digits = str(line.get("timeUnixNano", "0"))
    return int(digits) if re.fullmatch("[0-9]{1,19}", digits) and int(digits) < 1 << 63 else 0


def _moment(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    micro = nanoseconds % 1_000_000_000 // 1000
    return moment.replace(microsecond=micro, tzinfo=None).isoformat(timespec="microseconds")
