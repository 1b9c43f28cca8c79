"""``container-logs``: the output of a job's process, in the format of a cluster's containers."""

from __future__ import annotations

from datetime import UTC, datetime

from lawtags_client.json_value import JsonObject
from lawtags_stack.services.customizer.records import JobRecord, StatusLogRecord

_WARNINGS = {"failed", "TrainingRestarted", "NotEnoughResources"}


def container_logs(record: JobRecord, log: str) -> JsonObject:
    """The logs of a stored job; ``error`` is the reason if it failed.

    Args:
        record: the job.
        log: the output of its processes.
    """
    history = record.details.status_logs
    name = f"{record.job.id}-training"
    failure = next((each for each in reversed(history) if each.message == "failed"), None)
    error: JsonObject | None = None
    if failure is not None:
        error = {
            "message": failure.detail,
            "explanation": "The training process reported this.",
            "exception_type": None,
            "stack_trace": None,
            "file": None,
            "line": None,
            "timestamp": failure.updated_at,
        }
    entry: JsonObject = {
        "object": name,
        "status": {"phase": record.job.status},
        "events": [_event(each) for each in history],
        "logs": {"training": log},
    }
    return {"entries": {name: entry}, "error": error}


def _event(log: StatusLogRecord) -> JsonObject:
    seen = int(datetime.fromisoformat(log.updated_at).replace(tzinfo=UTC).timestamp())
    return {
        "type": "Warning" if log.message in _WARNINGS else "Normal",
        "reason": log.message,
        "message": log.detail or log.message,
        "count": "1",
        "first_seen": seen,
        "last_seen": seen,
    }
