"""Timestamps in the format of each service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The current time in UTC, timezone-aware."""
    return datetime.now(UTC)


def naive(moment: datetime) -> str:
    """Entity Store, Customizer, Evaluator: microseconds, UTC without an offset."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def zulu(moment: datetime) -> str:
    """Deployment Management: fractional seconds and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def zulu_seconds(moment: datetime) -> str:
    """Data Store: whole seconds and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def zulu_milliseconds(moment: datetime) -> str:
    """The Hugging Face API: milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_moment(text: str) -> datetime:
    """Parse a timestamp in any of these formats, or a date; without an offset it is UTC.

    Raises:
        ValueError: the format is invalid.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"not a date and time in the years 1 to 9999 (UTC): {text[:40]!r}") from None
