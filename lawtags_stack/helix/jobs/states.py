"""The states of jobs, steps and tasks, and the transitions between them."""

from __future__ import annotations

FINAL = frozenset({"completed", "error", "cancelled"})
UNFINISHED = ("created", "pending", "active", "cancelling", "paused", "pausing", "resuming")
ALL_STATES = (
    "created", "pending", "active", "cancelled", "cancelling", "error", "completed", "paused", "pausing",
    "resuming",
)  # fmt: skip
_TRANSITIONS: dict[str, frozenset[str]] = {
    "created": frozenset({"pending", "active", "cancelling", "cancelled", "pausing", "paused", "error"}),
    "pending": frozenset({"active", "completed", "error", "cancelling", "cancelled", "pausing", "paused"}),
    "active": frozenset({"completed", "error", "cancelling", "cancelled", "pausing", "paused"}),
    "pausing": frozenset({"paused", "error"}),
    "paused": frozenset({"resuming", "active", "cancelling"}),
    "resuming": frozenset({"pending", "active", "error", "cancelling"}),
    "cancelling": frozenset({"cancelled", "error"}),
}


def allowed(before: str, after: str) -> bool:
    """Whether a step or task may go from one state to another; staying is always allowed."""
    return before == after or after in _TRANSITIONS.get(before, frozenset())
