"""``container-logs``: what the process of a job said, in the shape of a cluster's containers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.training import JobFolder

Document = dict[str, Any]

_WARNINGS = {"failed", "TrainingRestarted", "NotEnoughResources"}


def container_logs(context: StackContext, document: Document) -> Document:
    """The logs of a stored job; ``error`` says why it failed, if it did."""
    job, history = document["job"], document["details"]["status_logs"]
    name = f"{job['id']}-training"
    failure = next((log for log in reversed(history) if log["message"] == "failed"), None)
    error = None
    if failure is not None:
        error = {
            "message": failure["detail"],
            "explanation": "The training process reported this.",
            "exception_type": None,
            "stack_trace": None,
            "file": None,
            "line": None,
            "timestamp": failure["updated_at"],
        }
    entry = {
        "object": name,
        "status": {"phase": job["status"]},
        "events": [_event(log) for log in history],
        "logs": {"training": JobFolder(context, job["id"]).log()},
    }
    return {"entries": {name: entry}, "error": error}


def _event(log: Document) -> Document:
    seen = int(datetime.fromisoformat(log["updated_at"]).replace(tzinfo=UTC).timestamp())
    return {
        "type": "Warning" if log["message"] in _WARNINGS else "Normal",
        "reason": log["message"],
        "message": log["detail"] or log["message"],
        "count": "1",
        "first_seen": seen,
        "last_seen": seen,
    }
